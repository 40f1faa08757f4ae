use crate::codec::Codec;
use crate::crc32c;

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;
/// `baseOffset` and `batchLength`, which `batchLength` itself does not count.
pub const LENGTH_PREFIX_BYTES: usize = 12;
/// The one format this crate reads and writes.
pub const MAGIC: u8 = 2;
/// Attribute bits 0–2: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
pub const CODEC_MASK: u16 = 0x07;
/// Attribute bit 3: the timestamps are the broker's.
pub const LOG_APPEND_TIME_FLAG: u16 = 0x08;
/// Attribute bit 4.
pub const TRANSACTIONAL_FLAG: u16 = 0x10;
/// Attribute bit 5.
pub const CONTROL_FLAG: u16 = 0x20;
/// Attribute bit 6 (KIP-534): the base timestamp is the time from which on the batch's tombstones, or its transaction
/// marker, may be removed.
pub const DELETE_HORIZON_FLAG: u16 = 0x40;

/// The checksum covers a batch from this byte on to its end.
pub const CHECKSUM_FROM: usize = 21;

/// What stands for "none" in the producer fields of a header.
pub const NO_PRODUCER_ID: i64 = -1;
pub const NO_PRODUCER_EPOCH: i16 = -1;
pub const NO_SEQUENCE: i32 = -1;

const CRC_AT: usize = 17;

/// The fixed part of a batch, as it stands in the bytes; nothing in it is trusted until [`crate::validate`] agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    pub batch_length: i32,
    pub partition_leader_epoch: i32,
    pub magic: u8,
    pub crc: u32,
    pub attributes: u16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; `None` when fewer than [`HEADER_BYTES`] are there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        Some(Self {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            batch_length: i32::from_be_bytes(field(bytes, 8)),
            partition_leader_epoch: i32::from_be_bytes(field(bytes, 12)),
            magic: bytes[16],
            crc: u32::from_be_bytes(field(bytes, CRC_AT)),
            attributes: u16::from_be_bytes(field(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(field(bytes, 23)),
            base_timestamp: i64::from_be_bytes(field(bytes, 27)),
            max_timestamp: i64::from_be_bytes(field(bytes, 35)),
            producer_id: i64::from_be_bytes(field(bytes, 43)),
            producer_epoch: i16::from_be_bytes(field(bytes, 51)),
            base_sequence: i32::from_be_bytes(field(bytes, 53)),
            records_count: i32::from_be_bytes(field(bytes, 57)),
        })
    }

    /// The header's bytes, the checksum as it stands in it: [`seal`] makes it right.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.base_offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        bytes[16] = self.magic;
        bytes[CRC_AT..CHECKSUM_FROM].copy_from_slice(&self.crc.to_be_bytes());
        bytes[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        bytes[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.records_count.to_be_bytes());
        bytes
    }

    /// Whether the header can be the head of a batch: the format, a length that covers the header and offsets that
    /// count upwards. A plausible header says nothing of the bytes behind it.
    pub fn is_plausible(&self) -> bool {
        self.magic == MAGIC
            && self.total_bytes() >= HEADER_BYTES as u64
            && self.base_offset >= 0
            && self.last_offset_delta >= 0
            && self.records_count >= 0
            && self.base_offset.checked_add(i64::from(self.last_offset_delta) + 1).is_some()
    }

    /// Bytes of the whole batch; 0 when the length field is negative.
    pub fn total_bytes(&self) -> u64 {
        u64::try_from(self.batch_length).map_or(0, |length| length + LENGTH_PREFIX_BYTES as u64)
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    pub fn is_compressed(&self) -> bool {
        self.attributes & CODEC_MASK != 0
    }

    /// The codec, if the format knows one of that number.
    pub fn codec(&self) -> Option<Codec> {
        Codec::of(self.attributes)
    }

    pub fn has_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME_FLAG != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_FLAG != 0
    }

    /// Whether the batch is a marker of the system's and holds none of a user's records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_FLAG != 0
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// The sequence number of the last record. After 2^31 - 1 they go on at 0.
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence {
            NO_SEQUENCE => NO_SEQUENCE,
            base => base.wrapping_add(self.last_offset_delta) & i32::MAX,
        }
    }

    /// From when on (ms) the batch's tombstones, or its transaction marker, may be removed.
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_FLAG != 0).then_some(self.base_timestamp)
    }

    /// Whether the checksum agrees with `batch`, which must be the whole batch.
    pub fn crc_matches(&self, batch: &[u8]) -> bool {
        batch.len() >= HEADER_BYTES && crc32c(&batch[CHECKSUM_FROM..]) == self.crc
    }
}

/// Assigns the batch's first offset in place.
pub fn assign_offset(batch: &mut [u8], base_offset: i64) {
    batch[..8].copy_from_slice(&base_offset.to_be_bytes());
}

/// Assigns the leader epoch under which the batch was appended, in place.
pub fn assign_epoch(batch: &mut [u8], partition_leader_epoch: i32) {
    batch[12..16].copy_from_slice(&partition_leader_epoch.to_be_bytes());
}

/// Replaces the batch's largest timestamp, and seals it again.
pub fn assign_max_timestamp(batch: &mut [u8], max_timestamp: i64) {
    batch[35..43].copy_from_slice(&max_timestamp.to_be_bytes());
    seal(batch);
}

/// Makes `now` (ms) the time of every record of the batch: it says `LogAppendTime`, and the records' own times count no
/// more, whether they are compressed or not. Seals it again.
pub fn assign_log_append_time(batch: &mut [u8], now: i64) {
    batch[22] |= LOG_APPEND_TIME_FLAG as u8;
    assign_max_timestamp(batch, now);
}

/// Computes the checksum of a batch that its writer left unsealed, and stores it.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c(&batch[CHECKSUM_FROM..]);
    batch[CRC_AT..CHECKSUM_FROM].copy_from_slice(&crc.to_be_bytes());
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
