//! Changes of a log elsewhere than at its end: deleting what it need not retain, deleting records before an offset,
//! compacting it, cutting its end off. One of them is under way at a time; each is a chain of jobs, between which the log's lock is
//! free and appends and reads go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::compacting::{Compacting, CompactionDone, CompactionStep};
use crate::error::{LogError, Result};
use crate::flush::Mark;
use crate::leader_epochs::LeaderEpochs;
use crate::log::{Log, Phase, State};
use crate::producer_snapshot;
use crate::producer_state_manager::ProducerStateManager;
use crate::retention::{Expired, Expiry};
use crate::runner::Work;
use crate::segment::Segment;
use crate::truncation::{Cut, FindCut, StartOver, Truncated, Truncation};

/// Told when what was asked for has been done, or why it has not: the log's start offset after a deletion, its end
/// offset after a truncation. Called on any thread, without a lock of the log.
pub type Answer = Box<dyn FnOnce(Result<i64>) + Send>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    Retention,
    DeleteBefore(i64),
    TruncateTo(i64),
    StartAt(i64),
    Compact(Compact),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compact {
    /// If enough of the log was not compacted yet.
    IfDue,
    Now,
}

#[derive(Default)]
pub(crate) struct Maintenance {
    waiting: VecDeque<(Request, Answer)>,
    running: Option<Running>,
    /// A compaction that has been faster than it may be, and when it may go on.
    paused: Option<(Box<Compacting>, Duration)>,
    /// A compaction that others go before.
    parked: Option<Box<Compacting>>,
    closes: bool,
}

/// How often a compaction asks for its turn while another log of the directory has it.
const TURN_MS: u64 = 100;

struct Running {
    request: Request,
    answer: Answer,
}

/// One job of a request.
pub(crate) enum Step {
    FindExpired(Expiry),
    /// Make a log start offset durable, before anything in front of it is removed.
    SaveStart(i64),
    /// Remove the files of segments that the log has let go of, and the producer snapshots at these offsets.
    Remove(Vec<Arc<Segment>>, Vec<i64>),
    FindCut(FindCut),
    Truncate(Truncation),
    StartOver(StartOver),
    Compact(CompactionStep),
}

pub(crate) enum StepDone {
    Expired(Expired),
    StartSaved(i64),
    Removed,
    CutFound(Cut),
    Truncated(Truncated),
    Compacted(CompactionDone),
}

impl Step {
    pub(crate) fn execute(self, log: &Log) -> Result<StepDone> {
        match self {
            Self::FindExpired(expiry) => expiry.find().map(StepDone::Expired),
            Self::SaveStart(offset) => {
                log.directory.save_start(&log.name, offset).map(|()| StepDone::StartSaved(offset))
            }
            Self::Remove(segments, snapshots) => {
                segments.iter().try_for_each(|segment| segment.remove_files())?;
                let storage = log.directory.storage.as_ref();
                snapshots.iter().try_for_each(|&at| producer_snapshot::remove(storage, &log.dir, at))?;
                log.sync_names().map(|()| StepDone::Removed)
            }
            Self::FindCut(find) => find.execute().map(StepDone::CutFound),
            Self::Truncate(truncation) => truncation.execute(log).map(StepDone::Truncated),
            Self::StartOver(start_over) => start_over.execute(log).map(StepDone::Truncated),
            Self::Compact(step) => step.execute(log).map(StepDone::Compacted),
        }
    }
}

/// Answers to give once the log's lock is free.
#[derive(Default)]
pub(crate) struct Told(Vec<(Answer, Result<i64>)>);

impl Told {
    pub(crate) fn tell(self) {
        self.0.into_iter().for_each(|(answer, result)| answer(result));
    }
}

impl Maintenance {
    /// Gives up whatever waits or is under way.
    pub(crate) fn abandon(&mut self, why: &LogError) -> Told {
        // What it has written does not count, and is removed when the log is opened.
        drop(self.take_compaction());
        let running = self.running.take().map(|running| running.answer);
        let waiting = self.waiting.drain(..).map(|(_, answer)| answer);
        Told(running.into_iter().chain(waiting).map(|answer| (answer, Err(why.clone()))).collect())
    }
}

