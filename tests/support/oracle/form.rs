//! One form for what the two servers print differently.

use std::net::IpAddr;

/// How a column's values are printed on both sides, and brought to one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is printed.
    Plain,
    Integer,
    Decimal,
    Float,
    Double,
    Bit {
        bits: usize,
    },
    Date {
        nullable: bool,
    },
    Stamp {
        nullable: bool,
        zone: bool,
        fraction: usize,
    },
    Time,
    Text,
    /// Text in ucs2, of which MySQL converts nothing to UTF-8 when half of a surrogate pair is in it.
    Ucs2,
    Set,
    Json,
    Bytes,
    Geometry,
    Vector,
    Address,
}

impl Form {
    /// The form of a column by `DATA_TYPE`, `COLUMN_TYPE` and character set.
    pub fn of(ty: &str, full: &str, charset: Option<&str>, json: bool, nullable: bool) -> Self {
        // the number in `datetime(6)`, `bit(5)`
        let number = full
            .split_once('(')
            .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
            .unwrap_or(0);
        match ty {
            _ if json => Self::Json,
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => Self::Integer,
            "decimal" => Self::Decimal,
            "float" => Self::Float,
            "double" => Self::Double,
            "bit" => Self::Bit { bits: number.max(1) },
            "date" => Self::Date { nullable },
            "datetime" | "timestamp" => Self::Stamp { nullable, zone: ty == "timestamp", fraction: number },
            "time" => Self::Time,
            "set" => Self::Set,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Self::Bytes,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
            | "geomcollection" | "geometrycollection" => Self::Geometry,
            "vector" => Self::Vector,
            "inet4" | "inet6" => Self::Address,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" if charset == Some("ucs2") => {
                Self::Ucs2
            }
            _ if charset.is_some() => Self::Text,
            _ => Self::Plain,
        }
    }

    pub fn is_json(self) -> bool {
        self == Self::Json
    }

    /// The expression of a column that makes the source print it, in ASCII.
    pub fn on_mysql(self, c: &str) -> String {
        match self {
            Self::Integer => format!("CAST({c} + 0 AS CHAR)"), // without ZEROFILL's zeros
            Self::Float => format!("{c} * 1e0"), // all digits of the exact value; CAST to CHAR cuts at 22 characters
            Self::Double => c.to_owned(),
            Self::Bit { .. } => format!("BIN({c} + 0)"),
            Self::Bytes | Self::Geometry | Self::Vector | Self::Ucs2 => format!("HEX({c})"),
            Self::Text | Self::Set | Self::Json => format!("HEX(CONVERT({c} USING utf8mb4))"),
            _ => format!("CAST({c} AS CHAR)"),
        }
    }

    /// The expression of a column that makes the target print it.
    pub fn on_postgres(self, c: &str) -> String {
        match self {
            Self::Float => format!("{c}::float8::text"),
            Self::Date { .. } => format!("to_char({c}, 'YYYY-MM-DD')"),
            Self::Stamp { zone, fraction, .. } => {
                let value = if zone { format!("({c} AT TIME ZONE 'UTC')") } else { c.to_owned() };
                let digits = if fraction == 0 { String::new() } else { format!(".FF{fraction}") };
                format!("to_char({value}, 'YYYY-MM-DD HH24:MI:SS{digits}')")
            }
            Self::Time => format!("(extract(epoch FROM {c}) * 1000000)::bigint::text"),
            Self::Set => format!("array_to_string({c}, ',')"),
            Self::Bytes | Self::Geometry => format!("upper(encode({c}, 'hex'))"),
            _ => format!("{c}::text"),
        }
    }

    /// What the source has printed, in one form, changed as the default of what PostgreSQL cannot hold says.
    pub fn expected(self, printed: Option<String>) -> Option<String> {
        let printed = printed?;
        Some(match self {
            Self::Decimal => {
                let (sign, digits) = printed.strip_prefix('-').map_or(("", printed.as_str()), |digits| ("-", digits));
                let kept = digits.trim_start_matches('0');
                let zero = if kept.is_empty() || kept.starts_with('.') { "0" } else { "" };
                format!("{sign}{zero}{kept}")
            }
            Self::Bit { bits } => format!("{printed:0>bits$}"),
            Self::Date { nullable } => return calendar(&printed).or((!nullable).then(|| "1970-01-01".into())),
            Self::Stamp { nullable, fraction, .. } => {
                let zeros = if fraction == 0 { String::new() } else { format!(".{}", "0".repeat(fraction)) };
                return calendar(&printed).or((!nullable).then(|| format!("1970-01-01 00:00:00{zeros}")));
            }
            Self::Time => micros(&printed).to_string(),
            Self::Text | Self::Set => text(&unhex(&printed)),
            Self::Ucs2 => {
                let bytes = unhex(&printed);
                let units = bytes.chunks(2).map(|unit| u32::from(unit[0]) << 8 | u32::from(unit[1]));
                text(units.map(|unit| char::from_u32(unit).unwrap_or('?')).collect::<String>().as_bytes())
            }
            Self::Json => json(&String::from_utf8(unhex(&printed)).expect("JSON is UTF-8")),
            Self::Geometry => ewkb(&unhex(&printed)),
            Self::Vector => {
                floats(unhex(&printed).chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes"))))
            }
            _ => self.common(printed),
        })
    }

    /// What the target has printed, in one form.
    pub fn seen(self, printed: Option<String>) -> Option<String> {
        let printed = printed?;
        Some(match self {
            Self::Text | Self::Ucs2 | Self::Set => text(printed.as_bytes()),
            Self::Vector => {
                let list = printed.trim_matches(['{', '}']);
                floats(
                    list.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().expect("a float")),
                )
            }
            Self::Bit { .. } | Self::Integer if printed == "true" => "1".into(),
            Self::Bit { .. } | Self::Integer if printed == "false" => "0".into(),
            _ => self.common(printed),
        })
    }

    fn common(self, printed: String) -> String {
        match self {
            Self::Float | Self::Double => number(printed.parse().expect("a number")),
            Self::Address => {
                let address: IpAddr = printed.split('/').next().unwrap_or_default().parse().expect("an address");
                address.to_string()
            }
            _ => printed,
        }
    }
}

