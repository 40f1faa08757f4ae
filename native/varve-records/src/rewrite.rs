//! Batches made from batches: with fewer records, as compaction leaves them, or under another codec.

use std::borrow::Cow;

use crate::batch_header::{
    BatchHeader, CODEC_MASK, DELETE_HORIZON_FLAG, HEADER_BYTES, LENGTH_PREFIX_BYTES, seal,
};
use crate::batch_records::BatchRecords;
use crate::codec::{Codec, compress_within};
use crate::compression::Compression;
use crate::record::Record;
use crate::validate::BatchError;

/// The batch of `header` with only `records`, which are some of its own in their order. Offsets, sequence numbers, epochs
/// and producer stay, the batch's first and last offset too, whichever records are gone: a producer's sequence and
/// the log's end are read from them. With a delete horizon (ms) that takes the place of the base timestamp (KIP-534).
pub fn rewrite<'a>(
    header: &BatchHeader,
    records: impl IntoIterator<Item = Record<'a>>,
    codec: Codec,
    delete_horizon: Option<i64>,
) -> Vec<u8> {
    let mut section = Vec::new();
    let mut base_timestamp = delete_horizon;
    let mut max_timestamp = None;
    let mut records_count = 0;
    for record in records {
        let timestamp = record.timestamp(header);
        let base = *base_timestamp.get_or_insert(timestamp);
        record.write_at(timestamp.wrapping_sub(base), &mut section);
        max_timestamp = max_timestamp.max(Some(timestamp));
        records_count += 1;
    }
    let rewritten = BatchHeader {
        base_timestamp: base_timestamp.unwrap_or(NO_TIMESTAMP),
        max_timestamp: max_timestamp.unwrap_or(header.max_timestamp),
        records_count,
        attributes: header.attributes & !DELETE_HORIZON_FLAG
            | if delete_horizon.is_some() { DELETE_HORIZON_FLAG } else { 0 },
        ..*header
    };
    assemble(rewritten, &section, codec.into(), usize::MAX).expect("there is no limit")
}

/// The batch of `header` without any of its records. It remembers its offsets and its producer's sequence.
pub fn empty_batch(header: &BatchHeader) -> Vec<u8> {
    rewrite(header, [], Codec::None, None)
}

/// The same records under another codec or at another level; at most `max_bytes` of them when they are not compressed.
pub fn recompress(
    header: BatchHeader,
    batch: &[u8],
    compression: impl Into<Compression>,
    max_bytes: usize,
) -> Result<Vec<u8>, BatchError> {
    recompress_within(header, batch, compression.into(), max_bytes, u64::MAX)
}

/// The same for a batch of at most `max_batch_bytes`; no time is spent on what would be more.
pub fn recompress_within(
    header: BatchHeader,
    batch: &[u8],
    compression: Compression,
    max_bytes: usize,
    max_batch_bytes: u64,
) -> Result<Vec<u8>, BatchError> {
    let records = BatchRecords::open(header, batch, max_bytes)?;
    let room = usize::try_from(max_batch_bytes).unwrap_or(usize::MAX).saturating_sub(HEADER_BYTES);
    assemble(header, records.section(), compression, room)
        .ok_or(BatchError::TooLargeCompressed { codec: compression.codec(), max: max_batch_bytes })
}

const NO_TIMESTAMP: i64 = -1;

/// Nothing where the records come to more than `max_bytes`.
fn assemble(
    header: BatchHeader,
    section: &[u8],
    compression: Compression,
    max_bytes: usize,
) -> Option<Vec<u8>> {
    // Kafka's batches without records are never compressed either.
    let compression = if section.is_empty() { Codec::None.into() } else { compression };
    let section = match compression.codec() {
        Codec::None if section.len() > max_bytes => return None,
        Codec::None => Cow::Borrowed(section),
        _ => Cow::Owned(compress_within(compression, section, max_bytes)?),
    };
    let length = HEADER_BYTES - LENGTH_PREFIX_BYTES + section.len();
    let header = BatchHeader {
        batch_length: length as i32,
        attributes: header.attributes & !CODEC_MASK | compression.codec() as u16,
        ..header
    };
    let mut batch = Vec::with_capacity(HEADER_BYTES + section.len());
    batch.extend_from_slice(&header.to_bytes());
    batch.extend_from_slice(&section);
    seal(&mut batch);
    Some(batch)
}
