//! The tables of the value suite: every type, with edge and random values as SQL.
//!
//! A family is a table. Each of its types is two columns, one that takes NULL and one that does not.

use super::random::Random;
use super::texts;
use super::trees;
use sirenia::embedded::SourceKind;

/// Character sets in which encoding_rs knows characters where the servers know none.
const EAST_ASIAN: [&str; 7] = ["big5", "cp932", "euckr", "gb2312", "gbk", "sjis", "ujis"];

/// A type with its values.
pub struct Type {
    /// As in CREATE TABLE.
    pub declared: String,
    /// Values to insert, as SQL expressions.
    pub edges: Vec<String>,
    /// One more of them.
    pub random: Box<dyn Fn(&mut Random) -> String>,
}

/// A table.
pub struct Family {
    pub table: String,
    pub types: Vec<Type>,
    /// More column definitions, whose values the server makes.
    pub made: Vec<String>,
}

impl Type {
    pub fn new(declared: impl Into<String>, edges: &[&str], random: impl Fn(&mut Random) -> String + 'static) -> Self {
        let edges = edges.iter().map(|edge| (*edge).to_owned()).collect();
        Self { declared: declared.into(), edges, random: Box::new(random) }
    }
}

impl Family {
    fn new(table: &str, types: Vec<Type>) -> Self {
        Self { table: table.to_owned(), types, made: Vec::new() }
    }

    /// The names of the columns that are written, the key first.
    pub fn written(&self) -> Vec<String> {
        let pairs = (0..self.types.len()).flat_map(|at| [format!("n{at}"), format!("v{at}")]);
        std::iter::once("id".to_owned()).chain(pairs).collect()
    }

    pub fn create(&self) -> String {
        let mut columns = vec!["id INT PRIMARY KEY".to_owned()];
        for (at, ty) in self.types.iter().enumerate() {
            let default = match &ty.declared {
                declared if declared.starts_with("TIMESTAMP") => " DEFAULT '2000-01-01 00:00:00'",
                declared if declared.ends_with("INVISIBLE") => " DEFAULT 0",
                _ => "",
            };
            columns.push(format!("n{at} {} NULL", ty.declared));
            columns.push(format!("v{at} {} NOT NULL{default}", ty.declared));
        }
        columns.extend(self.made.iter().cloned());
        format!("CREATE TABLE {} ({})", self.table, columns.join(", "))
    }

    /// Puts question marks in the place of what the source itself cannot convert from an East Asian character set, some codes of
    /// Big5 to U+FFFD among it: the source then prints nothing that could be compared with.
    pub fn settle(&self) -> Option<String> {
        let charset = self.table.strip_prefix("text_")?;
        if !EAST_ASIAN.contains(&charset) {
            return None;
        }
        let through = |name: &String| {
            format!("{name} = CONVERT(REPLACE(CONVERT({name} USING utf8mb4), _utf8mb4 X'EFBFBD', '?') USING {charset})")
        };
        let columns: Vec<String> = self.written()[1..].iter().map(through).collect();
        Some(format!("UPDATE IGNORE {} SET {}", self.table, columns.join(", ")))
    }

    /// The statements that insert all edge values and at least `count` rows.
    pub fn inserts(&self, random: &mut Random, count: usize) -> Vec<String> {
        let rows = self.types.iter().map(|ty| ty.edges.len()).max().unwrap_or(0).max(count);
        let mut statements = Vec::new();
        let mut values: Vec<String> = Vec::new();
        let mut bytes = 0;
        for row in 0..rows {
            let mut cells = vec![(row + 1).to_string()];
            for (at, ty) in self.types.iter().enumerate() {
                let value = ty.edges.get(row).cloned().unwrap_or_else(|| (ty.random)(random));
                let null = row >= ty.edges.len() && (row + at) % 7 == 0;
                cells.push(if null { "NULL".to_owned() } else { value.clone() });
                cells.push(value);
            }
            let value = format!("({})", cells.join(", "));
            bytes += value.len();
            values.push(value);
            if bytes > 200_000 || row + 1 == rows {
                // IGNORE: what a column cannot hold is changed to what it can by the server
                let columns = self.written().join(", ");
                statements.push(format!("INSERT IGNORE INTO {} ({columns}) VALUES {}", self.table, values.join(", ")));
                values.clear();
                bytes = 0;
            }
        }
        statements
    }
}

