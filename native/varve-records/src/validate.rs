use std::fmt;

use crate::batch_header::{BatchHeader, CODEC_MASK, HEADER_BYTES, MAGIC, assign_max_timestamp};
use crate::batch_records::BatchRecords;
use crate::codec::Codec;

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
    /// The same under the log's codec, which was given up on the way.
    TooLargeCompressed { codec: Codec, max: u64 },
    /// A record's time is further from now than the log accepts (KIP-937).
    Timestamp { timestamp: i64, min: i64, max: i64 },
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
            Self::TooLargeCompressed { codec: Codec::None, max } => {
                write!(
                    f,
                    "record batch that is too large when it is not compressed; the log accepts at most {max} bytes"
                )
            }
            Self::TooLargeCompressed { codec, max } => {
                write!(f, "record batch that is too large under {codec}; the log accepts at most {max} bytes")
            }
            Self::Timestamp { timestamp, min, max } => {
                write!(f, "record with the timestamp {timestamp}; the log accepts now {min} to {max}")
            }
        }
    }
}

impl std::error::Error for BatchError {}

/// How closely a batch is looked at before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchValidation {
    /// Every record, of compressed batches too, as Kafka's `LogValidator` does.
    Full,
    /// Header and checksum alone: what a producer says of its records is believed.
    Header,
    /// Header alone, and the records where not all may be stored: of a batch that whoever appends it has just encoded and
    /// sealed.
    Sealed,
}

/// What a log asks of the batches that it takes.
#[derive(Clone, Copy, Debug)]
pub struct BatchRules {
    pub max_bytes: u64,
    pub validation: BatchValidation,
    /// Whether every record needs a key, as in a compacted log. Nobody looks under [`BatchValidation::Header`].
    pub keys_required: bool,
    /// Whether the batch comes from another log: records may then be fewer than its offsets, or none, as compaction
    /// leaves them, and nothing in it is put right.
    pub replicated: bool,
    /// What the records may expand to.
    pub max_decompressed_bytes: usize,
    /// The largest record of a compressed batch, its length field not counted.
    pub max_decompressed_record_bytes: usize,
    /// The times that records may have, those without one apart. Under [`BatchValidation::Header`] the first one's and the
    /// largest are looked at.
    pub min_timestamp: i64,
    pub max_timestamp: i64,
}

/// Of a record that has none.
const NO_TIMESTAMP: i64 = -1;

/// What a batch may expand to; readers refuse more as well.
pub const MAX_DECOMPRESSED_BYTES: usize = 256 << 20;

impl BatchRules {
    /// Full validation of batches as producers make them.
    pub fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            validation: BatchValidation::Full,
            keys_required: false,
            replicated: false,
            max_decompressed_bytes: MAX_DECOMPRESSED_BYTES,
            max_decompressed_record_bytes: usize::MAX,
            min_timestamp: i64::MIN,
            max_timestamp: i64::MAX,
        }
    }

    fn check_timestamp(&self, timestamp: i64) -> Result<(), BatchError> {
        let (min, max) = (self.min_timestamp, self.max_timestamp);
        match timestamp == NO_TIMESTAMP || (min..=max).contains(&timestamp) {
            true => Ok(()),
            false => Err(BatchError::Timestamp { timestamp, min, max }),
        }
    }

    fn look_at_records(&self) -> bool {
        match self.validation {
            BatchValidation::Full => true,
            BatchValidation::Header => false,
            BatchValidation::Sealed => {
                self.keys_required || (self.min_timestamp, self.max_timestamp) != (i64::MIN, i64::MAX)
            }
        }
    }
}

/// Checks that `bytes` are exactly one batch that may be stored: format, length, checksum, and unless told otherwise every
/// record in it (KIP-98; Kafka's `LogValidator` checks the same). As there, a header that tells another largest timestamp
/// than its records is no reason to refuse a batch: it is put right, and the batch sealed again.
pub fn validate(bytes: &mut [u8], rules: &BatchRules) -> Result<BatchHeader, BatchError> {
    let mut header = validate_header(bytes, rules)?;
    if rules.look_at_records() {
        let max_timestamp = validate_records(header, bytes, rules)?;
        if max_timestamp != header.max_timestamp && !rules.replicated {
            assign_max_timestamp(bytes, max_timestamp);
            header = BatchHeader::parse(bytes).expect("it was parsed before");
        }
    }
    Ok(header)
}

