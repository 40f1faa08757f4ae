//! Appending: checked batches get their offsets in place and go to the active segment in one write.

use std::sync::Arc;

use varve_records::{BatchError, BatchHeader, BatchRules, assign_epoch, assign_offset, validate};

use crate::batch_reader::Access;
use crate::error::{LogError, Result};
use crate::log::{Durability, Log, Phase, State};
use crate::runner::Work;

/// One append call writes at most this much, so that an event loop is never held for long; the rest is offered again.
pub const APPEND_BYTES: usize = 4 << 20;

/// How an append went.
pub struct Appended {
    /// For each batch that was taken its base offset, or why it was refused.
    pub results: Vec<Result<i64>>,
    /// Batches taken; the others are to be offered again: at once when the log is open (this call had enough), after
    /// the listener was told when it rolls.
    pub taken: usize,
}

struct WriteOutcome {
    appended: Appended,
    rolling_before: bool,
    failed: bool,
}

impl Log {
    /// Appends encoded batches, one per buffer, assigning offsets and the leader epoch in place. Each is checked on
    /// its own: a bad one never fails its neighbours. They are written when this returns; under
    /// [`Durability::Fsync`] they are acknowledged when [`Log::durable_offset`] covers them.
    pub fn append(self: &Arc<Self>, batches: &mut [&mut [u8]]) -> Appended {
        let mut budget = APPEND_BYTES;
        let mut checked: Vec<Result<BatchHeader>> = Vec::with_capacity(batches.len());
        let rules = BatchRules {
            validation: self.config.batch_validation,
            ..BatchRules::new(self.config.max_batch_bytes)
        };
        for batch in batches.iter_mut() {
            if batch.len() > budget && !checked.is_empty() {
                break;
            }
            budget = budget.saturating_sub(batch.len());
            checked.push(validate(batch, &rules).map_err(LogError::Batch));
        }
        let mut state = self.state();
        let appended = self.write(&mut state, batches, checked);
        let mut work = Vec::new();
        if matches!(state.phase, Phase::Rolling) && !appended.rolling_before {
            work.push(Work::PrepareSegment { base_offset: state.end_offset });
        }
        if self.config.durability == Durability::Fsync {
            state.flush_wanted = state.end_offset;
            work.extend(state.plan_flush());
        }
        self.hand_out(state, work);
        if appended.failed {
            (self.listener)(self);
        }
        appended.appended
    }

    fn write(
        &self,
        state: &mut State,
        batches: &mut [&mut [u8]],
        checked: Vec<Result<BatchHeader>>,
    ) -> WriteOutcome {
        let rolling_before = matches!(state.phase, Phase::Rolling);
        let mut failed = false;
        let mut results: Vec<Result<i64>> = Vec::with_capacity(checked.len());
        match &state.phase {
            Phase::Open => {}
            Phase::Rolling => {
                return WriteOutcome { appended: Appended { results, taken: 0 }, rolling_before, failed };
            }
            phase => {
                let error = self.refusal(phase);
                results.resize_with(checked.len(), || Err(error.clone()));
                let taken = checked.len();
                return WriteOutcome { appended: Appended { results, taken }, rolling_before, failed };
            }
        }
        let active = state.active().clone();
        let start = active.bytes();
        let (mut bytes, mut next) = (start, state.end_offset);
        let mut headers = Vec::with_capacity(checked.len());
        let mut group = Vec::with_capacity(checked.len());
        for (header, batch) in checked.into_iter().zip(batches.iter_mut()) {
            let mut header = match header {
                Ok(header) => header,
                Err(refused) => {
                    results.push(Err(refused));
                    continue;
                }
            };
            header.base_offset = next;
            if !header.is_plausible() {
                let detail = format!("the log has no offsets for its records behind {next}");
                results.push(Err(LogError::Batch(BatchError::Invalid(detail))));
                continue;
            }
            let full = bytes + header.total_bytes() > self.config.segment_bytes && bytes > 0;
            if full || header.last_offset() - active.base_offset > i64::from(i32::MAX) {
                state.phase = Phase::Rolling;
                break;
            }
            assign_offset(batch, next);
            assign_epoch(batch, state.leader_epoch);
            results.push(Ok(next));
            next = header.next_offset();
            bytes += header.total_bytes();
            group.push(&**batch);
            headers.push(header);
        }
        let taken = results.len();
        if !group.is_empty() {
            let path = active.log_path();
            let written = active
                .file(Access::Blocking)
                .and_then(|file| file.write_at(&group, start).map_err(LogError::io("write", &path)));
            match written {
                Ok(()) => {
                    active.publish(headers.iter(), self.config.index_interval_bytes);
                    state.end_offset = next;
                }
                Err(cause) => {
                    let error = self.failed(cause);
                    state.phase = Phase::Failed(error.clone());
                    failed = true;
                    for result in results.iter_mut().filter(|result| result.is_ok()) {
                        *result = Err(error.clone());
                    }
                }
            }
        }
        WriteOutcome { appended: Appended { results, taken }, rolling_before, failed }
    }
}