/// All families of a server with these character sets (name, longest character in bytes).
pub fn families(kind: SourceKind, charsets: &[(String, u64)]) -> Vec<Family> {
    let mut all = vec![
        integers(),
        Family::new("decimals", decimals(kind)),
        Family::new("floats", floats()),
        Family::new("bits", [1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 63, 64].map(bit).into()),
        dates(kind),
        binaries(),
        labels(),
        Family::new("json", vec![trees::json(kind)]),
        geometries(kind),
        made(kind),
    ];
    if kind != SourceKind::MariaDb {
        all.push(Family::new("vectors", vectors(kind)));
    }
    if kind.is_mariadb() {
        all.push(addresses());
    }
    for (charset, longest) in charsets.iter().filter(|(name, _)| name != "binary") {
        all.push(Family::new(&format!("text_{charset}"), texts::types(charset, *longest)));
    }
    all
}

fn integers() -> Family {
    let mut types = Vec::new();
    for (name, bits) in [("TINYINT", 8u32), ("SMALLINT", 16), ("MEDIUMINT", 24), ("INT", 32), ("BIGINT", 64)] {
        let (low, high) = (i128::MIN >> (128 - bits), i128::MAX >> (128 - bits));
        let most = u128::MAX >> (128 - bits);
        let signed = [low, low + 1, -1, 0, 1, high - 1, high].map(|value| value.to_string());
        types.push(Type {
            declared: name.to_owned(),
            edges: signed.into(),
            random: Box::new(move |random| (random.i64() >> (64 - bits) >> random.below(bits.into())).to_string()),
        });
        for suffix in ["UNSIGNED", "UNSIGNED ZEROFILL"] {
            let edges = [0, 1, most / 2, most / 2 + 1, most - 1, most].map(|value| value.to_string());
            types.push(Type {
                declared: format!("{name} {suffix}"),
                edges: edges.into(),
                random: Box::new(move |random| (random.next() >> (64 - bits) >> random.below(bits.into())).to_string()),
            });
        }
    }
    types.push(Type::new("TINYINT(1)", &["-1", "0", "1", "2", "127", "-128"], |random| random.below(128).to_string()));
    types.push(Type::new("YEAR", &["0", "1901", "2155", "1970"], |random| (1901 + random.below(255)).to_string()));
    Family::new("integers", types)
}

fn decimals(kind: SourceKind) -> Vec<Type> {
    let mut sizes =
        vec![(1, 0), (1, 1), (5, 2), (9, 9), (10, 0), (18, 9), (19, 10), (28, 2), (30, 30), (38, 0), (65, 0), (65, 30)];
    if kind.is_mariadb() {
        sizes.push((65, 38));
    }
    let mut types = Vec::new();
    for (precision, scale) in sizes {
        for suffix in ["", " UNSIGNED", " ZEROFILL"] {
            let text = move |negative: bool, digits: &str| {
                let (whole, fraction) = digits.split_at(precision - scale);
                let sign = if negative && suffix.is_empty() { "-" } else { "" };
                format!("{sign}{}{whole}.{fraction}0", if whole.is_empty() { "0" } else { "" })
            };
            let least = format!("{}1", "0".repeat(precision - 1));
            let edges = ["9".repeat(precision), "0".repeat(precision), least]
                .iter()
                .flat_map(|digits| [text(false, digits), text(true, digits)])
                .collect();
            let random = move |random: &mut Random| {
                let zeros = random.below(precision as u64) as usize;
                let mut digits = "0".repeat(zeros);
                digits.extend((zeros..precision).map(|_| char::from(b'0' + random.below(10) as u8)));
                text(random.below(2) == 0, &digits)
            };
            types.push(Type {
                declared: format!("DECIMAL({precision},{scale}){suffix}"),
                edges,
                random: Box::new(random),
            });
        }
    }
    types
}

