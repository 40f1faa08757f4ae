use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Float64ArraySlice, Object, Uint32ArraySlice};
use napi::{Either, Env};
use napi_derive::napi;
use varve_log::{
    Access, Answer, Appended, Durability, Log, LogError, Phase, Slice, SliceRequest, TimedOffset,
};
use varve_records::{HEADER_BYTES, assign_epoch, seal};

use crate::changes::Changes;
use crate::directory::Finish;
use crate::failure::{Failure, task};
use crate::log_config::NativeLogConfig;
use crate::promised::Promised;
use crate::registry::Environment;
use crate::shared_log::LogShare;
use crate::slice::NativeSlice;
use crate::stats::NativeStats;

/// What an unclean stop left.
#[napi(object)]
pub struct NativeRecovered {
    pub end_offset: f64,
    pub cut_bytes: f64,
}

/// No method takes `&mut self`: napi counts an object as borrowed until a task of it has ended, and refuses to lend it
/// for a change meanwhile, so that an append during a cold read would throw.
#[napi]
pub struct NativeLog {
    pub(crate) log: Arc<Log>,
    changes: Arc<Changes>,
    environment: Environment,
    /// What is closed, or given back when this is collected.
    share: Mutex<Option<LogShare>>,
    /// Whether this environment has closed the log, which others may still have open.
    is_closed: Arc<AtomicBool>,
    refusals: Mutex<Vec<LogError>>,
}

task!(FindRecord, Option<TimedOffset>, Option<NativeTimedOffset>, |found: Option<TimedOffset>| {
    found.map(NativeTimedOffset::from)
});
task!(TakeSlice, NativeSlice, NativeSlice, |slice| slice);

/// A record found by its time.
#[napi(object)]
pub struct NativeTimedOffset {
    pub offset: f64,
    /// What a number cannot hold is the nearest that it can.
    pub timestamp: f64,
}

impl From<TimedOffset> for NativeTimedOffset {
    fn from(found: TimedOffset) -> Self {
        const MOST: i64 = (1 << 53) - 1;
        Self { offset: found.offset as f64, timestamp: found.timestamp.clamp(-MOST, MOST) as f64 }
    }
}

/// Where a leader epoch ends.
#[napi(object)]
pub struct NativeEpochEnd {
    pub epoch: i32,
    pub end_offset: f64,
}

impl NativeLog {
    /// Called on the environment's thread.
    pub fn new(share: LogShare) -> Self {
        Self {
            log: share.log().clone(),
            changes: share.changes().clone(),
            environment: thread::current().id(),
            share: Mutex::new(Some(share)),
            is_closed: Arc::default(),
            refusals: Mutex::default(),
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn end(&self, end: impl FnOnce(LogShare) -> varve_log::Result<()> + Send + 'static) -> AsyncTask<Finish> {
        let share = self.share.lock().expect("never held across a panic").take();
        let is_closed = self.is_closed.clone();
        AsyncTask::new(Finish(Box::new(move || {
            let result = share.map_or(Ok(()), end);
            is_closed.store(true, Ordering::Release);
            result
        })))
    }

    /// Asks the engine for what it answers in its own time.
    fn ask<'env>(
        &self,
        env: &'env Env,
        request: impl FnOnce(&Arc<Log>, Answer),
    ) -> napi::Result<Object<'env>> {
        let (mut promised, promise) = Promised::of(&self.log, env)?;
        request(&self.log, Box::new(move |answer| promised.settle(answer)));
        Ok(promise)
    }

    /// Appends, and notes for each batch its base offset or, as -1 - n, the n-th of the refusals.
    fn append(&self, append: impl FnOnce(&Arc<Log>) -> Appended, results: &mut [f64]) -> u32 {
        let mut refusals = self.refusals.lock().expect("never held across a panic");
        refusals.clear();
        let appended = append(&self.log);
        let counts = || self.log.config().durability == Durability::Os || self.changes.writes_are_watched();
        if appended.taken > 0 && counts() {
            self.changes.tell_others(self.environment);
        }
        for (result, slot) in appended.results.into_iter().zip(results) {
            *slot = match result {
                Ok(base_offset) => base_offset as f64,
                Err(error) => {
                    refusals.push(error);
                    -(refusals.len() as f64)
                }
            };
        }
        appended.taken as u32
    }
}