impl Maintenance {
    /// Called before the log closes, which waits for what is under way.
    pub(crate) fn close(&mut self) {
        self.closes = true;
    }

    /// A compaction that is between two of its jobs, for whoever abandons it.
    pub(crate) fn take_compaction(&mut self) -> Option<Box<Compacting>> {
        self.paused.take().map(|(compacting, _)| compacting).or(self.parked.take())
    }

    /// Whether the request whose turn it is waits until all that is sealed is durable.
    pub(crate) fn wants_durable(&self) -> bool {
        let first = self.waiting.front().map(|&(request, _)| request);
        self.running.is_none() && matches!(first, Some(Request::Retention | Request::Compact(Compact::Now)))
    }

    fn is_compacting(&self) -> bool {
        self.running.as_ref().is_some_and(|running| matches!(running.request, Request::Compact(_)))
    }

    /// Whether a compaction that is under way gives up: appends wait for a truncation.
    fn stops_compacting(&self) -> bool {
        self.closes
            || self
                .waiting
                .iter()
                .any(|(request, _)| matches!(request, Request::TruncateTo(_) | Request::StartAt(_)))
    }

    /// The next job of a compaction.
    fn go_on(&self, compacting: Box<Compacting>) -> CompactionStep {
        match self.stops_compacting() {
            true => CompactionStep::Discard(compacting),
            false => CompactionStep::Advance(compacting),
        }
    }
}

enum Begin {
    /// What must end first has not; it is asked again after every job, and whenever the log wakes.
    NotYet,
    Step(Step),
    Done(Result<i64>),
}

impl Log {
    /// Deletes the segments that the configured retention does not cover, and answers the log's start offset.
    pub fn apply_retention(self: &Arc<Self>, answer: Answer) {
        self.request(Request::Retention, answer);
    }

    /// Deletes the records before `offset`, which readers must be able to see: durable first the log start offset, then
    /// the segments in front of it are removed; those that recovery would miss, once a checkpoint has passed them. Answers the
    /// log's start offset.
    pub fn delete_before(self: &Arc<Self>, offset: i64, answer: Answer) {
        self.request(Request::DeleteBefore(offset), answer);
    }

    /// Cuts off the batch that holds `offset` and everything behind it, and answers the new end offset: `offset`, or
    /// less where it lies within a batch or behind a gap. Appends wait meanwhile; slices that reach beyond the new end
    /// are [`LogError::Truncated`] from then on.
    pub fn truncate_to(self: &Arc<Self>, offset: i64, answer: Answer) {
        self.request(Request::TruncateTo(offset), answer);
    }

    /// Deletes everything, the leader epochs too, and lets the log start, empty, at `offset`, as a follower does whose
    /// leader's log starts behind its own end. A crash on the way leaves a prefix of the old log, or the new one. Otherwise
    /// like [`Log::truncate_to`].
    pub fn truncate_fully_and_start_at(self: &Arc<Self>, offset: i64, answer: Answer) {
        self.request(Request::StartAt(offset), answer);
    }

    /// Compacts what has been sealed and flushed, whatever share of it is new. Answers up to where the log is compacted.
    /// A compaction that fails leaves the log as it was.
    pub fn compact(self: &Arc<Self>, answer: Answer) {
        self.request(Request::Compact(Compact::Now), answer);
    }

    fn request(self: &Arc<Self>, request: Request, answer: Answer) {
        let mut state = self.state();
        state.maintenance.waiting.push_back((request, answer));
        let mut told = Told::default();
        let work = [self.plan_maintenance(&mut state, &mut told), state.plan_flush()];
        self.hand_out(state, work.into_iter().flatten());
        told.tell();
    }