fn floats() -> Vec<Type> {
    let single = &[
        "0",
        "-0e0",
        "0.1234567",
        "16777217",
        "16777216",
        "3.4028234663852886e38",
        "-3.4028234663852886e38",
        "1.1754943508222875e-38",
        "1.401298464324817e-45",
        "-1.1754942e-38",
        "0.1",
        "1e10",
        "123456.789",
    ];
    let double = &[
        "0",
        "-0e0",
        "0.1",
        "1.7976931348623157e308",
        "-1.7976931348623157e308",
        "2.2250738585072014e-308",
        "5e-324",
        "-2.2250738585072009e-308",
        "9007199254740993",
        "123456789012345678",
        "1e15",
        "1e16",
        "1e-5",
        "0.30000000000000004",
    ];
    let any_single = |random: &mut Random| loop {
        let value = f32::from_bits(random.next() as u32);
        if value.is_finite() {
            return format!("{:e}", f64::from(value));
        }
    };
    let any_double = |random: &mut Random| loop {
        let value = f64::from_bits(random.next());
        if value.is_finite() {
            return format!("{value:e}");
        }
    };
    vec![
        Type::new("FLOAT", single, any_single),
        Type::new("DOUBLE", double, any_double),
        Type::new("FLOAT(10,3)", &["0", "-0e0", "1.2345", "9999999.999"], |random| {
            format!("{}e-4", random.i64() >> 36)
        }),
        Type::new("DOUBLE(20,5)", &["0", "-0e0", "1.234565"], |random| format!("{}e-6", random.i64() >> 14)),
        Type::new("FLOAT UNSIGNED", &["0", "0.1"], |random| format!("{}e-6", random.below(1 << 30))),
        Type::new("FLOAT ZEROFILL", &["0", "0.1"], |random| format!("{}e-6", random.below(1 << 30))),
        Type::new("DOUBLE ZEROFILL", &["0", "0.1"], |random| format!("{}e-6", random.below(1 << 30))),
    ]
}

fn bit(bits: u32) -> Type {
    let most = u64::MAX >> (64 - bits);
    Type {
        declared: format!("BIT({bits})"),
        edges: [0, 1, most, most ^ (most >> 1)].map(|value: u64| format!("b'{value:b}'")).into(),
        random: Box::new(move |random| format!("b'{:b}'", random.next() & most)),
    }
}

fn dates(kind: SourceKind) -> Family {
    let days = [
        "0000-00-00",
        "2023-00-15",
        "2023-02-00",
        "2023-00-00",
        "0000-05-05",
        "2023-02-30",
        "1900-02-29",
        "2000-02-29",
        "0001-01-01",
        "1000-01-01",
        "9999-12-31",
        "1582-10-10",
        "1969-12-31",
        "1970-01-01",
        "2000-01-01",
    ];
    let day = |random: &mut Random| match random.below(8) {
        0 => format!("{:04}-{:02}-{:02}", random.below(10_000), random.below(13), random.below(32)),
        _ => format!("{:04}-{:02}-{:02}", 1 + random.below(9_999), 1 + random.below(12), 1 + random.below(28)),
    };
    let clock = |random: &mut Random| {
        let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
        format!("{hour:02}:{minute:02}:{second:02}.{:06}", random.below(1_000_000))
    };
    let mut types = vec![Type {
        declared: "DATE".into(),
        edges: days.map(|day| format!("'{day}'")).into(),
        random: Box::new(move |random| format!("'{}'", day(random))),
    }];
    for fsp in 0..=6 {
        let stamped = |day: &&str| [format!("'{day} 00:00:00'"), format!("'{day} 23:59:59.999999'")];
        // rounded up, this would be beyond the last
        let fits = |value: &String| fsp == 6 || *value != "'9999-12-31 23:59:59.999999'";
        types.push(Type {
            declared: format!("DATETIME({fsp})"),
            edges: days.iter().flat_map(stamped).filter(fits).collect(),
            random: Box::new(move |random| format!("'{} {}'", day(random), clock(random))),
        });
        let mut edges =
            vec!["'0000-00-00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'1999-12-31 23:59:59.499999'"];
        if kind == SourceKind::MariaDb118 {
            edges.extend(["'2038-01-19 03:14:08'", "'2106-02-07 06:28:14.9'"]);
        }
        types.push(Type::new(format!("TIMESTAMP({fsp})"), &edges, move |random| {
            let year = 1971 + random.below(66);
            format!("'{year}-{:02}-{:02} {}'", 1 + random.below(12), 1 + random.below(28), clock(random))
        }));
        let edges = [
            "'00:00:00'",
            "'-00:00:00.000001'",
            "'838:59:59'",
            "'-838:59:59'",
            "'-00:00:00.1'",
            "'23:59:59.999999'",
            "'-01:00:00.5'",
            "'-00:00:01'",
            "'-838:59:58.000001'",
            "'838:59:58.999999'",
            "'00:00:00.000001'",
        ];
        types.push(Type::new(format!("TIME({fsp})"), &edges, move |random| {
            let sign = if random.below(2) == 0 { "-" } else { "" };
            let (hours, minutes, seconds) = (random.below(838), random.below(60), random.below(60));
            format!("'{sign}{hours:02}:{minutes:02}:{seconds:02}.{:06}'", random.below(1_000_000))
        }));
    }
    Family::new("dates", types)
}

