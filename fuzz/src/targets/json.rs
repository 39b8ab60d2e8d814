//! MySQL's binary JSON, and partial updates of it.

use super::recorded::{int, table};
use super::watch::Watch;
use super::{head, wire};
use sirenia::binlog::json::to_text;
use sirenia::schema::{Flavor, SourceType, TableSchema};
use sirenia::value::ValueRef;
use std::sync::{Arc, LazyLock};

/// A document (first byte even), or a document and changes of it, as a partial update has them. The next two bytes are the length
/// of the document before.
pub fn json(data: &[u8]) {
    let ([mode], document) = head(data);
    if mode & 1 == 0 {
        check(document);
        return;
    }
    let (length, rest) = head(document);
    let (before, changes) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(length))));
    partial_update(before, changes);
}

/// Every text is JSON, and not longer than the document allows.
pub fn check(document: &[u8]) {
    let mut text = Vec::new();
    let read = to_text(document, &mut text);
    within(&text, document.len());
    if read.is_ok() {
        check_text(&text);
        let mut again = b"[".to_vec();
        assert!(to_text(document, &mut again).is_ok());
        assert_eq!(again[1..], text, "it appends, and the same each time");
    }
}

/// Strings are the stored bytes: where they are not UTF-8, all else must still be JSON.
pub fn check_text(text: &[u8]) {
    let read = serde_json::from_str::<serde_json::Value>(&String::from_utf8_lossy(text));
    assert!(read.is_ok(), "{read:?}: {}", text.escape_ascii());
}

/// In a sound document no bytes count twice, and the longest that three of them become is `-32768, `.
fn within(text: &[u8], bytes: usize) {
    assert!(text.len() <= 8 * bytes + 256, "{} bytes of text from {bytes} bytes", text.len());
}

/// An update of a table `docs (id INT, j JSON)`.
fn partial_update(before: &[u8], changes: &[u8]) {
    static DOCS: LazyLock<Arc<TableSchema>> =
        LazyLock::new(|| table("fx", "docs", vec![("id", int(4, false)), ("j", SourceType::Json { text: false })]));
    let mut watch = Watch::new(Flavor::MySql, false, std::slice::from_ref(&*DOCS));
    let columns = [2, 3, 245, 1, 4, 3]; // count, types, metadata, which may be NULL
    watch.prepare(&[wire::begin(), wire::event(wire::TABLE_MAP, 0, 0, &wire::table_map("fx", "docs", &columns))]);
    // head, columns, those of both images, NULLs, id
    let mut body = vec![9, 0, 0, 0, 0, 0, 1, 0, 2, 0, 2, 3, 3, 0, 1, 0, 0, 0];
    body.extend((before.len() as u32).to_le_bytes());
    body.extend(before);
    body.extend([1, 1, 0, 1, 0, 0, 0]); // partial updates, of the only document; NULLs, id
    body.extend((changes.len() as u32).to_le_bytes());
    body.extend(changes);
    let event = wire::event(wire::PARTIAL_UPDATE_ROWS, 0, 0, &body);
    let mut see = |ty: &SourceType, value: &ValueRef<'_>| {
        if let (SourceType::Json { .. }, ValueRef::Bytes(text)) = (ty, value) {
            within(text, before.len() + changes.len());
        }
    };
    let _ = watch.take(wire::frame(&event), &mut see);
}