    /// Called by the runner at the time that the log asked for.
    pub fn wake(self: &Arc<Self>) {
        let now = self.runner.now();
        let mut state = self.state();
        if !state.phase.takes_writes() {
            return;
        }
        if state.flush_due.is_some_and(|due| due <= now) {
            state.flush_due = None;
            state.flush_wanted = state.end_offset;
        }
        if state.retention_due.take_if(|due| *due <= now).is_some() {
            let asked = state.maintenance.waiting.iter().any(|(request, _)| *request == Request::Retention);
            if !asked {
                // A failure has closed the log for writes, which everybody sees.
                state.maintenance.waiting.push_back((Request::Retention, Box::new(|_| {})));
            }
            self.schedule_retention(&mut state);
        }
        if state.compaction_due.take_if(|due| *due <= now).is_some() {
            let asked =
                state.maintenance.waiting.iter().any(|(request, _)| matches!(request, Request::Compact(_)));
            if !asked && !state.maintenance.is_compacting() {
                // A failure is kept for whoever asks.
                state.maintenance.waiting.push_back((Request::Compact(Compact::IfDue), Box::new(|_| {})));
            }
            self.schedule_compaction(&mut state);
        }
        if state.producers_due.is_some_and(|due| due <= now) {
            self.expire_producers(&mut state);
        }
        if state.wake_at.is_some_and(|at| at <= now) {
            state.wake_at = None;
        }
        let paused = state.maintenance.paused.as_ref().map(|&(_, due)| due);
        let mut measure = None;
        if state.space_due.is_some_and(|due| due <= now) {
            state.space_due = None;
            measure = self.plan_measure(&mut state, 0);
        }
        let dues = [
            state.flush_due,
            state.retention_due,
            state.compaction_due,
            state.producers_due,
            state.space_due,
            paused,
        ];
        dues.into_iter().flatten().for_each(|due| self.wake_at(&mut state, due));
        let mut told = Told::default();
        let work = [measure, self.plan_maintenance(&mut state, &mut told), state.plan_flush()];
        self.hand_out(state, work.into_iter().flatten());
        told.tell();
    }

    /// The first job of the request whose turn it is, or the next one of a compaction that has waited.
    pub(crate) fn plan_maintenance(self: &Arc<Self>, state: &mut State, told: &mut Told) -> Option<Work> {
        if !state.phase.takes_writes()
            && (state.maintenance.running.is_none() || state.maintenance.paused.is_some())
        {
            let refusal = self.refusal(&state.phase);
            told.0.extend(state.maintenance.abandon(&refusal).0);
            return None;
        }
        let (now, stops) = (self.runner.now(), state.maintenance.stops_compacting());
        if let Some((compacting, _)) = state.maintenance.paused.take_if(|&mut (_, due)| stops || due <= now) {
            return Some(Work::Maintain(Step::Compact(state.maintenance.go_on(compacting))));
        }
        if state.maintenance.running.is_some() {
            return None;
        }
        while let Some(&(request, _)) = state.maintenance.waiting.front() {
            let begin = self.begin(state, request);
            if matches!(begin, Begin::NotYet) {
                break;
            }
            let (_, answer) = state.maintenance.waiting.pop_front().expect("looked at above");
            match begin {
                Begin::Step(step) => {
                    state.maintenance.running = Some(Running { request, answer });
                    return Some(Work::Maintain(step));
                }
                Begin::Done(result) => told.0.push((answer, result)),
                Begin::NotYet => unreachable!("handled above"),
            }
        }
        // What a deletion had to leave because recovery would have missed it.
        let step = self.remove_deleted(state)?;
        let request = Request::DeleteBefore(state.start_offset);
        state.maintenance.running = Some(Running { request, answer: Box::new(|_| {}) });
        Some(Work::Maintain(step))
    }

