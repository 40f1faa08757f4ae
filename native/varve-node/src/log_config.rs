use napi_derive::napi;
use varve_log::{CleanupPolicy, Durability, LogConfig, Preallocate, TimestampType};
use varve_records::{BatchValidation, Codec};

/// What is to be changed of a configuration. Where there may be no bound, `Infinity` says so.
#[napi(object)]
pub struct NativeLogConfig {
    /// Whether an acknowledgement waits for an fsync.
    pub fsync: Option<bool>,
    pub segment_bytes: Option<f64>,
    pub segment_ms: Option<f64>,
    pub segment_jitter_ms: Option<f64>,
    pub index_interval_bytes: Option<f64>,
    pub segment_index_bytes: Option<f64>,
    pub max_batch_bytes: Option<f64>,
    pub max_decompressed_message_bytes: Option<f64>,
    /// Whether the records of a batch are looked at before it is stored, not its header and checksum alone.
    pub validate_records: Option<bool>,
    /// The number of a codec; with -1 batches keep theirs.
    pub compression: Option<i32>,
    pub compression_gzip_level: Option<i32>,
    pub compression_lz4_level: Option<i32>,
    pub compression_zstd_level: Option<i32>,
    /// Whether records have the time of their append, not their producer's.
    pub log_append_time: Option<bool>,
    pub timestamp_before_max_ms: Option<f64>,
    pub timestamp_after_max_ms: Option<f64>,
    pub flush_interval_ms: Option<f64>,
    pub flush_interval_bytes: Option<f64>,
    pub flush_interval_records: Option<f64>,
    /// `delete`, `compact` or `compact,delete`.
    pub cleanup_policy: Option<String>,
    pub min_cleanable_dirty_ratio: Option<f64>,
    pub min_compaction_lag_ms: Option<f64>,
    pub max_compaction_lag_ms: Option<f64>,
    pub delete_retention_ms: Option<f64>,
    pub compaction_bytes_per_second: Option<f64>,
    pub compaction_check_ms: Option<f64>,
    pub retention_ms: Option<f64>,
    pub retention_bytes: Option<f64>,
    pub retention_check_ms: Option<f64>,
    /// `off`, `blocks` or `zeros`.
    pub preallocate: Option<String>,
    /// 0 for no mark.
    pub low_disk_bytes: Option<f64>,
    pub producer_id_expiration_ms: Option<f64>,
}

impl NativeLogConfig {
    pub fn apply(&self, config: &mut LogConfig) {
        let durability = |fsync| if fsync { Durability::Fsync } else { Durability::Os };
        let validation = |full| if full { BatchValidation::Full } else { BatchValidation::Header };
        let timestamp_type = |append| match append {
            true => TimestampType::LogAppendTime,
            false => TimestampType::CreateTime,
        };
        let cleanup_policy = |policy: &str| match policy {
            "compact" => CleanupPolicy::Compact,
            "compact,delete" => CleanupPolicy::CompactAndDelete,
            _ => CleanupPolicy::Delete,
        };
        let preallocate = |what: &str| match what {
            "zeros" => Preallocate::Zeros,
            "blocks" => Preallocate::Blocks,
            _ => Preallocate::Off,
        };
        set(&mut config.durability, self.fsync.map(durability));
        set(&mut config.segment_bytes, self.segment_bytes.map(whole));
        set(&mut config.segment_ms, self.segment_ms.map(signed_bound));
        set(&mut config.segment_jitter_ms, self.segment_jitter_ms.map(signed));
        set(&mut config.index_interval_bytes, self.index_interval_bytes.map(whole));
        set(&mut config.index_bytes, self.segment_index_bytes.map(whole));
        set(&mut config.max_batch_bytes, self.max_batch_bytes.map(whole));
        set(&mut config.max_decompressed_record_bytes, self.max_decompressed_message_bytes.map(bound));
        set(&mut config.batch_validation, self.validate_records.map(validation));
        set(&mut config.compression, self.compression.map(codec));
        set(&mut config.gzip_level, self.compression_gzip_level);
        set(&mut config.lz4_level, self.compression_lz4_level);
        set(&mut config.zstd_level, self.compression_zstd_level);
        set(&mut config.timestamp_type, self.log_append_time.map(timestamp_type));
        set(&mut config.timestamp_before_max_ms, self.timestamp_before_max_ms.map(signed_bound));
        set(&mut config.timestamp_after_max_ms, self.timestamp_after_max_ms.map(signed_bound));
        set(&mut config.flush_interval_ms, self.flush_interval_ms.map(bound));
        set(&mut config.flush_interval_bytes, self.flush_interval_bytes.map(bound));
        set(&mut config.flush_interval_records, self.flush_interval_records.map(bound));
        set(&mut config.cleanup_policy, self.cleanup_policy.as_deref().map(cleanup_policy));
        set(&mut config.min_cleanable_dirty_ratio, self.min_cleanable_dirty_ratio);
        set(&mut config.min_compaction_lag_ms, self.min_compaction_lag_ms.map(signed));
        set(&mut config.max_compaction_lag_ms, self.max_compaction_lag_ms.map(signed_bound));
        set(&mut config.delete_retention_ms, self.delete_retention_ms.map(signed));
        set(&mut config.compaction_bytes_per_second, self.compaction_bytes_per_second.map(bound));
        set(&mut config.compaction_check_ms, self.compaction_check_ms.map(bound));
        set(&mut config.retention_ms, self.retention_ms.map(signed_bound));
        set(&mut config.retention_bytes, self.retention_bytes.map(bound));
        set(&mut config.retention_check_ms, self.retention_check_ms.map(bound));
        set(&mut config.preallocate, self.preallocate.as_deref().map(preallocate));
        set(&mut config.low_disk_bytes, self.low_disk_bytes.map(|mark| bound(mark).filter(|&mark| mark > 0)));
        set(&mut config.producer_id_expiration_ms, self.producer_id_expiration_ms.map(signed));
    }
}

impl From<NativeLogConfig> for LogConfig {
    fn from(native: NativeLogConfig) -> Self {
        let mut config = Self::default();
        native.apply(&mut config);
        config
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn whole(number: f64) -> u64 {
    number as u64
}

/// Infinity becomes the largest there is.
fn signed(number: f64) -> i64 {
    number as i64
}

fn bound(number: f64) -> Option<u64> {
    number.is_finite().then_some(number as u64)
}

fn signed_bound(number: f64) -> Option<i64> {
    number.is_finite().then_some(number as i64)
}

fn codec(number: i32) -> Option<Codec> {
    u16::try_from(number).ok().and_then(Codec::of)
}
