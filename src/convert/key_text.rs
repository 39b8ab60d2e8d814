//! A row's key as people read it: `{"id":7,"kode":"A/12"}`.
//!
//! For the control tables `sirenia.sanitized` and `sirenia.quarantine` and the commands that read them, which are the only
//! places where a key may be shown; of a masked column its hash. Two different keys may read alike (text that is invalid in its character set): nothing
//! finds a row by it.

use super::charset::Decoder;
use super::plan::{TablePlan, Treatment};
use super::text_form::TextForm;
use crate::masking::MaskKey;
use crate::schema::SourceType;
use crate::value::ValueRef;
use serde_json::Value;
use std::fmt::Write;

/// The values of these source columns as a JSON object; none without columns.
pub(super) fn key_text(plan: &TablePlan, columns: &[usize], row: &[ValueRef<'_>]) -> Option<Box<str>> {
    if columns.is_empty() {
        return None;
    }
    // by hand, since serde_json's objects forget the order of the key's columns
    let named = |source: &usize| {
        let (column, value) = (plan.source.columns.get(*source)?, row.get(*source)?);
        let planned = plan.columns.iter().find(|planned| planned.source == *source);
        let value = match planned.map(|planned| &planned.treatment) {
            Some(Treatment::Hashed(key)) => hashed(&column.ty, value, key),
            Some(Treatment::Nulled) => Value::Null,
            _ => readable(&column.ty, value),
        };
        Some(format!("{}:{value}", Value::from(column.name.as_str())))
    };
    let members: Vec<String> = columns.iter().filter_map(named).collect();
    Some(format!("{{{}}}", members.join(",")).into())
}

fn hashed(ty: &SourceType, value: &ValueRef<'_>, key: &MaskKey) -> Value {
    let (mut text, mut hash) = (Vec::new(), Vec::new());
    match TextForm::of(ty).map(|form| form.append(value, &mut text)) {
        Some(Ok(_)) => key.append(&text, &mut hash),
        _ => return Value::Null,
    }
    String::from_utf8_lossy(&hash).into()
}

fn readable(ty: &SourceType, value: &ValueRef<'_>) -> Value {
    match value {
        ValueRef::Absent | ValueRef::Null => Value::Null,
        ValueRef::Int(value) => (*value).into(),
        ValueRef::UInt(value) | ValueRef::Bit(value) | ValueRef::Set(value) => (*value).into(),
        ValueRef::Float(value) => (*value).into(),
        ValueRef::Double(value) => (*value).into(),
        ValueRef::Decimal(value) => value.as_str().into(),
        ValueRef::Enum(index) => match ty {
            SourceType::Enum { labels } if *index > 0 => {
                labels.get(usize::from(*index) - 1).map_or_else(|| (*index).into(), |label| label.as_str().into())
            }
            _ => (*index).into(),
        },
        ValueRef::Date(d) => format!("{:04}-{:02}-{:02}", d.year, d.month, d.day).into(),
        ValueRef::DateTime(t) => {
            let date = readable(ty, &ValueRef::Date(t.date));
            let clock = format!("{:02}:{:02}:{:02}.{:06}", t.hour, t.minute, t.second, t.micros);
            format!("{} {clock}", date.as_str().unwrap_or_default()).into()
        }
        ValueRef::Time(t) => {
            let sign = if t.negative { "-" } else { "" };
            format!("{sign}{:02}:{:02}:{:02}.{:06}", t.hours, t.minutes, t.seconds, t.micros).into()
        }
        ValueRef::Timestamp { seconds, micros } => format!("@{seconds}.{micros:06}").into(),
        ValueRef::Bytes(bytes) | ValueRef::JsonBinary(bytes) => {
            let decoder = ty.charset().filter(|set| set.name != "binary").and_then(|set| Decoder::of(&set.name));
            match decoder {
                Some(decoder) => {
                    let mut text = Vec::with_capacity(bytes.len());
                    decoder.append(bytes, &mut text);
                    String::from_utf8_lossy(&text).into()
                }
                None => {
                    let mut hex = String::from("0x");
                    for byte in *bytes {
                        let _ = write!(hex, "{byte:02x}");
                    }
                    hex.into()
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::PgType;
    use super::super::sample::{charset, int, planned, table};
    use super::*;

    #[test]
    fn keys_are_readable() {
        let name = SourceType::VarChar { chars: 9, charset: charset("latin1") };
        let labels = SourceType::Enum { labels: vec!["kecil".into(), "besar".into()] };
        let source =
            table("t", &[("id", int(8, true)), ("nama", name), ("x", SourceType::VarBinary { len: 4 }), ("e", labels)]);
        let row =
            [ValueRef::UInt(u64::MAX), ValueRef::Bytes(b"Ren\xE9\0"), ValueRef::Bytes(b"\0\xFF"), ValueRef::Enum(2)];
        let plan = planned(source);
        let text = key_text(&plan, &[0, 1, 2, 3], &row).unwrap();
        assert_eq!(&*text, r#"{"id":18446744073709551615,"nama":"René","x":"0x00ff","e":"besar"}"#);
        assert_eq!(key_text(&plan, &[], &row), None);

        let mut masked = TablePlan::clone(&plan);
        masked.columns[1].ty = PgType::Text;
        masked.columns[1].treatment = Treatment::Hashed(MaskKey::new(&[1; 16]).unwrap());
        let text = key_text(&masked, &[1], &row).unwrap();
        assert!(!text.contains("Ren") && text.len() == r#"{"nama":""}"#.len() + 64, "{text}");
    }
}
