//! Zig-zag variable-length integers, as in Protocol Buffers and Kafka's records.

/// Reads a zig-zag varint of at most five bytes; `None` when it is cut off or too long.
pub fn read_varint(bytes: &[u8], at: &mut usize) -> Option<i32> {
    let raw = read_unsigned(bytes, at, 5)?;
    let raw = u32::try_from(raw).ok()?;
    Some(((raw >> 1) as i32) ^ -((raw & 1) as i32))
}

/// Reads a zig-zag varlong of at most ten bytes; `None` when it is cut off or too long.
pub fn read_varlong(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let raw = read_unsigned(bytes, at, 10)?;
    Some(((raw >> 1) as i64) ^ -((raw & 1) as i64))
}

fn read_unsigned(bytes: &[u8], at: &mut usize, max_bytes: usize) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..max_bytes {
        let byte = *bytes.get(*at + i)?;
        let part = u64::from(byte & 0x7f);
        let shift = 7 * i as u32;
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            *at += i + 1;
            return Some(value);
        }
    }
    None
}

pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_unsigned(out, zig_zag(value));
}

pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_unsigned(out, zig_zag_long(value));
}

/// Bytes that [`write_varint`] writes.
pub fn varint_bytes(value: i32) -> usize {
    unsigned_bytes(zig_zag(value))
}

/// Bytes that [`write_varlong`] writes.
pub fn varlong_bytes(value: i64) -> usize {
    unsigned_bytes(zig_zag_long(value))
}

fn zig_zag(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)) as u32)
}

fn zig_zag_long(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unsigned_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_the_edges() {
        for value in [0, 1, -1, 63, 64, -64, -65, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out.len(), varint_bytes(value));
            let mut at = 0;
            assert_eq!(read_varint(&out, &mut at), Some(value));
            assert_eq!(at, out.len());
        }
        for value in [0, 1, -1, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_varlong(&mut out, value);
            assert_eq!(out.len(), varlong_bytes(value));
            let mut at = 0;
            assert_eq!(read_varlong(&out, &mut at), Some(value));
            assert_eq!(at, out.len());
        }
    }

    #[test]
    fn refuses_what_is_cut_off_or_too_long() {
        assert_eq!(read_varint(&[0x80], &mut 0), None);
        assert_eq!(read_varint(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], &mut 0), None);
        assert_eq!(read_varint(&[0xff, 0xff, 0xff, 0xff, 0x7f], &mut 0), None);
        assert_eq!(read_varlong(&[0xff; 10], &mut 0), None);
    }
}
