use napi_derive::napi;
use varve_log::{Distribution, LogStats};

/// [`LogStats`], flat.
#[napi(object)]
pub struct NativeStats {
    pub appended_batches: f64,
    pub appended_records: f64,
    pub appended_bytes: f64,
    pub refused_batches: f64,
    pub write_nanoseconds: NativeDistribution,
    pub acknowledge_nanoseconds: NativeDistribution,
    pub flush_nanoseconds: NativeDistribution,
    pub flush_group_records: NativeDistribution,
    pub rolls: f64,
    pub cached_reads: f64,
    pub cached_bytes: f64,
    pub cold_reads: f64,
    pub cold_bytes: f64,
    pub sent_slices: f64,
    pub sent_bytes: f64,
    pub compactions: f64,
    pub failed_compactions: f64,
    pub replaced_bytes: f64,
    pub kept_bytes: f64,
    pub segments: f64,
    pub segment_bytes: f64,
}

#[napi(object)]
pub struct NativeDistribution {
    pub count: f64,
    pub total: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl From<LogStats> for NativeStats {
    fn from(stats: LogStats) -> Self {
        Self {
            appended_batches: stats.appended.batches as f64,
            appended_records: stats.appended.records as f64,
            appended_bytes: stats.appended.bytes as f64,
            refused_batches: stats.refused_batches as f64,
            write_nanoseconds: stats.write.into(),
            acknowledge_nanoseconds: stats.acknowledge.into(),
            flush_nanoseconds: stats.flush.into(),
            flush_group_records: stats.flush_group.into(),
            rolls: stats.rolls as f64,
            cached_reads: stats.cached.reads as f64,
            cached_bytes: stats.cached.bytes as f64,
            cold_reads: stats.cold.reads as f64,
            cold_bytes: stats.cold.bytes as f64,
            sent_slices: stats.sent.reads as f64,
            sent_bytes: stats.sent.bytes as f64,
            compactions: stats.compaction.completed as f64,
            failed_compactions: stats.compaction.failed as f64,
            replaced_bytes: stats.compaction.replaced_bytes as f64,
            kept_bytes: stats.compaction.kept_bytes as f64,
            segments: stats.segments as f64,
            segment_bytes: stats.bytes as f64,
        }
    }
}

impl From<Distribution> for NativeDistribution {
    fn from(found: Distribution) -> Self {
        Self {
            count: found.count as f64,
            total: found.total as f64,
            p50: found.p50 as f64,
            p90: found.p90 as f64,
            p99: found.p99 as f64,
            p999: found.p999 as f64,
            max: found.max as f64,
        }
    }
}
