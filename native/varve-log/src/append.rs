//! Appending: checked batches get their offsets in place and go to the active segment in one write.

use std::sync::Arc;
use std::time::Duration;

use varve_records::{
    BatchError, BatchHeader, BatchRules, BatchValidation, EndTransactionMarker, assign_epoch, assign_offset,
    validate,
};

use crate::batch_reader::Access;
use crate::error::{LogError, Result};
use crate::leader_epochs::LeaderEpochs;
use crate::log::{Log, Phase, State};
use crate::log_config::{Durability, LogConfig};
use crate::preparation::{Preparation, Prepared};
use crate::producer_state_manager::{ProducerAppend, Refusal, Verdict};
use crate::runner::Work;
use crate::segment::Segment;
use crate::slow_disk::{GroupWrite, ThreadedWrite};

/// One append call writes at most this much, so that an event loop is never held for long; the rest is offered again.
pub const APPEND_BYTES: usize = 4 << 20;

/// How an append went.
pub struct Appended {
    /// For each batch that was taken its base offset, or why it was refused. A batch that its producer has written
    /// before has the offset that it got then.
    pub results: Vec<Result<i64>>,
    /// Batches taken; the others are to be offered again: at once when the log is open (this call had enough, or its last one
    /// is too large), after the listener was told when it rolls.
    pub taken: usize,
}

struct WriteOutcome {
    appended: Appended,
    waiting_before: bool,
    failed: bool,
    /// What is written by a job instead, because the disk is slow or the file is not open.
    threaded: Option<Work>,
    /// Written.
    bytes: u64,
}

impl WriteOutcome {
    /// Of a call that writes nothing, because appends wait or are refused.
    fn nothing(results: Vec<Result<i64>>, waiting_before: bool) -> Self {
        let taken = results.len();
        Self {
            appended: Appended { results, taken },
            waiting_before,
            failed: false,
            threaded: None,
            bytes: 0,
        }
    }
}

/// Who decides the offsets and leader epochs of batches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// This log: a producer's batches.
    Leader,
    /// They have theirs: batches that were fetched from the leader's log.
    Replicated,
}

impl Log {
    /// Appends encoded batches, one per buffer, assigning offsets and the leader epoch in place. Each is checked on
    /// its own: a bad one never fails its neighbours. One that is too large is the last that a call takes, so that whoever
    /// can make several of it has those in its place. They are written when this returns, or by a job while the disk is
    /// slow or the file has to be opened, and are acknowledged when [`Log::durable_offset`] covers them.
    pub fn append(self: &Arc<Self>, batches: &mut [&mut [u8]]) -> Appended {
        self.append_from(Origin::Leader, None, batches)
    }

    /// As [`Log::append`], for batches that the caller has just encoded and sealed: the checksum that it has computed is not
    /// computed again.
    pub fn append_sealed(self: &Arc<Self>, batches: &mut [&mut [u8]]) -> Appended {
        self.append_from(Origin::Leader, Some(BatchValidation::Sealed), batches)
    }

    /// Appends batches of the leader's log as they are, with their offsets and leader epochs. Offsets may have gaps, as
    /// a compacted log has them, but neither they nor the epochs may go backwards.
    pub fn append_replicated(self: &Arc<Self>, batches: &mut [&mut [u8]]) -> Appended {
        self.append_from(Origin::Replicated, None, batches)
    }