#[napi]
impl NativeLog {
    #[napi(getter, catch_unwind)]
    pub fn start_offset(&self) -> f64 {
        self.log.start_offset() as f64
    }

    #[napi(getter, catch_unwind)]
    pub fn end_offset(&self) -> f64 {
        self.log.end_offset() as f64
    }

    #[napi(getter, catch_unwind)]
    pub fn durable_offset(&self) -> f64 {
        self.log.durable_offset() as f64
    }

    #[napi(getter, catch_unwind)]
    pub fn flushed_offset(&self) -> f64 {
        self.log.flushed_offset() as f64
    }

    /// How often the log was truncated since it was opened.
    #[napi(getter, catch_unwind)]
    pub fn truncations(&self) -> u32 {
        self.log.truncations() as u32
    }

    /// The lowest offset at which the log has ended since there were `seen` truncations.
    #[napi(catch_unwind)]
    pub fn lowest_end_since(&self, seen: u32) -> Option<f64> {
        self.log.lowest_end_since(seen as usize).map(|end| end as f64)
    }

    /// Changes of the configuration what is given, all of it or nothing.
    #[napi(catch_unwind)]
    pub fn configure(&self, change: NativeLogConfig) -> Option<Failure> {
        self.log.configure(|config| change.apply(config)).err().map(Failure::from)
    }

    #[napi(getter, catch_unwind)]
    pub fn segment_bytes(&self) -> f64 {
        self.log.config().segment_bytes as f64
    }

    #[napi(getter, catch_unwind)]
    pub fn max_batch_bytes(&self) -> f64 {
        self.log.config().max_batch_bytes as f64
    }

    /// Whether an acknowledgement waits for an fsync, as whoever opened the log first, or configured it, has said.
    #[napi(getter, catch_unwind)]
    pub fn fsync(&self) -> bool {
        self.log.config().durability == Durability::Fsync
    }

    #[napi(getter, catch_unwind)]
    pub fn recovered(&self) -> Option<NativeRecovered> {
        let recovered = self.log.recovered?;
        let (end_offset, cut_bytes) = (recovered.end_offset as f64, recovered.cut_bytes as f64);
        Some(NativeRecovered { end_offset, cut_bytes })
    }

    /// 0 open, 1 rolling, 2 failed or corrupt, 3 closed, 4 read-only.
    #[napi(getter, catch_unwind)]
    pub fn phase(&self) -> u32 {
        if self.is_closed() {
            return 3;
        }
        match self.log.phase() {
            Phase::Open => 0,
            Phase::Rolling | Phase::Allocating | Phase::Writing | Phase::Truncating | Phase::Preparing => 1,
            Phase::Failed(_) => 2,
            Phase::Closing | Phase::Closed => 3,
            Phase::ReadOnly => 4,
        }
    }

    /// Why the log takes no writes.
    #[napi(getter, catch_unwind)]
    pub fn failure(&self) -> Option<Failure> {
        match self.log.phase() {
            Phase::Failed(error) if !self.is_closed() => Some(error.into()),
            _ => None,
        }
    }

    #[napi(getter, catch_unwind)]
    pub fn leader_epoch(&self) -> i32 {
        self.log.leader_epoch()
    }

    #[napi(catch_unwind)]
    pub fn set_leader_epoch(&self, epoch: i32) -> Option<Failure> {
        self.log.set_leader_epoch(epoch).err().map(Failure::from)
    }

    /// Where a leader epoch ends in this log; nothing for one larger than any that it knows.
    #[napi(catch_unwind)]
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<NativeEpochEnd> {
        let end = self.log.end_offset_for_epoch(epoch)?;
        Some(NativeEpochEnd { epoch: end.epoch, end_offset: end.end_offset as f64 })
    }

    #[napi(catch_unwind)]
    pub fn stats(&self) -> NativeStats {
        self.log.stats().into()
    }

    #[napi(getter, catch_unwind)]
    pub fn compactions(&self) -> f64 {
        self.log.compactions() as f64
    }

    #[napi(getter, catch_unwind)]
    pub fn active_segment(&self) -> f64 {
        self.log.active_segment() as f64
    }