    fn begin(self: &Arc<Self>, state: &mut State, request: Request) -> Begin {
        match request {
            Request::Retention if !state.sealed_is_durable() || matches!(state.phase, Phase::Rolling) => {
                Begin::NotYet
            }
            Request::Retention => Begin::Step(Step::FindExpired(Expiry::new(
                state,
                &self.config(),
                self.runner.wall_clock_ms(),
            ))),
            Request::Compact(_) if state.maintenance.closes => Begin::NotYet,
            Request::Compact(Compact::Now) if !state.sealed_is_durable() => Begin::NotYet,
            Request::Compact(when) => {
                if let Some(parked) = state.maintenance.parked.take() {
                    let goes_on = parked.fits(&state.segments) && !state.maintenance.stops_compacting();
                    return Begin::Step(Step::Compact(match goes_on {
                        true => CompactionStep::Advance(parked),
                        false => CompactionStep::Discard(parked),
                    }));
                }
                let Some(plan) = self.plan_compaction(state, when == Compact::Now) else {
                    return Begin::Done(Ok(self.directory.cleaned_offset(&self.name).unwrap_or(0)));
                };
                match self.directory.take_compaction_turn() {
                    Some(turn) => Begin::Step(Step::Compact(self.begin_compaction(plan, turn))),
                    None => {
                        let again = self.runner.now() + Duration::from_millis(TURN_MS);
                        self.wake_at(state, again);
                        Begin::NotYet
                    }
                }
            }
            Request::DeleteBefore(offset) => {
                let (start, end) = (state.start_offset, self.visible(state).offset);
                match offset {
                    _ if offset > end => Begin::Done(Err(self.out_of_range(offset, start, end))),
                    _ if offset <= start => Begin::Done(Ok(start)),
                    _ => Begin::Step(Step::SaveStart(offset)),
                }
            }
            Request::TruncateTo(offset) => {
                let (start, end) = (state.start_offset, state.end_offset);
                if offset < start {
                    return Begin::Done(Err(self.out_of_range(offset, start, end)));
                }
                if offset >= end && !matches!(state.phase, Phase::Truncating) {
                    return Begin::Done(Ok(end));
                }
                if !self.is_ready_to_cut(state) {
                    return Begin::NotYet;
                }
                Begin::Step(Step::FindCut(FindCut { segments: state.segments.clone(), offset }))
            }
            Request::StartAt(_) if !self.is_ready_to_cut(state) => Begin::NotYet,
            Request::StartAt(offset) => Begin::Step(Step::StartOver(self.start_over(state, offset))),
        }
    }

    /// Keeps appends waiting, and says whether whoever waited for an acknowledgement has it: nobody's is taken away.
    fn is_ready_to_cut(&self, state: &mut State) -> bool {
        if matches!(state.phase, Phase::Rolling | Phase::Allocating | Phase::Writing) {
            return false;
        }
        state.phase = Phase::Truncating;
        state.flush_wanted = state.end_offset;
        state.is_settled()
    }