    /// Leader's batches are validated as the log is configured, or as the caller has reason to.
    fn append_from(
        self: &Arc<Self>,
        origin: Origin,
        validation: Option<BatchValidation>,
        batches: &mut [&mut [u8]],
    ) -> Appended {
        let config = self.config();
        let validation = validation.unwrap_or(config.batch_validation);
        let mut budget = APPEND_BYTES;
        let mut checked: Vec<Result<Prepared>> = Vec::with_capacity(batches.len());
        for batch in batches.iter_mut() {
            if batch.len() > budget && !checked.is_empty() {
                break;
            }
            budget = budget.saturating_sub(batch.len());
            let prepared = match origin {
                Origin::Leader => self.prepare(&config, batch, validation),
                Origin::Replicated => Some(self.check_replicated(batch)),
            };
            let Some(prepared) = prepared else { break };
            let is_too_large = matches!(
                prepared,
                Err(LogError::Batch(BatchError::TooLarge { .. } | BatchError::TooLargeCompressed { .. }))
            );
            checked.push(prepared);
            if is_too_large {
                break;
            }
        }
        let mut state = self.state();
        if !self.is_in_force(&config) {
            // What was looked at under the one before is to be offered again.
            return Appended { results: Vec::new(), taken: 0 };
        }
        let appended = self.write(&mut state, &config, origin, batches, &mut checked);
        if appended.appended.taken == checked.len()
            && matches!(state.preparation, Some(Preparation::Done { .. }))
        {
            state.preparation = None;
        }
        self.stats.refused(appended.appended.results.iter().filter(|result| result.is_err()).count());
        let mut work = Vec::from_iter(appended.threaded);
        if matches!(state.phase, Phase::Rolling) && !appended.waiting_before {
            work.push(Work::PrepareSegment { base_offset: state.end_offset });
        }
        work.extend(self.plan_allocation(&mut state));
        work.extend(self.plan_measure(&mut state, appended.bytes));
        match config.durability {
            Durability::Fsync => state.flush_wanted = state.end_offset,
            Durability::Os => self.want_flush_in_time(&mut state),
        }
        work.extend(state.plan_flush());
        self.hand_out(state, work);
        if appended.failed {
            (self.listener)(self);
        }
        appended.appended
    }

    /// The leader has looked at the records, and has taken batches of whatever size.
    fn check_replicated(&self, batch: &mut [u8]) -> Result<Prepared> {
        let rules =
            BatchRules { validation: BatchValidation::Header, replicated: true, ..BatchRules::new(u64::MAX) };
        Ok(Prepared { header: validate(batch, &rules).map_err(LogError::Batch)?, bytes: None })
    }

    /// Under [`Durability::Os`] nobody waits for a flush, but the configuration may bound how much, and for how long,
    /// lies in the page cache alone.
    pub(crate) fn want_flush_in_time(self: &Arc<Self>, state: &mut State) {
        if state.flushed.offset >= state.end_offset {
            return;
        }
        let config = self.config();
        if let Some(bytes) = config.flush_interval_bytes {
            let active = state.active();
            let same_segment = active.base_offset == state.flushed.segment_base;
            let flushed = if same_segment { state.flushed.position } else { 0 };
            if active.bytes() - flushed >= bytes {
                state.flush_wanted = state.end_offset;
            }
        }
        let records = (state.end_offset - state.flushed.offset) as u64;
        if config.flush_interval_records.is_some_and(|most| records >= most) {
            state.flush_wanted = state.end_offset;
        }
        if let Some(interval) = config.flush_interval_ms
            && state.flush_due.is_none()
        {
            let due = self.runner.now() + Duration::from_millis(interval);
            state.flush_due = Some(due);
            self.wake_at(state, due);
        }
    }

