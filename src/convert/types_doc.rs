//! docs/types.md says what the code does: its table is made from the type map.

use super::choices::{choices, short};
use super::sample::{charset, int};
use super::typemap::{TypeOptions, default_type};
use crate::convert::plan::PgType;
use crate::ident::TargetName;
use crate::schema::SourceType;

const DOC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/types.md");
const BEGIN: &str = "<!-- the table is made by `cargo nextest run --run-ignored only write_types_doc` -->\n";
const END: &str = "<!-- end of the table -->\n";

/// (type, an example of it, what it holds, what changes on the way)
fn rows() -> Vec<(&'static str, SourceType, &'static str, &'static str)> {
    use SourceType as T;
    let utf8 = || charset("utf8mb4");
    let boolean = T::Int { bytes: 1, unsigned: false, boolean: true };
    vec![
        ("`tinyint(1)`", boolean, "−128…127", "`boolean`: values other than 0 and 1 do not fit (`not_boolean`)"),
        ("`tinyint`", int(1, false), "−128…127", ""),
        ("`tinyint unsigned`", int(1, true), "0…255", ""),
        ("`smallint`", int(2, false), "−32768…32767", ""),
        ("`smallint unsigned`", int(2, true), "0…65535", ""),
        ("`mediumint`", int(3, false), "−2²³…2²³−1", ""),
        ("`mediumint unsigned`", int(3, true), "0…2²⁴−1", ""),
        ("`int`", int(4, false), "−2³¹…2³¹−1", ""),
        ("`int unsigned`", int(4, true), "0…2³²−1", ""),
        ("`bigint`", int(8, false), "−2⁶³…2⁶³−1", ""),
        (
            "`bigint unsigned`",
            int(8, true),
            "0…2⁶⁴−1",
            "`bigint`: values above 2⁶³−1 do not fit (`out_of_range`); `numeric` holds all",
        ),
        ("`year`", T::Year, "0, 1901…2155", ""),
        (
            "`decimal(p,s)`",
            T::Decimal { precision: 12, scale: 2, unsigned: false },
            "65 digits, 38 of them behind the point",
            "ZEROFILL's zeros do not come along",
        ),
        ("`float`", T::Float, "4 bytes", "exact bits; the text that MySQL prints has fewer digits"),
        ("`double`", T::Double, "8 bytes", "exact bits"),
        ("`bit(1)`", T::Bit { bits: 1 }, "0, 1", ""),
        ("`bit(n)`", T::Bit { bits: 8 }, "1…64 bits", ""),
        (
            "`date`",
            T::Date,
            "0000-00-00…9999-12-31",
            "zero and impossible dates (`zero_date`, `invalid_date`; year 0 is one): NULL, or 1970-01-01 where NOT NULL; `text` keeps them",
        ),
        (
            "`time(f)`",
            T::Time { fsp: 3 },
            "±838:59:59.999999",
            "`time`: what is no time of day does not fit (`not_time_of_day`)",
        ),
        (
            "`datetime(f)`",
            T::DateTime { fsp: 6 },
            "0000-00-00…9999-12-31 23:59:59.999999",
            "as `date`; `timestamptz` needs `datetime_zone`, see below",
        ),
        (
            "`timestamp(f)`",
            T::Timestamp { fsp: 6 },
            "1970…2038 (MariaDB 11.5: 2106), UTC",
            "zero as `date`; `timestamp` and `text` are in UTC",
        ),
        (
            "`char(n)`",
            T::Char { chars: 20, charset: utf8() },
            "255 characters",
            "trailing spaces are not part of the value; NUL left out (`nul_byte`), bytes without a meaning are U+FFFD (`invalid_bytes`)",
        ),
        ("`varchar(n)`", T::VarChar { chars: 20, charset: utf8() }, "65535 bytes", "as `char`, spaces stay"),
        (
            "`tinytext`…`longtext`",
            T::Text { length_bytes: 2, charset: utf8() },
            "255 bytes…4 GiB",
            "as `varchar`; PostgreSQL ends at 1 GiB",
        ),
        (
            "`char`, `varchar`, `text` of charset `binary`",
            T::Text { length_bytes: 2, charset: charset("binary") },
            "bytes",
            "",
        ),
        (
            "`binary(16)`",
            T::Binary { len: 16 },
            "16 bytes",
            "`uuid`: in the order of the bytes (no `UUID_TO_BIN(…, 1)`)",
        ),
        ("`binary(n)`", T::Binary { len: 5 }, "255 bytes", "padded with zeros to its length"),
        ("`varbinary(n)`", T::VarBinary { len: 5 }, "65535 bytes", ""),
        ("`tinyblob`…`longblob`", T::Blob { length_bytes: 2 }, "255 bytes…4 GiB", "PostgreSQL ends at 1 GiB"),
        (
            "`enum`",
            T::Enum { labels: vec!["a".into()] },
            "65535 labels",
            "the error value (index 0) is `''` (`enum_zero`)",
        ),
        ("`set`", T::Set { members: vec!["a".into()] }, "64 members", "in the members' order"),
        (
            "`json` (MySQL; MariaDB's `longtext` in UTF-8 with `json_valid`)",
            T::Json { text: false },
            "1 GiB",
            "`jsonb` orders keys and drops repeated ones; numbers keep their digits; `\\u0000` is left out (`nul_byte`), halves of surrogate pairs are U+FFFD (`lone_surrogate`), text that is not JSON becomes a JSON string (`invalid_json`); `text` is carried as it is",
        ),
        ("`geometry`, `point`, …", T::Geometry, "", "EWKB, as PostGIS reads it: `column::geometry`"),
        ("`vector`", T::Vector, "16383 floats", ""),
        ("`uuid` (MariaDB)", T::Uuid, "", ""),
        ("`inet4`, `inet6` (MariaDB)", T::Inet6, "", ""),
    ]
}