    /// Takes what a job of the running request has done, and hands out the next one.
    pub(crate) fn advance_maintenance(
        self: &Arc<Self>,
        state: &mut State,
        done: StepDone,
        told: &mut Told,
    ) -> Option<Work> {
        match done {
            StepDone::Expired(Expired { roll: Some(active_base), .. })
                if active_base == state.active().base_offset && matches!(state.phase, Phase::Open) =>
            {
                let running = state.maintenance.running.take().expect("a job of it has ended");
                state.maintenance.waiting.push_front((running.request, running.answer));
                state.phase = Phase::Rolling;
                return Some(Work::PrepareSegment { base_offset: state.end_offset });
            }
            StepDone::Expired(Expired { start_offset, .. }) if start_offset > state.start_offset => {
                return Some(Work::Maintain(Step::SaveStart(start_offset)));
            }
            StepDone::Expired(_) => {
                let start_offset = state.start_offset;
                if let Some(step) = self.move_start(state, start_offset) {
                    return Some(Work::Maintain(step));
                }
            }
            StepDone::StartSaved(offset) => {
                if let Some(step) = self.move_start(state, offset) {
                    return Some(Work::Maintain(step));
                }
            }
            StepDone::CutFound(cut) if cut.end_offset < state.start_offset => {
                let start_over = self.start_over(state, state.start_offset);
                return Some(Work::Maintain(Step::StartOver(start_over)));
            }
            StepDone::CutFound(cut) => {
                return Some(Work::Maintain(Step::Truncate(self.move_end(state, cut))));
            }
            StepDone::Removed => {}
            StepDone::Truncated(Truncated { segment, producers, recovery_point }) => {
                state.recovery_point = recovery_point;
                *state.segments.last_mut().expect("a log has a segment") = segment;
                state.producers = producers;
                self.schedule_producer_expiry(state);
                state.flushed = state.end_mark();
                state.unflushed_base = state.active().base_offset;
                state.allocation.forget();
                state.phase = Phase::Open;
            }
            StepDone::Compacted(done) => {
                return self
                    .advance_compaction(state, done, told)
                    .map(|step| Work::Maintain(Step::Compact(step)));
            }
        }
        let running = state.maintenance.running.take().expect("a job of it has ended");
        let reached = match running.request {
            Request::Retention | Request::DeleteBefore(_) => state.start_offset,
            Request::TruncateTo(_) | Request::StartAt(_) => state.end_offset,
            Request::Compact(_) => unreachable!("it has ended above"),
        };
        told.0.push((running.answer, Ok(reached)));
        None
    }

    /// Takes what a job of the running compaction has done. Between two segments others get their turn.
    fn advance_compaction(
        self: &Arc<Self>,
        state: &mut State,
        done: CompactionDone,
        told: &mut Told,
    ) -> Option<CompactionStep> {
        let result = match done {
            CompactionDone::Replaced(compacting, committed, replaced) => {
                state.replace(&committed.segment, &replaced);
                self.stats.replaced(&replaced, &committed.segment);
                return Some(CompactionStep::TakePlace(compacting, committed, replaced));
            }
            CompactionDone::Placed(compacting) if !state.maintenance.waiting.is_empty() => {
                state.maintenance.parked = Some(compacting);
                let running = state.maintenance.running.take().expect("a job of it has ended");
                state.maintenance.waiting.push_back((running.request, running.answer));
                return None;
            }
            CompactionDone::Paused(compacting) | CompactionDone::Placed(compacting) => {
                let pause = compacting.pause(self.runner.now(), self.config().compaction_bytes_per_second);
                if pause.is_zero() || state.maintenance.stops_compacting() {
                    return Some(state.maintenance.go_on(compacting));
                }
                let due = self.runner.now() + pause;
                state.maintenance.paused = Some((compacting, due));
                self.wake_at(state, due);
                return None;
            }
            CompactionDone::Discarded => {
                let running = state.maintenance.running.take().expect("a job of it has ended");
                state.maintenance.waiting.push_back((running.request, running.answer));
                return None;
            }
            CompactionDone::NotDue(offset) => {
                let running = state.maintenance.running.take().expect("a job of it has ended");
                told.0.push((running.answer, Ok(offset)));
                return None;
            }
            CompactionDone::Compacted(offset) => Ok(offset),
            CompactionDone::Failed(error) => Err(error),
        };
        self.stats.compacted(result.is_ok());
        state.compaction_failure = result.as_ref().err().cloned();
        if let Err(corrupt @ LogError::Corrupt { .. }) = &result
            && state.phase.takes_writes()
        {
            state.phase = Phase::Failed(corrupt.clone());
        }
        let running = state.maintenance.running.take().expect("a job of it has ended");
        told.0.push((running.answer, result));
        None
    }

    /// Answers the running request with the failure of its job.
    pub(crate) fn fail_maintenance(&self, state: &mut State, why: &LogError, told: &mut Told) {
        if let Some(running) = state.maintenance.running.take() {
            told.0.push((running.answer, Err(why.clone())));
        }
    }

