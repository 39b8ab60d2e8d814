//! A table of the lab: its CREATE statement and how each column of a row is filled.

use super::random::Random;
use super::words;
use crate::ident::mysql_literal;
use std::borrow::Cow;
use std::fmt::Write;

/// A table that can make its own rows.
#[derive(Debug)]
pub(super) struct Table {
    pub name: Cow<'static, str>,
    pub create: Cow<'static, str>,
    pub columns: Vec<(Cow<'static, str>, Fill)>,
    /// Rows it has in every lab; the workload relies on them.
    pub fixed: u64,
    /// Its share of the rows beyond those, against the other tables' weights.
    pub weight: u64,
}

/// How a column is filled. `row` counts from 1.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fill {
    /// The row's number.
    Id,
    /// The row's number after a prefix, with 8 digits: unique text.
    Serial(&'static str),
    /// The id of any row of a table before.
    Parent(&'static str),
    /// The same, or NULL in 1 of 5 rows.
    MaybeParent(&'static str),
    /// A pair of ids that is different for each row: the first of two tables (or of `0..n`).
    PairFirst(u64),
    /// The second of the pair, counting from this number.
    PairSecond(u64, i64),
    /// One of the list, by the row's number, and once the list is used up with the number behind it.
    Name(&'static [&'static str]),
    OneOf(&'static [&'static str]),
    Person,
    Address,
    Phone,
    Email,
    Nik,
    MaybeSentence,
    Json,
    MaybeJson,
    Day,
    Birthday,
    /// A moment with this many digits of fraction.
    Moment(usize),
    /// A moment in this many of 100 rows, else NULL.
    MaybeMoment(u64),
    Time,
    Int(i64, i64),
    /// A decimal number: bounds in units of the last digit, digits after the point.
    Decimal(i64, i64, usize),
    Float,
    Hex(usize),
    Bytes(usize),
    Uuid,
    LongText,
}

/// How many rows each table has, by name.
pub(super) trait Counts {
    fn rows(&self, table: &str) -> u64;
}

impl Table {
    /// `INSERT INTO t (columns) VALUES `, without the rows.
    pub fn insert_head(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|(name, _)| crate::ident::mysql(name)).collect();
        format!("INSERT INTO {} ({}) VALUES ", crate::ident::mysql(&self.name), columns.join(", "))
    }

    /// Appends `(value, …)`.
    pub fn write_row(&self, row: u64, random: &mut Random, counts: &impl Counts, out: &mut String) {
        for (index, (_, fill)) in self.columns.iter().enumerate() {
            out.push_str(if index == 0 { "(" } else { ", " });
            fill.write(row, random, counts, out);
        }
        out.push(')');
    }
}

impl Fill {
    /// Appends a literal of MySQL.
    fn write(self, row: u64, random: &mut Random, counts: &impl Counts, out: &mut String) {
        let number = match self {
            Self::Id => row.cast_signed(),
            Self::Parent(table) => 1 + random.below(counts.rows(table)).cast_signed(),
            Self::PairFirst(n) => 1 + ((row - 1) % n).cast_signed(),
            Self::PairSecond(n, from) => from + ((row - 1) / n).cast_signed(),
            Self::Int(low, high) => random.between(low, high),
            Self::Decimal(low, high, scale) => {
                let value = random.between(low, high);
                let unit = 10_u64.pow(scale as u32);
                let (sign, value) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
                return put(out, format_args!("{sign}{}.{:0scale$}", value / unit, value % unit));
            }
            Self::Float => {
                return put(out, format_args!("{}e{}", random.between(-99_999, 99_999), random.between(-6, 6)));
            }
            Self::Bytes(length) => {
                return put(out, format_args!("X'{}'", random.hex(length)));
            }
            Self::MaybeParent(_) | Self::MaybeSentence | Self::MaybeJson if random.chance(20) => {
                return out.push_str("NULL");
            }
            Self::MaybeMoment(percent) if !random.chance(percent) => return out.push_str("NULL"),
            Self::MaybeParent(table) => 1 + random.below(counts.rows(table)).cast_signed(),
            _ => return out.push_str(&mysql_literal(&self.text(row, random))),
        };
        put(out, format_args!("{number}"));
    }

    /// The value of a column of text, date or time.
    fn text(self, row: u64, random: &mut Random) -> String {
        match self {
            Self::Serial(prefix) => format!("{prefix}{row:08}"),
            Self::Name(list) => {
                let (index, n) = ((row - 1) as usize % list.len(), (row - 1) as usize / list.len());
                if n == 0 { list[index].to_owned() } else { format!("{} {}", list[index], n + 1) }
            }
            Self::OneOf(list) => random.pick(list).to_owned(),
            Self::Person => words::person(random),
            Self::Address => words::address(random),
            Self::Phone => words::phone(random),
            Self::Email => {
                let name =
                    words::GIVEN[random.below(words::GIVEN.len() as u64) as usize].to_lowercase().replace(' ', ".");
                format!("{name}.{row}@lab-sehat.example")
            }
            Self::Nik => {
                // region, day (women's plus 40), month, year of birth, serial number
                let day = random.between(1, 28) + if random.chance(50) { 40 } else { 0 };
                let (region, month, year) =
                    (random.between(110_101, 947_199), random.between(1, 12), random.below(100));
                format!("{region}{day:02}{month:02}{year:02}{:04}", random.below(10_000))
            }
            Self::MaybeSentence => words::sentence(random),
            Self::Json | Self::MaybeJson => words::json(random),
            Self::Day => words::day(random),
            Self::Birthday => {
                format!("{}-{:02}-{:02}", random.between(1935, 2024), random.between(1, 12), random.between(1, 28))
            }
            Self::Moment(0) | Self::MaybeMoment(_) => words::moment(random),
            Self::Moment(digits) => {
                let fraction = random.below(10_u64.pow(digits as u32));
                format!("{}.{fraction:0digits$}", words::moment(random))
            }
            Self::Time => format!("{:02}:{:02}:00", random.between(0, 23), random.below(60)),
            Self::Hex(bytes) => random.hex(bytes),
            Self::Uuid => random.uuid(),
            Self::LongText => {
                (0..random.between(1, 12)).map(|_| words::sentence(random)).collect::<Vec<_>>().join("\n")
            }
            _ => String::new(), // numbers: written above
        }
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // writing to a String cannot fail
    let _ = out.write_fmt(text);
}