fn validate_header(bytes: &[u8], rules: &BatchRules) -> Result<BatchHeader, BatchError> {
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
    if bytes.len() as u64 > rules.max_bytes {
        return Err(BatchError::TooLarge { bytes: bytes.len() as u64, max: rules.max_bytes });
    }
    if rules.validation != BatchValidation::Sealed && !header.crc_matches(bytes) {
        return Err(BatchError::Corrupt("its CRC-32C does not match its bytes".into()));
    }
    let BatchHeader { records_count: count, last_offset_delta: last, .. } = header;
    let whole = count >= 1 && last == count - 1;
    let compacted = count >= 0 && last >= count - 1;
    if !(whole || rules.replicated && compacted) {
        return Err(BatchError::Invalid(format!("{count} records with a last offset delta of {last}")));
    }
    if header.codec().is_none() {
        return Err(BatchError::unknown_codec(&header));
    }
    if rules.validation == BatchValidation::Header {
        rules.check_timestamp(header.base_timestamp)?;
        rules.check_timestamp(header.max_timestamp)?;
    }
    Ok(header)
}

/// Looks at every record; the largest of their timestamps.
fn validate_records(header: BatchHeader, bytes: &[u8], rules: &BatchRules) -> Result<i64, BatchError> {
    let mut max_timestamp = i64::MIN;
    let records = BatchRecords::open(header, bytes, rules.max_decompressed_bytes)?;
    let max_record_bytes = match header.is_compressed() {
        true => rules.max_decompressed_record_bytes,
        false => usize::MAX,
    };
    for (index, record) in (0..).zip(records.iter_within(max_record_bytes)) {
        let record = record?;
        if record.offset_delta != index && !rules.replicated {
            let delta = record.offset_delta;
            return Err(BatchError::Invalid(format!("record {index} has the offset delta {delta}")));
        }
        if rules.keys_required && record.key.is_none() && !header.is_control() {
            return Err(BatchError::Invalid(format!(
                "record {index} has no key, which a compacted log needs"
            )));
        }
        let timestamp = record.timestamp(&header);
        rules.check_timestamp(timestamp)?;
        max_timestamp = max_timestamp.max(timestamp);
    }
    Ok(max_timestamp)
}

