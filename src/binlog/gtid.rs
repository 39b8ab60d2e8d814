//! GTID events: which transaction the group that follows is.
//!
//! MySQL's GTID_LOG (33), ANONYMOUS (34) and tagged (42, in the `mysql::serialization` format) and MariaDB's (162).

use super::event::types;
use super::reader::Reader;
use crate::position::{GtidSet, GtidSource};

/// The transaction's name, to be added to the executed set when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gtid {
    /// The source keeps no GTIDs.
    Anonymous,
    /// Source and number.
    MySql(GtidSource, u64),
    /// Domain, server and sequence number.
    MariaDb(u32, u32, u64),
}

impl Gtid {
    /// As the server prints it.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Anonymous => None,
            Self::MySql(source, number) => Some(format!("{source}:{number}")),
            Self::MariaDb(domain, server, sequence) => Some(format!("{domain}-{server}-{sequence}")),
        }
    }

    /// Adds it to the set of its own dialect.
    pub fn add_to(&self, set: &mut GtidSet) {
        match (self, set) {
            (Self::MySql(source, number), GtidSet::MySql(set)) => set.add(source, *number),
            (Self::MariaDb(domain, server, sequence), GtidSet::MariaDb(set)) => set.add(*domain, *server, *sequence),
            _ => {}
        }
    }
}

/// MySQL's GTID events of all three kinds.
pub(super) fn mysql(event_type: u8, body: &[u8]) -> Option<Gtid> {
    if event_type == types::GTID_TAGGED {
        return tagged(body);
    }
    let mut reader = Reader::new(body);
    reader.u8()?; // flags
    let uuid = reader.array()?;
    let number = reader.u64()?;
    if event_type == types::ANONYMOUS_GTID {
        return Some(Gtid::Anonymous);
    }
    valid_number(number).then(|| Gtid::MySql(GtidSource { uuid, tag: String::new() }, number))
}

/// GTID numbers are positive 63-bit integers.
fn valid_number(number: u64) -> bool {
    0 < number && number < i64::MAX as u64
}

/// The tagged event: format version, message size, last field that must not be ignored, then fields by number, of
/// which 0…3 are flags, UUID, number and tag (`libs/mysql/binlog/event/control_events.h`, `Gtid_event::define_fields`).
fn tagged(body: &[u8]) -> Option<Gtid> {
    const FORMAT_VERSION: u64 = 1;
    const LONGEST_TAG: u64 = 32;
    let mut reader = Reader::new(body);
    if varlen(&mut reader)? != FORMAT_VERSION {
        return None;
    }
    varlen(&mut reader)?; // message size
    varlen(&mut reader)?; // last non-ignorable field
    let (mut uuid, mut number, mut tag) = (None, None, None);
    while tag.is_none() {
        match varlen(&mut reader)? {
            0 => {
                reader.u8()?;
            }
            1 => {
                let mut bytes = [0; 16];
                for byte in &mut bytes {
                    *byte = u8::try_from(varlen(&mut reader)?).ok()?;
                }
                uuid = Some(bytes);
            }
            2 => number = Some(u64::try_from(signed(varlen(&mut reader)?)).ok()?),
            3 => {
                let len = varlen(&mut reader).filter(|len| *len <= LONGEST_TAG)?;
                let bytes = reader.bytes(usize::try_from(len).ok()?)?;
                tag = Some(std::str::from_utf8(bytes).ok()?.to_owned());
            }
            _ => return None, // fields come in the order of their numbers, and this event exists for its tag
        }
    }
    let number = number.filter(|number| valid_number(*number))?;
    let tag = tag.filter(|tag: &String| tag.is_empty() || GtidSource::is_tag(tag))?;
    Some(Gtid::MySql(GtidSource { uuid: uuid?, tag }, number))
}

/// An integer of 1…9 bytes: as many bytes follow the first as it has trailing one bits
/// (`libs/mysql/serialization/variable_length_integers.h`).
fn varlen(reader: &mut Reader<'_>) -> Option<u64> {
    let first = reader.u8()?;
    let more = first.trailing_ones();
    let tail = reader.uint(more as usize)?;
    let head = u64::from(first).checked_shr(more + 1).unwrap_or(0);
    Some(if more == 8 { tail } else { tail << (7 - more) | head })
}

