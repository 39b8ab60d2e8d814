//! Partial JSON updates: what `binlog_row_value_options=PARTIAL_JSON` writes in place of a document, applied to the document
//! before.
//!
//! A value is a list of changes: replace, insert or remove at a path. Enters: the binary document before and the list; leaves: the
//! document after as text, byte for byte what the server's `CAST(json AS CHAR)` gives. Only the containers on the paths are
//! opened; all else stays bytes of the document before until it is written. What the server could not apply is an error, as
//! it is there.
//!
//! Format: `Json_diff_vector::write_binary()` and `apply_json_diffs()` in `sql/json_diff.cc`; paths: `sql-common/json_path.cc`.

use super::json::{Container, MAX_DEPTH, Writer, string};
use super::reader::Reader;
use std::borrow::Cow;

/// A document that is being changed.
enum Node<'a> {
    /// Unchanged: its type code and bytes.
    Stored(u8, &'a [u8]),
    /// In the server's order: shorter keys first, then by bytes.
    Object(Vec<(Cow<'a, [u8]>, Node<'a>)>),
    Array(Vec<Node<'a>>),
}

/// One step of a path.
enum Leg<'a> {
    Member(Cow<'a, [u8]>),
    Cell(usize),
}

/// Appends the document that `changes` make of `before`, as text. `None`: they do not fit each other, or are damaged.
pub(super) fn apply(before: &[u8], changes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (code, data) = before.split_first()?;
    let mut root = Node::Stored(*code, data);
    // in a sound document no two values share bytes: the containers opened and what is written are no longer than it
    let most = before.len() + changes.len() + 16;
    let mut budget = most;
    let mut reader = Reader::new(changes);
    while !reader.is_empty() {
        let operation = reader.u8()?;
        let mut legs = legs(reader.lenenc_bytes()?)?;
        let value = match operation {
            REMOVE => None,
            _ => {
                let (code, data) = reader.lenenc_bytes()?.split_first()?;
                Some(Node::Stored(*code, data))
            }
        };
        let last = legs.pop();
        match (operation, last, value) {
            (REPLACE, None, Some(value)) => root = value,
            (REPLACE, Some(last), Some(value)) => *root.seek(&legs, &mut budget)?.child(&last, &mut budget)? = value,
            (INSERT, Some(last), Some(value)) => root.seek(&legs, &mut budget)?.insert(last, value, &mut budget)?,
            (REMOVE, Some(last), None) => root.seek(&legs, &mut budget)?.remove(&last, &mut budget)?,
            _ => return None,
        }
    }
    let mut writer = Writer::new(most, out);
    root.write(&mut writer, 0)
}

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

impl<'a> Node<'a> {
    fn seek(&mut self, legs: &[Leg<'a>], budget: &mut usize) -> Option<&mut Self> {
        legs.iter().try_fold(self, |node, leg| node.child(leg, budget))
    }

    /// Opens a stored container, so that it can be changed. `budget`: bytes of containers that may still be opened.
    fn open(&mut self, budget: &mut usize) -> Option<()> {
        let Self::Stored(code, data) = *self else { return Some(()) };
        let mut container = Container::read(code, data)?;
        *budget = budget.checked_sub(container.head_bytes())?;
        if container.is_object() {
            let mut members = Vec::new();
            while let Some((key, code, data)) = container.next()? {
                members.push((Cow::Borrowed(key), Self::Stored(code, data)));
            }
            *self = Self::Object(members);
        } else {
            let mut cells = Vec::new();
            while let Some((_, code, data)) = container.next()? {
                cells.push(Self::Stored(code, data));
            }
            *self = Self::Array(cells);
        }
        Some(())
    }

    fn child(&mut self, leg: &Leg<'a>, budget: &mut usize) -> Option<&mut Self> {
        self.open(budget)?;
        match (self, leg) {
            (Self::Object(members), Leg::Member(key)) => {
                members.iter_mut().find(|(other, _)| other == key).map(|(_, value)| value)
            }
            (Self::Array(cells), Leg::Cell(index)) => cells.get_mut(*index),
            _ => None,
        }
    }

    /// A new member, or a new cell before the one at the index; behind the last where there is none.
    fn insert(&mut self, leg: Leg<'a>, value: Self, budget: &mut usize) -> Option<()> {
        self.open(budget)?;
        match (self, leg) {
            (Self::Object(members), Leg::Member(key)) => {
                let order = |other: &Cow<'_, [u8]>| other.len().cmp(&key.len()).then_with(|| other.cmp(&key));
                let place = members.binary_search_by(|(other, _)| order(other)).err()?;
                members.insert(place, (key, value));
            }
            (Self::Array(cells), Leg::Cell(index)) => cells.insert(index.min(cells.len()), value),
            _ => return None,
        }
        Some(())
    }

    fn remove(&mut self, leg: &Leg<'a>, budget: &mut usize) -> Option<()> {
        self.open(budget)?;
        match (self, leg) {
            (Self::Object(members), Leg::Member(key)) => {
                let place = members.iter().position(|(other, _)| other == key)?;
                members.remove(place);
            }
            (Self::Array(cells), Leg::Cell(index)) if *index < cells.len() => {
                cells.remove(*index);
            }
            _ => return None,
        }
        Some(())
    }

    fn write(&self, writer: &mut Writer<'_>, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self {
            Self::Stored(code, data) => writer.value(*code, data, depth),
            Self::Object(members) => {
                writer.out.push(b'{');
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        writer.out.extend_from_slice(b", ");
                    }
                    writer.spend(key.len())?;
                    string(key, writer.out);
                    writer.out.extend_from_slice(b": ");
                    value.write(writer, depth + 1)?;
                }
                writer.out.push(b'}');
                Some(())
            }
            Self::Array(cells) => {
                writer.out.push(b'[');
                for (i, value) in cells.iter().enumerate() {
                    if i > 0 {
                        writer.out.extend_from_slice(b", ");
                    }
                    value.write(writer, depth + 1)?;
                }
                writer.out.push(b']');
                Some(())
            }
        }
    }
}