impl BatchError {
    pub(crate) fn unknown_codec(header: &BatchHeader) -> Self {
        Self::Invalid(format!("there is no codec {}", header.attributes & CODEC_MASK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, RecordHeader, assign_log_append_time, empty_batch, recompress, rewrite, seal};
    use crate::{LENGTH_PREFIX_BYTES, compress};

    fn check(batch: &[u8], max_bytes: u64) -> Result<BatchHeader, BatchError> {
        validate(&mut batch.to_vec(), &BatchRules::new(max_bytes))
    }

    fn batch() -> Vec<u8> {
        let mut builder = BatchBuilder::new(1_700_000_000_000);
        builder.push(Some(b"key"), Some(b"value"), &[RecordHeader { key: "h", value: Some(b"1") }]);
        builder.push(None, None, &[]);
        builder.build()
    }

    #[test]
    fn accepts_what_the_builder_builds() {
        let header = check(&batch(), 1000).unwrap();
        assert_eq!((header.records_count, header.last_offset_delta), (2, 1));
    }

    #[test]
    fn every_flipped_bit_under_the_checksum_is_found() {
        let good = batch();
        for bit in 17 * 8..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&bad, 1000).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_found() {
        let good = batch();
        for length in 0..good.len() {
            assert!(matches!(check(&good[..length], 1000), Err(BatchError::Corrupt(_))), "{length} bytes");
        }
    }

    #[test]
    fn names_an_old_format() {
        let mut old = batch();
        old[16] = 1;
        assert_eq!(check(&old, 1000), Err(BatchError::Magic(1)));
    }

    #[test]
    fn a_sealed_lie_about_the_records_is_found() {
        for (at, value) in [(60, 3u8), (60, 1), (26, 5), (61, 0)] {
            let mut bad = batch();
            bad[at] = value;
            seal(&mut bad);
            assert!(matches!(check(&bad, 1000), Err(BatchError::Invalid(_))), "byte {at} = {value}");
        }
    }

    #[test]
    fn a_codec_that_nobody_could_read_is_refused() {
        for codec in 5..8 {
            let mut bad = batch();
            bad[22] = codec;
            seal(&mut bad);
            let told = BatchError::Invalid(format!("there is no codec {codec}"));
            assert_eq!(check(&bad, 1000), Err(told));
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
                let _ = check(&bad, 1000);
                let header = BatchHeader::parse(&bad).unwrap();
                let _ = (header.is_plausible(), header.last_offset(), header.next_offset());
            }
        }
    }

    #[test]
    fn says_how_large_is_too_large() {
        let good = batch();
        let (bytes, max) = (good.len() as u64, good.len() as u64 - 1);
        assert_eq!(check(&good, max), Err(BatchError::TooLarge { bytes, max }));
    }

    fn refused(batch: &mut [u8], rules: &BatchRules) -> String {
        match validate(batch, rules) {
            Err(BatchError::Invalid(detail)) => detail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn looks_into_compressed_batches_unless_told_otherwise() {
        let rules = BatchRules::new(1000);
        let header_only = BatchRules { validation: BatchValidation::Header, ..rules };
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let plain = batch();
            let header = BatchHeader::parse(&plain).unwrap();
            let good = recompress(header, &plain, codec, 1000).unwrap();
            assert!(check(&good, 1000).is_ok(), "{codec}");
            for (at, value, detail) in [
                (60, 3, "record 2 of 3 is malformed"),
                (60, 1, "behind the last record"),
                (61, 0xff, "cannot be decompressed"),
            ] {
                let mut bad = good.clone();
                bad[at] = value;
                // A count that its offsets contradict is seen in the header already.
                bad[26] = bad[60] - 1;
                seal(&mut bad);
                let told = refused(&mut bad, &rules);
                assert!(told.contains(detail), "{codec}, byte {at}: {told}");
                assert!(validate(&mut bad, &header_only).is_ok(), "{codec}, byte {at}");
            }
        }
    }

    #[test]
    fn no_record_is_further_from_now_than_the_log_accepts() {
        let mut builder = BatchBuilder::new(1000);
        for timestamp in [1000, 1500, 500] {
            builder.push_at(timestamp, None, Some(b"x"), &[]);
        }
        let plain = builder.build();
        let rules = |min_timestamp, max_timestamp| BatchRules {
            min_timestamp,
            max_timestamp,
            ..BatchRules::new(1000)
        };
        for codec in Codec::ALL {
            let header = BatchHeader::parse(&plain).unwrap();
            let mut batch = recompress(header, &plain, codec, 1000).unwrap();
            assert!(validate(&mut batch, &rules(500, 1500)).is_ok());
            let early = BatchError::Timestamp { timestamp: 500, min: 501, max: 1500 };
            for validation in [BatchValidation::Full, BatchValidation::Sealed] {
                let rules = BatchRules { validation, ..rules(501, 1500) };
                assert_eq!(validate(&mut batch, &rules), Err(early.clone()), "{codec}, {validation:?}");
            }
            let late = BatchError::Timestamp { timestamp: 1500, min: 500, max: 1499 };
            assert_eq!(validate(&mut batch, &rules(500, 1499)), Err(late.clone()), "{codec}");
            let header_only = BatchRules { validation: BatchValidation::Header, ..rules(500, 1499) };
            assert_eq!(validate(&mut batch, &header_only), Err(late), "{codec}");
        }
        let mut without_time = BatchBuilder::new(-1);
        without_time.push(None, None, &[]);
        assert!(validate(&mut without_time.build(), &rules(500, 1500)).is_ok());
    }

    #[test]
    fn a_bomb_is_refused_before_it_expands() {
        // Concatenated frames are one stream to zstd.
        let frames = MAX_DECOMPRESSED_BYTES / (1 << 20) + 1;
        let section = compress(Codec::Zstd, &vec![0; 1 << 20]).repeat(frames);
        let header = BatchHeader::parse(&batch()).unwrap();
        let batch_length = (HEADER_BYTES - LENGTH_PREFIX_BYTES + section.len()) as i32;
        let header = BatchHeader { attributes: Codec::Zstd as u16, batch_length, ..header };
        let mut bomb = [&header.to_bytes()[..], &section].concat();
        seal(&mut bomb);
        assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
        let told = refused(&mut bomb, &BatchRules::new(1 << 20));
        assert!(told.contains("expands to more than 268435456 bytes"), "{told}");
    }

    #[test]
    fn a_record_of_a_compressed_batch_that_is_too_large_is_refused() {
        let mut builder = BatchBuilder::new(1000);
        builder.push(None, Some(b"small"), &[]);
        builder.push(None, Some(&[0; 300]), &[]);
        let plain = builder.build();
        // Attributes, two deltas, no key, the value with a length of two bytes, no headers.
        let bytes = 1 + 1 + 1 + 1 + 2 + 300 + 1;
        let rules = |max| BatchRules { max_decompressed_record_bytes: max, ..BatchRules::new(1000) };
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let header = BatchHeader::parse(&plain).unwrap();
            let mut batch = recompress(header, &plain, codec, 1000).unwrap();
            assert!(validate(&mut batch, &rules(bytes)).is_ok(), "{codec}");
            let told = refused(&mut batch, &rules(bytes - 1));
            assert_eq!(told, "record 1 has 307 bytes; the log accepts at most 306 in a compressed batch");
        }
        assert!(validate(&mut plain.clone(), &rules(1)).is_ok(), "what is not compressed has no such limit");
    }

    #[test]
    fn a_compacted_log_needs_keys() {
        let mut keyless = batch();
        let rules = BatchRules { keys_required: true, ..BatchRules::new(1000) };
        assert_eq!(refused(&mut keyless, &rules), "record 1 has no key, which a compacted log needs");
        let mut builder = BatchBuilder::new(0);
        builder.push(Some(b""), None, &[]);
        assert!(validate(&mut builder.build(), &rules).is_ok(), "an empty key is a key");
        let sealed = BatchRules { validation: BatchValidation::Sealed, ..rules };
        assert!(refused(&mut keyless, &sealed).contains("has no key"));
    }

    #[test]
    fn a_largest_timestamp_that_is_none_is_put_right() {
        let good = batch();
        for codec in Codec::ALL {
            let header = BatchHeader::parse(&good).unwrap();
            let sound = recompress(header, &good, codec, 1000).unwrap();
            let mut wrong = sound.clone();
            assign_max_timestamp(&mut wrong, 5);
            let header = validate(&mut wrong, &BatchRules::new(1000)).unwrap();
            assert_eq!((header.max_timestamp, &wrong), (1_700_000_000_000, &sound), "{codec}");
            assert!(header.crc_matches(&wrong), "{codec}: the header is that of the bytes");
            let mut replicated = sound.clone();
            assign_max_timestamp(&mut replicated, 5);
            let rules = BatchRules { replicated: true, ..BatchRules::new(1000) };
            assert_eq!(validate(&mut replicated, &rules).unwrap().max_timestamp, 5, "{codec}");
        }
    }

    #[test]
    fn the_time_of_the_append_can_take_the_place_of_the_producers() {
        let good = batch();
        for codec in Codec::ALL {
            let header = BatchHeader::parse(&good).unwrap();
            let mut stamped = recompress(header, &good, codec, 1000).unwrap();
            assign_log_append_time(&mut stamped, 1_800_000_000_000);
            let header = check(&stamped, 1000).unwrap();
            let records = BatchRecords::open(header, &stamped, 1000).unwrap();
            let times: Vec<i64> = records.iter().map(|record| record.unwrap().timestamp(&header)).collect();
            assert_eq!(times, [1_800_000_000_000; 2], "{codec}");
        }
    }

    #[test]
    fn only_a_replicated_batch_may_have_fewer_records_than_offsets() {
        let plain = batch();
        let header = BatchHeader::parse(&plain).unwrap();
        let records = BatchRecords::open(header, &plain, 1000).unwrap();
        let second: Vec<_> = records.iter().skip(1).map(Result::unwrap).collect();
        let replicated = BatchRules { replicated: true, ..BatchRules::new(1000) };
        for mut kept in [rewrite(&header, second, Codec::None, None), empty_batch(&header)] {
            assert!(refused(&mut kept, &BatchRules::new(1000)).contains("with a last offset delta of 1"));
            assert_eq!(validate(&mut kept, &replicated).unwrap().last_offset_delta, 1);
        }
    }
}
