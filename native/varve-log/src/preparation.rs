//! What is done with a producer's batch before it is appended: its records are looked at, and it becomes what the log
//! stores, under the log's codec and with the log's times. What takes long is left to a job: appends wait for it, in their
//! order, as they do for a roll.

use std::sync::Arc;

use varve_records::{
    BatchError, BatchHeader, BatchRules, BatchValidation, Compression, HEADER_BYTES, assign_log_append_time,
    recompress_within, validate,
};

use crate::error::{LogError, Result};
use crate::expansion::expand_in_turn;
use crate::log::{Log, Phase};
use crate::log_config::LogConfig;
use crate::runner::Work;

/// Whose times records have (Kafka's `message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// That of the append.
    LogAppendTime,
}

/// A batch that may be appended.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub header: BatchHeader,
    /// What is stored instead of what was handed in.
    pub bytes: Option<Vec<u8>>,
}

/// The one batch of a log that is prepared by a job.
pub(crate) enum Preparation {
    UnderWay,
    /// Waits to be offered again.
    Done {
        config: Arc<LogConfig>,
        offered: Vec<u8>,
        prepared: Result<Prepared>,
    },
}

/// Compressed batches of more bytes than this are left to a job, which costs some 50 µs of waiting.
const HEAVY_BYTES: usize = 64 << 10;
/// The same for batches that have to be compressed, which takes longer.
const HEAVY_TO_COMPRESS_BYTES: usize = 16 << 10;
/// As far as a compressed batch is expanded here; most of those that are small are so then, too.
const EXPANDED_BYTES: usize = 1 << 20;
impl Log {
    /// Prepares a batch, or leaves that to a job and returns nothing: it is to be offered again.
    pub(crate) fn prepare(
        self: &Arc<Self>,
        config: &Arc<LogConfig>,
        batch: &mut [u8],
        validation: BatchValidation,
    ) -> Option<Result<Prepared>> {
        let header = BatchHeader::parse(batch);
        let compression = header.and_then(|header| compression_for(config, &header));
        let compresses = compression.is_some();
        let is_slow = compression.is_some_and(Compression::is_slow);
        let looks_inside =
            validation == BatchValidation::Full && header.is_some_and(|header| header.is_compressed());
        let is_heavy = is_slow
            || compresses && batch.len() > HEAVY_TO_COMPRESS_BYTES
            || looks_inside && batch.len() > HEAVY_BYTES;
        if !is_heavy {
            match self.prepare_within(config, batch, validation, EXPANDED_BYTES) {
                // It may only have been too much for here.
                Err(BatchError::Invalid(_)) if compresses || looks_inside => {}
                prepared => return Some(prepared.map_err(LogError::Batch)),
            }
        }
        let mut state = self.state();
        if !state.phase.takes_writes() {
            return Some(Err(self.refusal(&state.phase)));
        }
        match &state.preparation {
            _ if !matches!(state.phase, Phase::Open) => None,
            Some(Preparation::UnderWay) => None,
            Some(Preparation::Done { config: under, offered, prepared })
                if Arc::ptr_eq(under, config) && offered == batch =>
            {
                let prepared = prepared.clone();
                if let Ok(Prepared { header, bytes: None }) = &prepared {
                    batch[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
                }
                Some(prepared)
            }
            // The one that is prepared was taken already, or taken back.
            Some(Preparation::Done { .. }) | None => {
                state.preparation = Some(Preparation::UnderWay);
                self.hand_out(state, [Work::PrepareBatch(batch.to_vec())]);
                None
            }
        }
    }

    /// The job's part.
    pub(crate) fn prepare_whole(&self, offered: Vec<u8>) -> Preparation {
        let (config, mut batch) = (self.config(), offered.clone());
        let prepare =
            |max_bytes| self.prepare_within(&config, &mut batch, config.batch_validation, max_bytes);
        let prepared = expand_in_turn(prepare).map_err(LogError::Batch);
        Preparation::Done { config, offered, prepared }
    }

    fn prepare_within(
        &self,
        config: &LogConfig,
        batch: &mut [u8],
        validation: BatchValidation,
        max_decompressed_bytes: usize,
    ) -> std::result::Result<Prepared, BatchError> {
        let now_ms = self.runner.wall_clock_ms();
        let distance = |ms: Option<i64>| ms.filter(|_| config.timestamp_type == TimestampType::CreateTime);
        let (before, after) = (config.timestamp_before_max_ms, config.timestamp_after_max_ms);
        let rules = BatchRules {
            min_timestamp: distance(before).map_or(i64::MIN, |ms| now_ms.saturating_sub(ms)),
            max_timestamp: distance(after).map_or(i64::MAX, |ms| now_ms.saturating_add(ms)),
            validation,
            keys_required: config.cleanup_policy.compacts(),
            max_decompressed_bytes,
            max_decompressed_record_bytes: config
                .max_decompressed_record_bytes
                .map_or(usize::MAX, |bytes| bytes as usize),
            ..BatchRules::new(config.max_batch_bytes)
        };
        let mut header = validate(batch, &rules)?;
        let mut bytes = match compression_for(config, &header) {
            Some(compression) => {
                let (expanded, stored) = (max_decompressed_bytes, rules.max_bytes);
                Some(recompress_within(header, batch, compression, expanded, stored)?)
            }
            None => None,
        };
        let stored = bytes.as_deref_mut().unwrap_or(batch);
        if config.timestamp_type == TimestampType::LogAppendTime {
            assign_log_append_time(stored, now_ms);
        }
        header = BatchHeader::parse(stored).expect("it was whole before");
        Ok(Prepared { header, bytes })
    }
}

/// What the batch is to be compressed with, if the log's codec is not its own: of its own, whatever the level, it stays as
/// it is, as in Kafka. Markers are read by their bytes and are never
/// compressed.
fn compression_for(config: &LogConfig, header: &BatchHeader) -> Option<Compression> {
    let compression = config.compression()?;
    (header.codec() != Some(compression.codec()) && !header.is_control()).then_some(compression)
}