/// `$`, then `.name`, `."name in JSON's quotes"` or `[index]`, as often as there are levels.
fn legs(path: &[u8]) -> Option<Vec<Leg<'_>>> {
    let mut rest = path.strip_prefix(b"$")?;
    let mut legs = Vec::new();
    while let Some((first, tail)) = rest.split_first() {
        if legs.len() > MAX_DEPTH {
            return None;
        }
        if *first == b'[' {
            let end = tail.iter().position(|byte| *byte == b']')?;
            legs.push(Leg::Cell(std::str::from_utf8(&tail[..end]).ok()?.parse().ok()?));
            rest = &tail[end + 1..];
        } else if *first == b'.' && tail.first() == Some(&b'"') {
            let end = quoted_end(tail)?;
            let quoted = &tail[..end];
            let key = if quoted.contains(&b'\\') {
                Cow::Owned(serde_json::from_slice::<String>(quoted).ok()?.into_bytes())
            } else {
                Cow::Borrowed(&quoted[1..end - 1])
            };
            legs.push(Leg::Member(key));
            rest = &tail[end..];
        } else if *first == b'.' {
            let end = tail.iter().position(|byte| matches!(byte, b'.' | b'[')).unwrap_or(tail.len());
            legs.push(Leg::Member(Cow::Borrowed(tail.get(..end).filter(|name| !name.is_empty())?)));
            rest = &tail[end..];
        } else {
            return None;
        }
    }
    Some(legs)
}