fn binaries() -> Family {
    let bytes = |most: u64| {
        move |random: &mut Random| {
            let length = random.below(most + 1);
            let zeros = if random.below(4) == 0 { random.below(4) } else { 0 };
            let hex: String = (0..length).map(|_| format!("{:02X}", random.next() as u8)).collect();
            format!("X'{hex}{}'", "00".repeat(zeros as usize))
        }
    };
    let edges =
        ["''", "X'00'", "X'20'", "X'0000000000000000'", "X'4100'", "X'2020'", "X'4120'", "X'FF00FF00'", "X'5C6E0A'"];
    let large = ["REPEAT(X'00FF', 20000)", "REPEAT('x', 65535)", "REPEAT(X'00', 65535)", "''"];
    Family::new(
        "binaries",
        vec![
            Type::new("BINARY(1)", &edges, bytes(1)),
            Type::new("BINARY(8)", &edges, bytes(8)),
            Type::new("BINARY(255)", &edges, bytes(255)),
            Type::new("VARBINARY(8)", &edges, bytes(8)),
            Type::new("VARBINARY(1000)", &edges, bytes(400)),
            Type::new("CHAR(9) CHARACTER SET binary", &edges, bytes(9)),
            Type::new("VARCHAR(300) CHARACTER SET binary", &edges, bytes(300)),
            Type::new("TEXT CHARACTER SET binary", &edges, bytes(50)),
            Type::new("TINYBLOB", &edges, bytes(255)),
            Type::new("BLOB", &large, bytes(300)),
            Type::new("MEDIUMBLOB", &large, bytes(300)),
            Type::new("LONGBLOB", &large, bytes(300)),
        ],
    )
}

fn labels() -> Family {
    let list = |prefix: &str, count: usize| (1..=count).map(|n| format!("'{prefix}{n}'")).collect::<Vec<_>>().join(",");
    let long = format!("'{}','{}'", "a".repeat(255), "é".repeat(60));
    let number = |count: u64| move |random: &mut Random| random.below(count + 1).to_string();
    let bits = |count: u32| move |random: &mut Random| (random.next() >> (64 - count)).to_string();
    let mut types = vec![
        Type::new("ENUM('a','b','')", &["0", "''", "'a'", "3", "'none'"], number(3)),
        Type::new("ENUM('é','ü','it''s','x,y','back\\\\slash')", &["1", "2", "3", "4", "5"], number(5)),
        Type::new(format!("ENUM({})", list("label", 300)), &["0", "1", "255", "256", "300"], number(300)),
        Type::new(format!("ENUM({long}) CHARACTER SET utf8mb4"), &["0", "1", "2"], number(2)),
        Type::new("ENUM('A','a') CHARACTER SET latin1 COLLATE latin1_bin", &["'A'", "'a'"], number(2)),
        Type::new("ENUM('é','–') CHARACTER SET latin1", &["1", "2"], number(2)),
    ];
    for count in [1, 7, 8, 9, 16, 17, 24, 25, 32, 33, 64] {
        let all = (u64::MAX >> (64 - count)).to_string();
        let last = (1u64 << (count - 1)).to_string();
        types.push(Type::new(
            format!("SET({})", list("m", count as usize)),
            &["0", "''", "1", &last, &all],
            bits(count),
        ));
    }
    types.push(Type::new("SET('é','ß','it''s') CHARACTER SET latin1", &["0", "7", "'é,ß'"], bits(3)));
    Family::new("labels", types)
}

/// Makes a geometry's text, from a function that makes so many points.
type Wkt = fn(&mut Random, &dyn Fn(&mut Random, u64) -> String) -> String;

