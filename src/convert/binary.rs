//! Binary values in the forms that the target takes: geometry, and types of a fixed number of bytes.

/// MySQL's geometry (4 bytes of SRID, little-endian, then WKB) as PostGIS' EWKB: the SRID within, marked in the type.
pub(super) fn ewkb(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    const HAS_SRID: u32 = 0x2000_0000;
    let Some((srid, wkb)) = bytes.split_first_chunk::<4>() else {
        // an empty value stands in NOT NULL columns that old servers added to filled tables
        return if bytes.is_empty() { Ok(()) } else { Err("no geometry") };
    };
    let Some((head, rest)) = wkb.split_first_chunk::<5>() else { return Err("no geometry") };
    let srid = u32::from_le_bytes(*srid);
    let [order, kind @ ..] = *head;
    match (srid, order) {
        (0, 0 | 1) => out.extend_from_slice(wkb),
        (_, 1) => {
            out.push(order);
            out.extend_from_slice(&(u32::from_le_bytes(kind) | HAS_SRID).to_le_bytes());
            out.extend_from_slice(&srid.to_le_bytes());
            out.extend_from_slice(rest);
        }
        (_, 0) => {
            out.push(order);
            out.extend_from_slice(&(u32::from_be_bytes(kind) | HAS_SRID).to_be_bytes());
            out.extend_from_slice(&srid.to_be_bytes());
            out.extend_from_slice(rest);
        }
        _ => return Err("no geometry"),
    }
    Ok(())
}

/// Fixed-length binary of which the binlog leaves out trailing zeros.
pub(super) fn zero_padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    out.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(out)
}

/// A UUID in its 36 characters.
pub(super) fn uuid_of_text(text: &[u8]) -> Option<[u8; 16]> {
    let mut out = [0; 16];
    let mut digits = text.iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte).to_digit(16));
    for byte in &mut out {
        *byte = (digits.next()?? << 4 | digits.next()??) as u8;
    }
    digits.next().is_none().then_some(out)
}
