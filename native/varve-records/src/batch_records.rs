use std::borrow::Cow;

use crate::batch_header::{BatchHeader, HEADER_BYTES};
use crate::codec::{CodecError, decompress};
use crate::record::Record;
use crate::validate::BatchError;
use crate::varint::read_varint;

/// The records of a batch, decompressed if they were compressed.
pub struct BatchRecords<'a> {
    pub header: BatchHeader,
    section: Cow<'a, [u8]>,
}

impl<'a> BatchRecords<'a> {
    /// Opens the records of `batch`, which must be the whole batch of `header`. Its checksum is not looked at.
    pub fn open(header: BatchHeader, batch: &'a [u8], max_bytes: usize) -> Result<Self, BatchError> {
        let codec = header.codec().ok_or_else(|| BatchError::unknown_codec(&header))?;
        let section = batch.get(HEADER_BYTES..).unwrap_or_default();
        let section = match header.is_compressed() && !section.is_empty() {
            true => Cow::Owned(decompress(codec, section, max_bytes)?),
            false => Cow::Borrowed(section),
        };
        Ok(Self { header, section })
    }

    /// The records as they are encoded, one behind the other.
    pub fn section(&self) -> &[u8] {
        &self.section
    }

    pub fn iter(&self) -> RecordIter<'_> {
        self.iter_within(usize::MAX)
    }

    /// The same where a record of more than `max_record_bytes`, its length field not counted, is an error.
    pub fn iter_within(&self, max_record_bytes: usize) -> RecordIter<'_> {
        let BatchHeader { records_count: count, last_offset_delta, .. } = self.header;
        let rest = &self.section;
        RecordIter { rest, count, next: 0, last_offset_delta, previous_delta: -1, max_record_bytes }
    }
}

impl From<CodecError> for BatchError {
    fn from(error: CodecError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// Walks records one behind the other, as many as the batch says it has; an error is the last item. Records may be fewer
/// than offsets, as after a compaction, but their offsets rise and are the batch's.
pub struct RecordIter<'a> {
    rest: &'a [u8],
    count: i32,
    next: i32,
    last_offset_delta: i32,
    previous_delta: i32,
    max_record_bytes: usize,
}

impl<'a> RecordIter<'a> {
    fn step(&mut self) -> Result<Record<'a>, BatchError> {
        let malformed =
            || BatchError::Invalid(format!("record {} of {} is malformed", self.next, self.count));
        let mut at = 0;
        let length = read_varint(self.rest, &mut at).and_then(|length| usize::try_from(length).ok());
        if let Some(length) = length
            && length > self.max_record_bytes
        {
            let (next, max) = (self.next, self.max_record_bytes);
            return Err(BatchError::Invalid(format!(
                "record {next} has {length} bytes; the log accepts at most {max} in a compressed batch"
            )));
        }
        let rest = &self.rest[at..];
        let (record, rest) = length.and_then(|length| rest.split_at_checked(length)).ok_or_else(malformed)?;
        let record = Record::parse(record).ok_or_else(malformed)?;
        if record.offset_delta <= self.previous_delta || record.offset_delta > self.last_offset_delta {
            let (next, delta) = (self.next, record.offset_delta);
            return Err(BatchError::Invalid(format!("record {next} has the offset delta {delta}")));
        }
        self.previous_delta = record.offset_delta;
        self.rest = rest;
        self.next += 1;
        Ok(record)
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.count {
            if self.rest.is_empty() {
                return None;
            }
            let behind = self.rest.len();
            self.rest = &[];
            return Some(Err(BatchError::Invalid(format!("{behind} bytes behind the last record"))));
        }
        let step = self.step();
        if step.is_err() {
            (self.rest, self.count) = (&[], 0);
        }
        Some(step)
    }
}