fn geometries(kind: SourceKind) -> Family {
    let point = |random: &mut Random| {
        let part = |random: &mut Random, most: i64| format!("{}e-3", random.i64() % (most * 1000));
        // within the range of both axes of 4326
        format!("{} {}", part(random, 89), part(random, 89))
    };
    let points =
        move |random: &mut Random, count: u64| (0..count).map(|_| point(random)).collect::<Vec<_>>().join(", ");
    let srid = move |random: &mut Random| [0, 4326, 3857][random.below(3) as usize];
    let of = move |name: &'static str, text: Wkt| {
        Type::new(name, &[], move |random| {
            let wkt = text(random, &points);
            format!("ST_GeomFromText('{wkt}', {})", srid(random))
        })
    };
    let ring = "(0 0, 0 5, 5 5, 5 0, 0 0), (1 1, 1 2, 2 2, 2 1, 1 1)";
    let mut types = vec![
        of("POINT", |random, points| format!("POINT({})", points(random, 1))),
        of("LINESTRING", |random, points| format!("LINESTRING({})", points(random, 7))),
        of("MULTIPOINT", |random, points| format!("MULTIPOINT({})", points(random, 3))),
        of("MULTILINESTRING", |random, points| {
            format!("MULTILINESTRING(({}), ({}))", points(random, 2), points(random, 5))
        }),
        of("GEOMETRYCOLLECTION", |random, points| {
            format!("GEOMETRYCOLLECTION(POINT({}), LINESTRING({}))", points(random, 1), points(random, 3))
        }),
        of("GEOMETRY", |random, points| format!("LINESTRING({})", points(random, 2))),
        Type::new("POLYGON", &[], move |random| format!("ST_GeomFromText('POLYGON({ring})', {})", srid(random))),
        Type::new("MULTIPOLYGON", &[], move |random| {
            format!("ST_GeomFromText('MULTIPOLYGON(({ring}), ((7 7, 7 8, 8 8, 8 7, 7 7)))', {})", srid(random))
        }),
    ];
    if kind == SourceKind::MySql {
        types.push(Type::new("POINT SRID 4326", &[], move |random| {
            format!("ST_GeomFromText('POINT({})', 4326)", point(random))
        }));
        let empty = ["ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')"];
        types.push(Type::new("GEOMETRYCOLLECTION", &empty, move |random| {
            format!("ST_GeomFromText('GEOMETRYCOLLECTION(POINT({}))')", point(random))
        }));
    }
    Family::new("geometries", types)
}

fn vectors(kind: SourceKind) -> Vec<Type> {
    let read = if kind == SourceKind::MySql { "STRING_TO_VECTOR" } else { "VEC_FromText" };
    let of = |length: u64| {
        Type::new(format!("VECTOR({length})"), &[], move |random| {
            let numbers: Vec<String> = (0..length).map(|_| format!("{}e-3", random.i64() >> 30)).collect();
            format!("{read}('[{}]')", numbers.join(","))
        })
    };
    vec![of(1), of(3), of(768)]
}

fn addresses() -> Family {
    let uuid = |random: &mut Random| {
        let hex = format!("{:016x}{:016x}", random.next(), random.next());
        format!("'{}-{}-{}-{}-{}'", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    };
    let uuids = [
        "'00000000-0000-0000-0000-000000000000'",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        "'6ccd780c-baba-1026-9564-5b8c65602400'",
        "'6ccd780c-baba-1026-9564-000000000000'",
        "'0190b5c0-0000-7000-8000-000000000000'",
        "'0190b5c0-1234-7abc-8def-0123456789ab'",
    ];
    let v4 = |random: &mut Random| {
        let [a, b, c, d] = (random.next() as u32).to_be_bytes();
        format!("'{a}.{b}.{c}.{d}'")
    };
    let v6 = |random: &mut Random| {
        let mut groups = (0..8).map(|_| if random.below(3) == 0 { 0 } else { random.next() as u16 });
        format!("'{}'", std::net::Ipv6Addr::from(std::array::from_fn::<u16, 8, _>(|_| groups.next().unwrap())))
    };
    let v6_edges = [
        "'::'",
        "'::1'",
        "'2001:db8::'",
        "'::ffff:192.0.2.1'",
        "'::192.0.2.0'",
        "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'",
    ];
    Family::new(
        "addresses",
        vec![
            Type::new("UUID", &uuids, uuid),
            Type::new("INET4", &["'0.0.0.0'", "'255.255.255.255'", "'10.0.0.0'", "'0.0.0.1'"], v4),
            Type::new("INET6", &v6_edges, v6),
        ],
    )
}

/// Generated and invisible columns. MariaDB 11.8 does not log generated columns in updates, so they are refused there.
fn made(kind: SourceKind) -> Family {
    let number = Type::new("INT INVISIBLE", &["0", "-1", "2147483647"], |random| (random.i64() >> 32).to_string());
    let word = Type::new("VARCHAR(20)", &["''", "'é '", "'x'"], |random| format!("'w{}'", random.below(1_000_000)));
    let mut family = Family::new("made", vec![number, word]);
    if kind == SourceKind::MariaDb118 {
        return family;
    }
    family.made = vec![
        "g0 BIGINT AS (v0 * 2) VIRTUAL".to_owned(),
        "g1 VARCHAR(30) AS (CONCAT(v1, '!')) STORED".to_owned(),
        "g2 DECIMAL(30,4) AS (v0 / 3) STORED".to_owned(),
        "g3 VARCHAR(30) AS (CONCAT(n1, '?')) VIRTUAL".to_owned(),
    ];
    family
}