    /// Deletes what the configured retention does not cover; the log start offset.
    #[napi(catch_unwind)]
    pub fn apply_retention<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.ask(env, |log, answer| log.apply_retention(answer))
    }

    /// Compacts what is sealed and flushed; up to where.
    #[napi(catch_unwind)]
    pub fn compact<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.ask(env, |log, answer| log.compact(answer))
    }

    /// Why the last compaction came to nothing, if it did.
    #[napi(getter, catch_unwind)]
    pub fn compaction_failure(&self) -> Option<Failure> {
        self.log.compaction_failure().map(Failure::from)
    }

    /// Deletes the records before `offset`; the log start offset.
    #[napi(catch_unwind)]
    pub fn delete_before<'env>(&self, env: &'env Env, offset: f64) -> napi::Result<Object<'env>> {
        self.ask(env, |log, answer| log.delete_before(offset as i64, answer))
    }

    /// Cuts the end off; the new end offset.
    #[napi(catch_unwind)]
    pub fn truncate_to<'env>(&self, env: &'env Env, offset: f64) -> napi::Result<Object<'env>> {
        self.ask(env, |log, answer| log.truncate_to(offset as i64, answer))
    }

    /// Deletes everything and lets the log start, empty, at `offset`; the new end offset.
    #[napi(catch_unwind)]
    pub fn truncate_fully_and_start_at<'env>(
        &self,
        env: &'env Env,
        offset: f64,
    ) -> napi::Result<Object<'env>> {
        self.ask(env, |log, answer| log.truncate_fully_and_start_at(offset as i64, answer))
    }

    /// Whether one more, or one fewer, wants to be told of what is written and not durable yet.
    #[napi(catch_unwind)]
    pub fn watch_writes(&self, one_more: bool) {
        self.changes.watch_writes(one_more);
    }

    /// Appends encoded batches, one per buffer, in place, or as they are when they come from the leader's log. Returns how many were taken; `results` has a base offset or
    /// -1 - n for each, n being the index in `refusals()`.
    #[napi(catch_unwind)]
    pub fn append_batches(
        &self,
        mut buffers: Vec<BufferSlice<'_>>,
        replicated: bool,
        mut results: Float64ArraySlice<'_>,
    ) -> u32 {
        let mut copies = separate(&buffers);
        let mut batches: Vec<&mut [u8]> = Vec::with_capacity(buffers.len());
        let mut copy = copies.iter_mut().peekable();
        for (i, buffer) in buffers.iter_mut().enumerate() {
            match copy.next_if(|(of, _)| *of == i) {
                Some((_, bytes)) => batches.push(bytes),
                None => batches.push(buffer),
            }
        }
        let append = |log: &Arc<Log>| match replicated {
            true => log.append_replicated(&mut batches),
            false => log.append(&mut batches),
        };
        self.append(append, unsafe { results.as_mut() })
    }

    /// Appends batches that JavaScript wrote one behind the other into `staging`, `lengths` bytes each, without
    /// checksums: they are sealed here.
    #[napi(catch_unwind)]
    pub fn append_staged(
        &self,
        mut staging: BufferSlice<'_>,
        lengths: Uint32ArraySlice<'_>,
        mut results: Float64ArraySlice<'_>,
    ) -> napi::Result<u32> {
        let mut rest: &mut [u8] = &mut staging;
        let mut batches: Vec<&mut [u8]> = Vec::with_capacity(lengths.len());
        for &length in lengths.iter() {
            let Some((batch, behind)) = rest.split_at_mut_checked(length as usize) else {
                return Err(napi::Error::from_reason("the lengths exceed the staging buffer"));
            };
            // What is shorter has no place for a checksum, and is refused below.
            if batch.len() >= HEADER_BYTES {
                assign_epoch(batch, -1);
                seal(batch);
            }
            batches.push(batch);
            rest = behind;
        }
        Ok(self.append(|log| log.append_sealed(&mut batches), unsafe { results.as_mut() }))
    }

    /// The refusals of the last append.
    #[napi(catch_unwind)]
    pub fn refusals(&self) -> Vec<Failure> {
        let refusals = self.refusals.lock().expect("never held across a panic");
        refusals.iter().cloned().map(Failure::from).collect()
    }

    /// Blocks the thread until the log does not roll any more.
    #[napi(catch_unwind)]
    pub fn wait_until_rolled(&self) {
        self.changes.wait_until(|| !self.log.phase().keeps_waiting());
    }

    /// Blocks the thread until `durableOffset` reaches `offset`, or the log takes no more writes.
    #[napi(catch_unwind)]
    pub fn wait_until_durable(&self, offset: f64) {
        let takes_writes = || self.log.phase().takes_writes();
        self.changes.wait_until(|| self.log.durable_offset() >= offset as i64 || !takes_writes());
    }

    /// Asks for a flush; it is done when `flushedOffset` reaches the answer.
    #[napi(catch_unwind)]
    pub fn request_flush(&self) -> Either<f64, Failure> {
        match self.log.request_flush() {
            Ok(target) => Either::A(target as f64),
            Err(error) => Either::B(error.into()),
        }
    }

    /// A slice, or nothing when it cannot be told without waiting for the disk.
    #[napi(catch_unwind)]
    pub fn slice(
        &self,
        from: f64,
        up_to: f64,
        max_bytes: f64,
        min_one_batch: bool,
        written: bool,
    ) -> Option<Either<NativeSlice, Failure>> {
        let request = request(from, up_to, max_bytes, min_one_batch);
        match slice(&self.log, request, written, Access::Cached) {
            Ok(slice) => Some(Either::A(NativeSlice::new(self.log.clone(), slice))),
            Err(LogError::WouldBlock) => None,
            Err(error) => Some(Either::B(error.into())),
        }
    }

    /// The same on a thread that waits.
    #[napi(catch_unwind)]
    pub fn slice_cold(
        &self,
        from: f64,
        up_to: f64,
        max_bytes: f64,
        min_one_batch: bool,
        written: bool,
    ) -> AsyncTask<TakeSlice> {
        let log = self.log.clone();
        let request = request(from, up_to, max_bytes, min_one_batch);
        AsyncTask::new(TakeSlice(Box::new(move || {
            let slice = slice(&log, request, written, Access::Blocking)?;
            Ok(NativeSlice::new(log, slice))
        })))
    }

    /// The first record at or after `timestamp` (ms).
    #[napi(catch_unwind)]
    pub fn offset_for_time(&self, timestamp: f64) -> AsyncTask<FindRecord> {
        let log = self.log.clone();
        AsyncTask::new(FindRecord(Box::new(move || log.offset_for_time(timestamp as i64))))
    }

    /// The first record with the largest timestamp.
    #[napi(catch_unwind)]
    pub fn max_timestamp(&self) -> AsyncTask<FindRecord> {
        let log = self.log.clone();
        AsyncTask::new(FindRecord(Box::new(move || log.max_timestamp())))
    }

    /// Closes the log with the last environment that has it open.
    #[napi(catch_unwind)]
    pub fn close(&self) -> AsyncTask<Finish> {
        // Now, so that the close after the next one knows that it is not the last.
        let turn = self.log.begin_closing();
        self.end(|share| share.close(turn))
    }

    /// The same without a flush, for a log whose directory is about to be removed.
    #[napi(catch_unwind)]
    pub fn discard(&self) -> AsyncTask<Finish> {
        self.end(LogShare::discard)
    }
}

fn slice(log: &Log, request: SliceRequest, written: bool, access: Access) -> varve_log::Result<Slice> {
    if written { log.slice_written(request, access) } else { log.slice(request, access) }
}

fn request(from: f64, up_to: f64, max_bytes: f64, min_one_batch: bool) -> SliceRequest {
    SliceRequest { from: from as i64, up_to: up_to as i64, max_bytes: max_bytes as u64, min_one_batch }
}

/// Copies of the buffers that share bytes with another one, with their index: offsets are assigned in place, and two
/// batches cannot have theirs in the same bytes.
fn separate(buffers: &[BufferSlice<'_>]) -> Vec<(usize, Vec<u8>)> {
    let mut ranges: Vec<(usize, usize, usize)> = buffers
        .iter()
        .enumerate()
        .map(|(i, buffer)| (buffer.as_ptr() as usize, buffer.as_ptr() as usize + buffer.len(), i))
        .collect();
    ranges.sort_unstable();
    let mut copies = Vec::new();
    let mut end = 0;
    for (from, to, i) in ranges {
        if from < end {
            copies.push((i, buffers[i].to_vec()));
        }
        end = end.max(to);
    }
    copies.sort_unstable_by_key(|(i, _)| *i);
    copies
}
