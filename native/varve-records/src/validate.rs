use std::fmt;

use crate::batch_header::{BatchHeader, CODEC_MASK, HEADER_BYTES, MAGIC};
use crate::varint::{read_varint, read_varlong};

/// Why a batch was refused. Nothing of it has been stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes are not one whole batch, or its checksum does not agree.
    Corrupt(String),
    /// An older (or newer) message format than magic 2.
    Magic(u8),
    /// The batch is whole but what it says of its records does not hold.
    Invalid(String),
    /// More bytes than the log accepts in one batch.
    TooLarge { bytes: u64, max: u64 },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(what) => write!(f, "corrupt record batch: {what}"),
            Self::Magic(magic) => write!(f, "record batch of magic {magic}; only magic 2 is stored"),
            Self::Invalid(what) => write!(f, "invalid record batch: {what}"),
            Self::TooLarge { bytes, max } => {
                write!(f, "record batch of {bytes} bytes; the log accepts at most {max}")
            }
        }
    }
}

impl std::error::Error for BatchError {}

/// Checks that `bytes` are exactly one batch that may be stored: format, length, checksum, and for an uncompressed
/// batch every record in it (KIP-98; Kafka's `LogValidator` checks the same). Compressed batches are checked by
/// header and checksum alone.
pub fn validate(bytes: &[u8], max_bytes: u64) -> Result<BatchHeader, BatchError> {
    // The magic byte stands at the same place in every format, so an old format is named before anything else.
    if let Some(&magic) = bytes.get(16)
        && magic != MAGIC
    {
        return Err(BatchError::Magic(magic));
    }
    let Some(header) = BatchHeader::parse(bytes) else {
        return Err(BatchError::Corrupt(format!("{} bytes, a header has {HEADER_BYTES}", bytes.len())));
    };
    if header.total_bytes() != bytes.len() as u64 {
        let (says, has) = (header.total_bytes(), bytes.len());
        return Err(BatchError::Corrupt(format!("its length field says {says} bytes, {has} were given")));
    }
    if bytes.len() as u64 > max_bytes {
        return Err(BatchError::TooLarge { bytes: bytes.len() as u64, max: max_bytes });
    }
    if !header.crc_matches(bytes) {
        return Err(BatchError::Corrupt("its CRC-32C does not match its bytes".into()));
    }
    if header.records_count < 1 || header.last_offset_delta != header.records_count - 1 {
        return Err(BatchError::Invalid(format!(
            "{} records with a last offset delta of {}",
            header.records_count, header.last_offset_delta
        )));
    }
    if !header.has_known_codec() {
        return Err(BatchError::Invalid(format!("there is no codec {}", header.attributes & CODEC_MASK)));
    }
    if !header.is_compressed() {
        validate_records(&bytes[HEADER_BYTES..], header.records_count)?;
    }
    Ok(header)
}

fn validate_records(bytes: &[u8], count: i32) -> Result<(), BatchError> {
    let mut at = 0;
    for index in 0..count {
        let malformed = || BatchError::Invalid(format!("record {index} of {count} is malformed"));
        let length =
            read_varint(bytes, &mut at).and_then(|n| usize::try_from(n).ok()).ok_or_else(malformed)?;
        let end = at.checked_add(length).filter(|&end| end <= bytes.len()).ok_or_else(malformed)?;
        let offset_delta = record_offset_delta(&bytes[at..end]).ok_or_else(malformed)?;
        if offset_delta != index {
            return Err(BatchError::Invalid(format!("record {index} has the offset delta {offset_delta}")));
        }
        at = end;
    }
    if at != bytes.len() {
        return Err(BatchError::Invalid(format!("{} bytes behind the last record", bytes.len() - at)));
    }
    Ok(())
}

/// Walks one record; its offset delta when the record fills `record` exactly.
fn record_offset_delta(record: &[u8]) -> Option<i32> {
    let mut at = 1;
    record.first()?;
    read_varlong(record, &mut at)?;
    let offset_delta = read_varint(record, &mut at)?;
    skip_bytes(record, &mut at, true)?;
    skip_bytes(record, &mut at, true)?;
    let headers = read_varint(record, &mut at)?;
    if headers < 0 {
        return None;
    }
    for _ in 0..headers {
        skip_bytes(record, &mut at, false)?;
        skip_bytes(record, &mut at, true)?;
    }
    (at == record.len()).then_some(offset_delta)
}

fn skip_bytes(record: &[u8], at: &mut usize, nullable: bool) -> Option<()> {
    let length = read_varint(record, at)?;
    if length == -1 && nullable {
        return Some(());
    }
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    (end <= record.len()).then(|| *at = end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, RecordHeader, seal};

    fn batch() -> Vec<u8> {
        let mut builder = BatchBuilder::new(1_700_000_000_000);
        builder.push(Some(b"key"), Some(b"value"), &[RecordHeader { key: "h", value: Some(b"1") }]);
        builder.push(None, None, &[]);
        builder.build()
    }

    #[test]
    fn accepts_what_the_builder_builds() {
        let header = validate(&batch(), 1000).unwrap();
        assert_eq!((header.records_count, header.last_offset_delta), (2, 1));
    }

    #[test]
    fn every_flipped_bit_under_the_checksum_is_found() {
        let good = batch();
        for bit in 17 * 8..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(validate(&bad, 1000).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_found() {
        let good = batch();
        for length in 0..good.len() {
            assert!(matches!(validate(&good[..length], 1000), Err(BatchError::Corrupt(_))), "{length} bytes");
        }
    }

    #[test]
    fn names_an_old_format() {
        let mut old = batch();
        old[16] = 1;
        assert_eq!(validate(&old, 1000), Err(BatchError::Magic(1)));
    }

    #[test]
    fn a_sealed_lie_about_the_records_is_found() {
        for (at, value) in [(60, 3u8), (60, 1), (26, 5), (61, 0)] {
            let mut bad = batch();
            bad[at] = value;
            seal(&mut bad);
            assert!(matches!(validate(&bad, 1000), Err(BatchError::Invalid(_))), "byte {at} = {value}");
        }
    }

    #[test]
    fn a_codec_that_nobody_could_read_is_refused() {
        for codec in 5..8 {
            let mut bad = batch();
            bad[22] = codec;
            seal(&mut bad);
            let told = BatchError::Invalid(format!("there is no codec {codec}"));
            assert_eq!(validate(&bad, 1000), Err(told));
        }
    }

    #[test]
    fn no_header_however_extreme_makes_it_panic() {
        let good = batch();
        for at in [0, 8, 23, 27, 35, 53, 57, 61] {
            for fill in [0x00, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at..(at + 8).min(good.len())].fill(fill);
                seal(&mut bad);
                let _ = validate(&bad, 1000);
                let header = BatchHeader::parse(&bad).unwrap();
                let _ = (header.is_plausible(), header.last_offset(), header.next_offset());
            }
        }
    }

    #[test]
    fn says_how_large_is_too_large() {
        let good = batch();
        let (bytes, max) = (good.len() as u64, good.len() as u64 - 1);
        assert_eq!(validate(&good, max), Err(BatchError::TooLarge { bytes, max }));
    }
}