/// Behind the closing quote of the string that `text` begins with.
fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `{"a": [1, "x"]}`
    const BEFORE: &[u8] = b"\0\x01\0\x18\0\x0b\0\x01\0\x02\x0c\0a\x02\0\x0c\0\x05\x01\0\x0c\x0a\0\x01x";

    fn change(operation: u8, path: &str, value: Option<&[u8]>) -> Vec<u8> {
        let mut bytes = vec![operation, path.len() as u8];
        bytes.extend(path.as_bytes());
        if let Some(value) = value {
            bytes.push(value.len() as u8);
            bytes.extend(value);
        }
        bytes
    }

    fn applied(changes: &[Vec<u8>]) -> Option<String> {
        let mut out = Vec::new();
        apply(BEFORE, &changes.concat(), &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    const SEVEN: Option<&[u8]> = Some(&[5, 7, 0]);

    #[test]
    fn changes_at_paths() {
        for (changes, after) in [
            (vec![], r#"{"a": [1, "x"]}"#),
            (vec![change(REPLACE, "$", SEVEN)], "7"),
            (vec![change(REPLACE, "$.a", SEVEN)], r#"{"a": 7}"#),
            (vec![change(REPLACE, r#"$."a"[1]"#, SEVEN)], r#"{"a": [1, 7]}"#),
            (vec![change(INSERT, "$.a[0]", SEVEN)], r#"{"a": [7, 1, "x"]}"#),
            (vec![change(INSERT, "$.a[9]", SEVEN)], r#"{"a": [1, "x", 7]}"#),
            (vec![change(INSERT, r#"$."A\n\u00e9""#, SEVEN)], r#"{"a": [1, "x"], "A\né": 7}"#),
            (vec![change(INSERT, "$.\"\"", SEVEN), change(INSERT, "$.B", SEVEN)], r#"{"": 7, "B": 7, "a": [1, "x"]}"#),
            (vec![change(REMOVE, "$.a[0]", None), change(REPLACE, "$.a[0]", SEVEN)], r#"{"a": [7]}"#),
            (vec![change(REMOVE, "$.a", None)], "{}"),
        ] {
            assert_eq!(applied(&changes).as_deref(), Some(after));
        }
    }

    #[test]
    fn what_cannot_be_applied_is_an_error() {
        for changes in [
            change(REPLACE, "$.b", SEVEN),
            change(REPLACE, "$.a[2]", SEVEN),
            change(REPLACE, "$[0]", SEVEN),
            change(REPLACE, "$.a[1].x", SEVEN),
            change(INSERT, "$.a", SEVEN),
            change(INSERT, "$", SEVEN),
            change(REMOVE, "$.a[2]", None),
            change(REMOVE, "$", None),
            change(3, "$.a", SEVEN),
            change(REPLACE, "a", SEVEN),
            change(REPLACE, "$.", SEVEN),
            change(REPLACE, "$.a[", SEVEN),
            change(REPLACE, "$.a[-1]", SEVEN),
            change(REPLACE, "$.\"a", SEVEN),
            change(REPLACE, "$.\"a\\", SEVEN),
            change(REPLACE, "$.a", Some(&[])),
            change(REPLACE, "$.a", Some(&[5, 7])),
        ] {
            assert_eq!(applied(std::slice::from_ref(&changes)), None, "{changes:?}");
        }
    }

    #[test]
    fn shared_bytes_are_refused() {
        // an array of many cells that all are one object of many members, all of one name
        let (members, cells) = (200_usize, 200_usize);
        let w = |n: usize| (n as u16).to_le_bytes();
        let name = [b'k'; 100];
        let head = 4 + 7 * members;
        let mut object = [w(members), w(head + name.len())].concat();
        (0..members).for_each(|_| object.extend([w(head), w(name.len())].concat()));
        (0..members).for_each(|_| object.extend([4, 0, 0]));
        object.extend(name);
        let head = 4 + 3 * cells;
        let mut array = [&[2][..], &w(cells), &w(head + object.len())].concat();
        (0..cells).for_each(|_| array.extend([&[0][..], &w(head)].concat()));
        array.extend(&object);

        let changed: Vec<u8> = (0..cells).flat_map(|i| change(INSERT, &format!("$[{i}].x"), SEVEN)).collect();
        let mut out = Vec::new();
        assert_eq!(apply(&array, &changed, &mut out), None);
        let one = [&[0][..], &object].concat();
        assert_eq!(apply(&one, &change(INSERT, "$.x", SEVEN), &mut out), None);
        assert!(out.len() < 16 * (array.len() + changed.len()), "{}", out.len());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            before in proptest::collection::vec(any::<u8>(), 0..40),
            changes in proptest::collection::vec(any::<u8>(), 0..60),
            path in r#"\$((\.|\[)(a|"a"|0|1|\]|\\"|"){0,2}){0,3}"#,
        ) {
            let _ = apply(&before, &changes, &mut Vec::new());
            let _ = apply(BEFORE, &changes, &mut Vec::new());
            for operation in [REPLACE, INSERT, REMOVE] {
                let _ = apply(BEFORE, &[change(operation, &path, SEVEN), changes.clone()].concat(), &mut Vec::new());
            }
        }
    }
}