    /// Readers start at `offset` from now on; segments that end before it leave the log.
    fn move_start(&self, state: &mut State, offset: i64) -> Option<Step> {
        state.start_offset = state.start_offset.max(offset);
        state.producers.remove_before(state.start_offset);
        state.epochs_changed |= state.epochs.delete_before(state.start_offset);
        state.opened_at = None;
        self.remove_deleted(state)
    }

    /// Segments in front of the log start offset leave the log, as far as recovery does not miss them.
    fn remove_deleted(&self, state: &mut State) -> Option<Step> {
        let gone = state.deletable(state.start_offset);
        if gone == 0 {
            return None;
        }
        state.opened_at = None;
        state.generation += 1;
        let removed = state.segments.drain(..gone).collect();
        let log_start = state.segments[0].base_offset;
        let behind = state.snapshots.partition_point(|&snapshot| snapshot < log_start);
        Some(Step::Remove(removed, state.snapshots.drain(..behind).collect()))
    }

    /// Readers and appends end at the cut from now on.
    fn move_end(&self, state: &mut State, cut: Cut) -> Truncation {
        let removed = state.segments.split_off(cut.kept + 1);
        let kept = state.active().clone();
        kept.hide_behind(cut.position);
        let Cut { end_offset, position, .. } = cut;
        let end = Mark { offset: end_offset, segment_base: kept.base_offset, position };
        let recovery_point = state.end_at(end);
        let kept_snapshots = state.snapshots.partition_point(|&snapshot| snapshot <= end_offset);
        let revoked = state.snapshots.split_off(kept_snapshots);
        Truncation { kept: state.segments.clone(), position, end_offset, removed, revoked, recovery_point }
    }

    /// The log is empty from now on; its files follow.
    fn start_over(&self, state: &mut State, offset: i64) -> StartOver {
        let old = state.segments.split_off(0);
        // In its place until the new one is there: nobody reads of an empty log, and appends wait.
        state.segments.push(Arc::new(Segment::at(&self.directory.storage, &self.dir, offset, 0)));
        state.start_offset = offset;
        state.producers = ProducerStateManager::default();
        state.end_at(Mark { offset, segment_base: offset, position: 0 });
        // Their file is written with the rest.
        (state.epochs, state.epochs_changed) = (LeaderEpochs::default(), false);
        StartOver { offset, old, revoked: state.snapshots.split_off(0) }
    }

    pub(crate) fn out_of_range(&self, offset: i64, start: i64, end: i64) -> LogError {
        LogError::OffsetOutOfRange { dir: self.dir.clone(), offset, start, end }
    }
}

impl State {
    /// Takes everything behind `end` out of what readers and appends see. Returns the recovery point that must be durable
    /// before files follow.
    fn end_at(&mut self, end: Mark) -> i64 {
        self.truncations.push(end.offset);
        self.end_offset = end.offset;
        self.flushed = end;
        self.seen = end;
        self.flush_wanted = end.offset;
        self.unflushed_base = end.segment_base;
        self.recovery_point = self.recovery_point.min(end.offset);
        self.opened_at = None;
        self.generation += 1;
        self.epochs_changed |= self.epochs.truncate_to(end.offset);
        self.recovery_point
    }

    /// Whether every sealed segment is on disk for good and recovery would not read it.
    pub(crate) fn sealed_is_durable(&self) -> bool {
        let active_base = self.active().base_offset;
        self.unflushed_base >= active_base && self.recovery_point >= active_base
    }

    /// Whether everything is on disk for good and no job is about to say so again.
    fn is_settled(&self) -> bool {
        let flushed = self.flushed.offset >= self.end_offset && !self.names_dirty;
        flushed
            && self.unflushed_base >= self.active().base_offset
            && !self.flush_running
            && !self.checkpointing
    }

    /// How many of the first segments end at or before `offset` and may be removed: recovery must not miss them.
    fn deletable(&self, offset: i64) -> usize {
        let limit = offset.min(self.recovery_point).min(self.unflushed_base);
        self.segments[1..].iter().take_while(|next| next.base_offset <= limit).count()
    }
}
