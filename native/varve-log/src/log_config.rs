//! How a log is written and kept.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;
use varve_records::{BatchValidation, Codec, Compression};

use crate::cleanup_policy::CleanupPolicy;
use crate::error::{LogError, Result};
use crate::preallocation::Preallocate;
use crate::preparation::TimestampType;

/// When an append may be acknowledged, and what a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Written to the page cache: survives the process, not the power.
    Os,
    /// Covered by an fsync.
    Fsync,
}

/// How a log is written and kept; the names are Kafka's topic configurations.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    pub durability: Durability,
    /// A segment is rolled before it grows beyond this, or beyond 2^31 - 1: index positions are `int32`.
    pub segment_bytes: u64,
    /// A segment is rolled before a batch this much younger than its first one (ms).
    pub segment_ms: Option<i64>,
    /// Each segment is rolled up to so much (ms) earlier than that, so that logs that began together do not all roll at once.
    pub segment_jitter_ms: i64,
    pub index_interval_bytes: u64,
    /// A segment is rolled once one of its indexes has grown to this.
    pub index_bytes: u64,
    pub max_batch_bytes: u64,
    /// The largest record accepted in a compressed batch.
    pub max_decompressed_record_bytes: Option<u64>,
    /// How closely a batch is looked at before it is stored.
    pub batch_validation: BatchValidation,
    /// The codec that batches are stored under; `None` for the one that each comes with.
    pub compression: Option<Codec>,
    /// The levels of that codec, whichever it is.
    pub gzip_level: i32,
    pub lz4_level: i32,
    pub zstd_level: i32,
    pub timestamp_type: TimestampType,
    /// How far (ms) the producer's time of a record may lie before that of the append, and behind it.
    pub timestamp_before_max_ms: Option<i64>,
    pub timestamp_after_max_ms: Option<i64>,
    /// Under [`Durability::Os`]: what is appended is flushed after so long (ms).
    pub flush_interval_ms: Option<u64>,
    /// Under [`Durability::Os`]: what is appended is flushed once it is so much.
    pub flush_interval_bytes: Option<u64>,
    /// The same by the number of records.
    pub flush_interval_records: Option<u64>,
    /// What becomes of old records. In a compacted log every record needs a key.
    pub cleanup_policy: CleanupPolicy,
    /// A compaction is due once so much of what could be compacted, from 0 to 1, was not.
    pub min_cleanable_dirty_ratio: f64,
    /// A segment is not compacted before its youngest record is so old (ms).
    pub min_compaction_lag_ms: i64,
    /// A compaction is due, whatever the ratio, once a segment that was not compacted began so long ago (ms), by the time of
    /// its first batch. Segments are rolled by then.
    pub max_compaction_lag_ms: Option<i64>,
    /// How long a deletion of a key stays after the first compaction that met it (ms), so that readers learn of it.
    pub delete_retention_ms: i64,
    /// What a compaction may read and write together in a second, on average; `None` for as much as it can.
    pub compaction_bytes_per_second: Option<u64>,
    /// How often the log looks whether a compaction is due (ms); `None` for only when asked.
    pub compaction_check_ms: Option<u64>,
    /// Segments whose youngest record is older than this (ms) are deleted.
    pub retention_ms: Option<i64>,
    /// The oldest segments are deleted as long as the others hold this much.
    pub retention_bytes: Option<u64>,
    /// What is prepared ahead of the end.
    pub preallocate: Preallocate,
    /// Appends are refused while the disk has fewer free bytes.
    pub low_disk_bytes: Option<u64>,
    /// A producer that has written nothing for so long (ms) is forgotten, unless it has a transaction open.
    pub producer_id_expiration_ms: i64,
    /// How often the log looks for what it need not retain (ms); `None` for only when asked.
    pub retention_check_ms: Option<u64>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            segment_bytes: 1 << 30,
            segment_ms: None,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            index_bytes: 10 << 20,
            max_batch_bytes: (1 << 20) + 12,
            max_decompressed_record_bytes: None,
            batch_validation: BatchValidation::Full,
            compression: None,
            gzip_level: Compression::DEFAULT_GZIP_LEVEL,
            lz4_level: Compression::DEFAULT_LZ4_LEVEL,
            zstd_level: Compression::DEFAULT_ZSTD_LEVEL,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: None,
            timestamp_after_max_ms: None,
            flush_interval_ms: None,
            flush_interval_bytes: None,
            flush_interval_records: None,
            cleanup_policy: CleanupPolicy::Delete,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: None,
            delete_retention_ms: 24 * 60 * 60 * 1000,
            compaction_bytes_per_second: None,
            compaction_check_ms: None,
            retention_ms: None,
            retention_bytes: None,
            preallocate: Preallocate::Off,
            low_disk_bytes: None,
            producer_id_expiration_ms: 86_400_000,
            retention_check_ms: None,
        }
    }
}

impl LogConfig {
    pub(crate) fn within_limits(self) -> Result<Self> {
        if self.max_compaction_lag_ms.is_some_and(|max| self.min_compaction_lag_ms > max) {
            return Err(LogError::InvalidOption(
                "the option minCompactionLagMs must not be larger than maxCompactionLagMs",
            ));
        }
        Ok(Self { segment_bytes: self.segment_bytes.min(i32::MAX as u64), ..self })
    }

    /// What batches that come under another codec are compressed with.
    pub(crate) fn compression(&self) -> Option<Compression> {
        let codec = self.compression?;
        Some(match codec {
            Codec::Gzip => Compression::at(codec, self.gzip_level),
            Codec::Lz4 => Compression::at(codec, self.lz4_level),
            Codec::Zstd => Compression::at(codec, self.zstd_level),
            Codec::None | Codec::Snappy => codec.into(),
        })
    }

    /// How much younger than its first batch another one of a segment of the log `name` may be.
    pub(crate) fn rolls_after_ms(&self, name: &str, base_offset: i64) -> Option<i64> {
        let lag = self.max_compaction_lag_ms.filter(|_| self.cleanup_policy.compacts());
        let most = self.segment_ms.into_iter().chain(lag).min()?;
        let jitter = self.segment_jitter_ms.min(most);
        if jitter <= 0 {
            return Some(most);
        }
        // By chance, and yet the same whoever asks.
        let mut hasher = SipHasher13::new();
        (name, base_offset).hash(&mut hasher);
        Some(most - (hasher.finish() % jitter as u64) as i64)
    }

    /// Whether there is anything to look for every [`LogConfig::retention_check_ms`].
    pub(crate) fn retains_limited(&self) -> bool {
        self.cleanup_policy.deletes() && (self.retention_ms.is_some() || self.retention_bytes.is_some())
    }
}
