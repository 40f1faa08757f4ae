use crate::batch_header::BatchHeader;
use crate::varint::{read_varint, read_varlong, varint_bytes, varlong_bytes, write_varint, write_varlong};

/// A header of a record: a name and an optional value. Names may repeat.
#[derive(Clone, Copy, Debug)]
pub struct RecordHeader<'a> {
    pub key: &'a str,
    pub value: Option<&'a [u8]>,
}

/// One record, as views of the bytes that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub attributes: u8,
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    /// Without one the record is a tombstone: in a compacted log it deletes its key.
    pub value: Option<&'a [u8]>,
    /// Key, value and headers as they are encoded, which no change of offset or time touches.
    body: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record that fills `bytes` exactly, its length before it not included.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let attributes = *bytes.first()?;
        let mut at = 1;
        let timestamp_delta = read_varlong(bytes, &mut at)?;
        let offset_delta = read_varint(bytes, &mut at)?;
        let body = &bytes[at..];
        let key = read_nullable(bytes, &mut at)?;
        let value = read_nullable(bytes, &mut at)?;
        let headers = read_varint(bytes, &mut at)?;
        if headers < 0 {
            return None;
        }
        for _ in 0..headers {
            read_nullable(bytes, &mut at)??;
            read_nullable(bytes, &mut at)?;
        }
        let record = Self { attributes, timestamp_delta, offset_delta, key, value, body };
        (at == bytes.len()).then_some(record)
    }

    pub fn offset(&self, batch: &BatchHeader) -> i64 {
        batch.base_offset.saturating_add(i64::from(self.offset_delta))
    }

    /// The producer's time, or the broker's where the batch says so (ms).
    pub fn timestamp(&self, batch: &BatchHeader) -> i64 {
        // As in Java, whose writers let the difference wrap.
        if batch.has_log_append_time() {
            batch.max_timestamp
        } else {
            batch.base_timestamp.wrapping_add(self.timestamp_delta)
        }
    }

    /// Appends the record, its length first, under another timestamp delta.
    pub fn write_at(&self, timestamp_delta: i64, out: &mut Vec<u8>) {
        let length = 1 + varlong_bytes(timestamp_delta) + varint_bytes(self.offset_delta) + self.body.len();
        write_varint(out, length as i32);
        out.push(self.attributes);
        write_varlong(out, timestamp_delta);
        write_varint(out, self.offset_delta);
        out.extend_from_slice(self.body);
    }
}

fn read_nullable<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Option<&'a [u8]>> {
    let length = read_varint(bytes, at)?;
    if length == -1 {
        return Some(None);
    }
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    let field = bytes.get(*at..end)?;
    *at = end;
    Some(Some(field))
}