/// The sign is the lowest bit, and negative numbers are complemented.
fn signed(value: u64) -> i64 {
    let magnitude = (value >> 1) as i64;
    if value & 1 == 1 { !magnitude } else { magnitude }
}

/// MariaDB's GTID event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MariaDbGtid {
    pub gtid: Gtid,
    /// Exactly one statement follows, and no COMMIT.
    pub standalone: bool,
}

/// Reads MariaDB's GTID event; the server id stands in the event's header. The XA flags (0x40 prepared, 0x80 completed) say
/// nothing that the events after it do not say.
pub(super) fn mariadb(body: &[u8], server: u32) -> Option<MariaDbGtid> {
    const FL_STANDALONE: u8 = 0x01;
    let mut reader = Reader::new(body);
    let sequence = reader.u64()?;
    let domain = reader.u32()?;
    let flags = reader.u8()?;
    Some(MariaDbGtid { gtid: Gtid::MariaDb(domain, server, sequence), standalone: flags & FL_STANDALONE != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As MySQL 9.7 wrote it for `SET gtid_next = 'AUTOMATIC:tag_a'`.
    const TAGGED: &str = "0278000000023d022503a1032c9503b10222c503f102d50204f103000000020404060a7461675f61\
                          085c0a6c0c7f6434780cc9600610ad041283120b";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn tagged_gtid_of_a_real_server() {
        let body = hex(TAGGED);
        let Some(Gtid::MySql(source, 1)) = mysql(types::GTID_TAGGED, &body) else { panic!() };
        assert_eq!(source.to_string(), "8fc9e816-e5ac-11f1-bcb5-02fc00000001:tag_a");
        let named = mysql(types::GTID_TAGGED, &body).and_then(|gtid| gtid.name());
        assert_eq!(named.as_deref(), Some("8fc9e816-e5ac-11f1-bcb5-02fc00000001:tag_a:1"));
        for end in 0..body.len() {
            let whole = end >= body.len() - 20; // up to the tag; what follows it is not read
            assert_eq!(mysql(types::GTID_TAGGED, &body[..end]).is_some(), whole, "{end}");
        }
    }

    #[test]
    fn a_tag_that_reads_as_a_number_is_refused() {
        // printed, it would make the set another one
        for wrong in ["1ag_a", "t g_a", "tAg_a", "t:g_a"] {
            let tag: String = wrong.bytes().map(|byte| format!("{byte:02x}")).collect();
            let body = hex(&TAGGED.replace("7461675f61", &tag));
            assert_eq!(mysql(types::GTID_TAGGED, &body), None, "{wrong}");
        }
    }

    #[test]
    fn plain_gtids() {
        let body = hex("018fc9e816e5ac11f1bcb502fc000000010200000000000000");
        let Some(Gtid::MySql(source, 2)) = mysql(types::GTID, &body) else { panic!() };
        assert_eq!(source.to_string(), "8fc9e816-e5ac-11f1-bcb5-02fc00000001");
        assert_eq!(mysql(types::ANONYMOUS_GTID, &body), Some(Gtid::Anonymous));
        assert_eq!((Gtid::Anonymous.name(), Gtid::MariaDb(2, 7, 21).name()), (None, Some("2-7-21".into())));
        for end in 0..body.len() {
            assert_eq!(mysql(types::GTID, &body[..end]), None);
        }
        let body = hex("15000000000000000200000009");
        assert_eq!(mariadb(&body, 7), Some(MariaDbGtid { gtid: Gtid::MariaDb(2, 7, 21), standalone: true }));
        assert_eq!(mariadb(&body[..12], 7), None);
    }

    /// The server's own encoder, after `write_varlen_bytes_unsigned`.
    fn write_varlen(value: u64) -> Vec<u8> {
        let bits = 64 - value.leading_zeros();
        let more = (bits.max(1) - 1) / 7;
        if more >= 8 {
            return [&[0xff][..], &value.to_le_bytes()].concat();
        }
        let wide = (u128::from(value) << (more + 1)) | ((1 << more) - 1);
        wide.to_le_bytes()[..=more as usize].to_vec()
    }

    proptest! {
        #[test]
        fn varlen_reads_what_was_written(value in prop_oneof![any::<u64>(), 0..70000u64]) {
            let bytes = write_varlen(value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(varlen(&mut reader), Some(value));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), kind in 33..43u8) {
            let _ = mysql(kind, &bytes);
            let _ = mariadb(&bytes, 1);
        }
    }
}