fn table() -> String {
    let native = TargetName::new("public", "table_column_enum");
    let mut table =
        "| source | holds | becomes | or, by choice | what changes |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (name, ty, holds, note) in rows() {
        let default = default_type(&ty, &TypeOptions::default());
        let all = choices(&ty, &native);
        assert_eq!(all[0], default, "{name}: the first choice is the default");
        let shown = |ty: &PgType| match ty {
            PgType::Numeric { precision: 12, scale: 2 } => "`numeric(p,s)`".to_owned(),
            PgType::Numeric { .. } | PgType::Bit(1) => format!("`{}`", ty.sql()),
            PgType::Bit(_) | PgType::Varchar(_) => format!("`{}(n)`", short(ty)),
            PgType::Interval(_) | PgType::Time(_) | PgType::Timestamp(_) | PgType::TimestampTz(_) => {
                format!("`{}(f)`", short(ty))
            }
            _ => format!("`{}`", short(ty)),
        };
        let others: Vec<String> = all[1..].iter().map(shown).collect();
        table += &format!("| {name} | {holds} | {} | {} | {note} |\n", shown(&default), others.join(", "));
    }
    table
}

fn parts() -> (String, String, String) {
    let doc = std::fs::read_to_string(DOC).unwrap();
    let (head, rest) = doc.split_once(BEGIN).unwrap();
    let (table, tail) = rest.split_once(END).unwrap();
    (head.to_owned(), table.to_owned(), tail.to_owned())
}

#[test]
fn the_table_in_the_documentation_is_the_type_map() {
    assert_eq!(parts().1, table(), "docs/types.md is not what the code does: make it anew, as it says");
}

#[test]
#[ignore = "writes docs/types.md, as it says"]
fn write_types_doc() {
    let (head, _, tail) = parts();
    std::fs::write(DOC, head + BEGIN + &table() + END + &tail).unwrap();
}

/// Every set that has a decoder is named there, and every setting.
#[test]
fn the_documentation_names_every_character_set_and_setting() {
    let doc = std::fs::read_to_string(DOC).unwrap();
    let one_byte = super::charset::one_byte_names();
    let others = [
        "big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ucs2", "ujis", "utf16", "utf16le",
        "utf32", "utf8mb3", "utf8mb4",
    ];
    for name in one_byte.chain(others) {
        assert!(doc.contains(&format!("`{name}`")), "{name}");
    }
    for setting in
        ["tinyint1", "bigint_unsigned", "enum", "set", "time", "json", "bit1", "datetime_zone", "mask", "key_file"]
    {
        assert!(doc.contains(setting), "{setting}");
    }
}