fn number(value: f64) -> String {
    format!("{value:?}")
}

fn floats(values: impl Iterator<Item = f32>) -> String {
    values.map(|value| format!("{value:?}")).collect::<Vec<_>>().join(" ")
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hexadecimal") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Text without NUL characters. Where something means nothing in a character set, the source prints one or more question
/// marks or bytes that are no UTF-8, and the target holds one or more U+FFFD: one form for any run of these.
fn text(bytes: &[u8]) -> String {
    let mut out = String::new();
    for c in String::from_utf8_lossy(bytes).chars().filter(|c| *c != '\0') {
        let c = if c == '\u{FFFD}' { '?' } else { c };
        if c != '?' || !out.ends_with('?') {
            out.push(c);
        }
    }
    out
}

/// JSON's text without `\u0000` and with U+FFFD for half of a surrogate pair.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let unit = |text: &str| text.strip_prefix("\\u").and_then(|hex| u32::from_str_radix(hex.get(..4)?, 16).ok());
        let (keep, length) = match unit(rest) {
            Some(0) => ("", 6),
            Some(0xD800..0xDC00) if rest.get(6..).and_then(unit).is_some_and(|low| (0xDC00..0xE000).contains(&low)) => {
                (&rest[..12], 12)
            }
            Some(0xD800..0xE000) => ("\u{FFFD}", 6),
            Some(_) => (&rest[..6], 6),
            None => (&rest[..2], 2),
        };
        out.push_str(keep);
        rest = &rest[length..];
    }
    out + rest
}

/// A date that exists, as it was printed.
fn calendar(printed: &str) -> Option<String> {
    let part = |range: std::ops::Range<usize>| printed.get(range).and_then(|digits| digits.parse::<u32>().ok());
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 0,
    };
    (year > 0 && (1..=days).contains(&day)).then(|| printed.to_owned())
}

/// Microseconds of `-838:59:59.000000`.
fn micros(printed: &str) -> i64 {
    let (sign, rest) = printed.strip_prefix('-').map_or((1, printed), |rest| (-1, rest));
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let seconds = whole.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().expect("a number"));
    let micros: i64 = format!("{fraction:0<6}").parse().expect("digits");
    sign * (seconds * 1_000_000 + micros)
}

/// The source's SRID and WKB as EWKB: the SRID stands behind the type, which has a bit for it.
fn ewkb(bytes: &[u8]) -> String {
    let (srid, wkb) = bytes.split_at(4);
    let mut out = wkb.to_vec();
    if srid != [0; 4] {
        assert_eq!(wkb[0], 1, "the servers store little-endian geometry");
        out[4] |= 0x20;
        out.splice(5..5, srid.iter().copied());
    }
    out.iter().map(|byte| format!("{byte:02X}")).collect()
}