    fn write(
        self: &Arc<Self>,
        state: &mut State,
        config: &LogConfig,
        origin: Origin,
        batches: &mut [&mut [u8]],
        checked: &mut [Result<Prepared>],
    ) -> WriteOutcome {
        if state.phase.keeps_waiting() {
            return WriteOutcome::nothing(Vec::new(), true);
        }
        let refusal = match &state.phase {
            Phase::Open => self.low_disk(state),
            phase => Some(self.refusal(phase)),
        };
        if let Some(error) = refusal {
            return WriteOutcome::nothing(vec![Err(error); checked.len()], false);
        }
        let (mut failed, mut threaded) = (false, None);
        let mut results: Vec<Result<i64>> = Vec::with_capacity(checked.len());
        let active = state.active().clone();
        let start = active.bytes();
        let (mut bytes, mut next) = (start, state.end_offset);
        let mut first_timestamp = active.first_timestamp();
        let segment_ms = config.rolls_after_ms(&self.name, active.base_offset);
        let indexes_full = active.indexes_reach(config.index_bytes);
        let mut epochs = state.epochs.clone();
        let mut producers = ProducerAppend::default();
        let mut headers = Vec::with_capacity(checked.len());
        let mut group = Vec::with_capacity(checked.len());
        for (prepared, batch) in checked.iter_mut().zip(batches.iter_mut()) {
            let placed = match prepared {
                Ok(Prepared { header, bytes }) => {
                    let placed = self.place(origin, *header, next, state, &epochs);
                    placed.map(|header| (header, bytes.as_deref_mut().unwrap_or(batch)))
                }
                Err(refused) => Err(refused.clone()),
            };
            let (header, batch) = match placed {
                Ok(placed) => placed,
                Err(refused) => {
                    results.push(Err(refused));
                    continue;
                }
            };
            let marker = match self.judge(origin, &header, batch, state, &producers) {
                Ok(Verdict::Append(marker)) => marker,
                Ok(Verdict::Duplicate(original)) => {
                    results.push(Ok(original.first_offset()));
                    continue;
                }
                Err(refused) => {
                    results.push(Err(refused));
                    continue;
                }
            };
            let full = indexes_full || bytes + header.total_bytes() > config.segment_bytes;
            let old = segment_ms.is_some_and(|segment_ms| {
                first_timestamp.is_some_and(|first| header.max_timestamp.saturating_sub(first) > segment_ms)
            });
            if (bytes > 0 && (full || old)) || header.last_offset() - active.base_offset > i64::from(i32::MAX)
            {
                state.phase = Phase::Rolling;
                break;
            }
            if self.lacks_zeros(state, bytes + header.total_bytes()) {
                state.phase = Phase::Allocating;
                break;
            }
            if origin == Origin::Leader {
                assign_offset(batch, header.base_offset);
                assign_epoch(batch, header.partition_leader_epoch);
            }
            first_timestamp = first_timestamp.or(Some(header.max_timestamp));
            epochs.assign(header.partition_leader_epoch, header.base_offset);
            if header.has_producer_id() {
                producers.add(&state.producers, &header, marker.as_ref());
            }
            results.push(Ok(header.base_offset));
            next = header.next_offset();
            bytes += header.total_bytes();
            group.push(&*batch);
            headers.push(header);
        }
        let taken = results.len();
        if !group.is_empty() {
            let write = GroupWrite {
                given: self.runner.now(),
                segment: active,
                position: start,
                headers,
                end_offset: next,
                epochs,
                producers,
            };
            // Held, so that it stays open: to open it may wait until other files are synced and closed.
            let open = write.segment.file(Access::Cached);
            if open.is_err() || self.directory.pace.is_slow() {
                state.phase = Phase::Writing;
                threaded = Some(Work::Write(ThreadedWrite { group: write, bytes: group.concat() }));
            } else {
                match self.write_timed(&write, &group) {
                    Ok(time) => self.wrote(state, write, time),
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
        }
        let appended = Appended { results, taken };
        WriteOutcome { appended, waiting_before: false, failed, threaded, bytes: bytes - start }
    }

    /// The header as it will stand in the log, or why the batch cannot follow `next`.
    fn place(
        &self,
        origin: Origin,
        mut header: BatchHeader,
        next: i64,
        state: &State,
        epochs: &LeaderEpochs,
    ) -> Result<BatchHeader> {
        let invalid = |detail: String| Err(LogError::Batch(BatchError::Invalid(detail)));
        match origin {
            Origin::Leader => {
                (header.base_offset, header.partition_leader_epoch) = (next, state.leader_epoch);
                if !header.is_plausible() {
                    return invalid(format!("the log has no offsets for its records behind {next}"));
                }
            }
            Origin::Replicated => {
                let (offset, epoch) = (header.base_offset, header.partition_leader_epoch);
                if offset < next {
                    return invalid(format!("it starts at offset {offset} and the log ends at {next}"));
                }
                if let Some(latest) = epochs.latest().filter(|&latest| epoch < latest) {
                    return Err(LogError::EpochFenced { dir: self.dir.clone(), epoch, latest });
                }
                if header.last_offset() - next > i64::from(i32::MAX) {
                    return invalid(format!("it starts at offset {offset}, too far behind the end {next}"));
                }
            }
        }
        Ok(header)
    }

    /// What is to be done with a batch, as far as its producer is concerned. What comes from the leader has been judged.
    fn judge(
        &self,
        origin: Origin,
        header: &BatchHeader,
        batch: &[u8],
        state: &State,
        producers: &ProducerAppend,
    ) -> Result<Verdict> {
        let invalid = |detail: &str| Err(LogError::Batch(BatchError::Invalid(detail.into())));
        match origin {
            Origin::Leader if !header.has_producer_id() && header.is_transactional() => {
                invalid("a transactional batch without a producer id")
            }
            _ if !header.has_producer_id() => Ok(Verdict::Append(None)),
            Origin::Leader => {
                let forgets_none =
                    producers.begins_midway(&state.producers, header) && self.forgets_no_producer(state)?;
                producers.check(&state.producers, header, batch, forgets_none).map_err(
                    |refusal| match refusal {
                        Refusal::Batch(error) => LogError::Batch(error),
                        Refusal::Producer(error) => LogError::Producer { dir: self.dir.clone(), error },
                    },
                )
            }
            Origin::Replicated if header.is_control() && header.records_count > 0 => {
                match EndTransactionMarker::parse(batch) {
                    None => invalid("a control batch that is no transaction marker"),
                    marker => Ok(Verdict::Append(marker)),
                }
            }
            Origin::Replicated => Ok(Verdict::Append(None)),
        }
    }

    /// Whether a producer that is not known has certainly never written here. A later batch of one whose first went to the
    /// leader before, which has not answered, must not come before it.
    ///
    /// Records that were deleted or compacted may have been the last of a producer, and one that was idle for too long is
    /// forgotten, which cannot have happened to a log that is younger. The first leader takes any batch: whoever makes a topic
    /// anew under its name finds producers that go on.
    fn forgets_no_producer(&self, state: &State) -> Result<bool> {
        let config = self.config();
        let kept_all =
            state.start_offset == 0 && !config.cleanup_policy.compacts() && !state.producers.forgot();
        if state.leader_epoch == 0 || !kept_all {
            return Ok(false);
        }
        let first = &state.segments[0];
        if first.first_timestamp().is_none() && first.bytes() > 0 {
            first.activate()?;
        }
        let youngest = self.runner.wall_clock_ms().saturating_sub(config.producer_id_expiration_ms);
        Ok(first.first_timestamp().is_none_or(|began| began > youngest))
    }

    pub(crate) fn take_producers(
        self: &Arc<Self>,
        state: &mut State,
        active: &Segment,
        producers: ProducerAppend,
    ) {
        if producers.is_empty() {
            return;
        }
        active.publish_aborted(state.producers.commit(producers));
        if state.high_watermark.is_none() {
            let visible = self.visible(state).offset;
            state.producers.remove_before(visible);
        }
        self.schedule_producer_expiry(state);
    }
}

impl State {
    pub(crate) fn take_epochs(&mut self, epochs: LeaderEpochs) {
        if epochs != self.epochs {
            self.epochs = epochs;
            self.epochs_changed = true;
        }
        self.leader_epoch = self.leader_epoch.max(self.epochs.latest().unwrap_or(0));
    }
}
