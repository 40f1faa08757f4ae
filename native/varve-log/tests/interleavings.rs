//! The failure this guards against: a wake-up is lost, a reader sees what no flush has covered, or a close does not wait,
//! in one order of ten thousand in which threads may run. The real log and the real pool of threads run under a scheduler
//! that tries such orders, each by a seed, and knows a deadlock when it sees one.
//!
//! `cargo test --features shuttle --test interleavings`; `VARVE_INTERLEAVINGS` is how many orders are tried.

#![cfg(feature = "shuttle")]

mod simulation;

use std::sync::Arc;

use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;
use simulation::{LOGS, batch_of, config, open_directory};
use varve_log::runner::ThreadRunner;
use varve_log::sim::SimStorage;
use varve_log::{Access, Durability, Log, LogConfig, SliceRequest};
use varve_records::BatchHeader;

const APPENDERS: i64 = 2;
const BATCHES: i64 = 3;
const END: i64 = APPENDERS * BATCHES;

fn orders() -> usize {
    std::env::var("VARVE_INTERLEAVINGS").map_or(300, |count| count.parse().expect("a number"))
}

/// Counts what the log tells its listener, so that whoever waits for a change sleeps until there is one.
#[derive(Default)]
struct Changes {
    count: Mutex<u64>,
    some: Condvar,
}

impl Changes {
    fn note(&self) {
        *self.count.lock().unwrap() += 1;
        self.some.notify_all();
    }

    /// Waits until `met`, which is asked now and after every change.
    fn until(&self, met: impl Fn() -> bool) {
        let mut seen = *self.count.lock().unwrap();
        while !met() {
            let mut count = self.count.lock().unwrap();
            while *count == seen {
                count = self.some.wait(count).unwrap();
            }
            seen = *count;
        }
    }
}

fn open(
    storage: &SimStorage,
    durability: Durability,
    runner: &Arc<ThreadRunner>,
) -> (Arc<Log>, Arc<Changes>) {
    let changes = Arc::new(Changes::default());
    let listener = changes.clone();
    // Two batches fill a segment, so that appenders meet rolls.
    let log_config = LogConfig { segment_bytes: 200, ..config(durability) };
    let directory = open_directory(storage).unwrap();
    let log = Log::open(directory, LOGS[0], log_config, runner.clone(), Box::new(move |_| listener.note()))
        .unwrap();
    (log, changes)
}

/// Appends one batch after the other, and waits for each acknowledgement.
fn append(log: &Arc<Log>, changes: &Changes, appender: u8) {
    for n in 0..BATCHES as u8 {
        let mut batch = batch_of(0, &[&[appender, n]]);
        let base_offset = loop {
            let mut appended = log.append(&mut [&mut batch]);
            match appended.results.pop() {
                Some(result) => break result.unwrap(),
                None => changes.until(|| matches!(log.phase(), varve_log::Phase::Open)),
            }
        };
        // An append under `'os'` is durable at once and tells nobody: who made it does.
        changes.note();
        changes.until(|| log.durable_offset() > base_offset);
    }
}

/// Follows the log to its end: every offset once and in order, and nothing that is not durable.
fn follow(log: &Arc<Log>, changes: &Changes) {
    let mut next = 0;
    while next < END {
        changes.until(|| log.durable_offset() > next);
        let request = SliceRequest { from: next, up_to: i64::MAX, max_bytes: 1, min_one_batch: true };
        let slice = log.slice(request, Access::Blocking).unwrap();
        let mut bytes = vec![0; slice.bytes as usize];
        slice.read(&mut bytes, 0, Access::Blocking).unwrap();
        assert_eq!(BatchHeader::parse(&bytes).unwrap().base_offset, next);
        assert!(slice.next_offset <= log.durable_offset());
        next = slice.next_offset;
    }
}

fn hand_off(durability: Durability) {
    let storage = SimStorage::new(1);
    let runner = ThreadRunner::new(2);
    let (log, changes) = open(&storage, durability, &runner);
    let mut threads: Vec<_> = (0..APPENDERS as u8)
        .map(|appender| {
            let (log, changes) = (log.clone(), changes.clone());
            thread::spawn(move || append(&log, &changes, appender))
        })
        .collect();
    threads.push({
        let (log, changes) = (log.clone(), changes.clone());
        thread::spawn(move || follow(&log, &changes))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    // What was acknowledged survives the power, in whatever order the threads ran.
    if durability == Durability::Fsync {
        assert_eq!(log.flushed_offset(), END);
    }
    log.close().unwrap();
    assert_eq!(log.flushed_offset(), END);
}

/// A close while others append: each append is acknowledged and durable, or refused.
fn close_in_between() {
    let storage = SimStorage::new(1);
    let runner = ThreadRunner::new(1);
    let (log, _changes) = open(&storage, Durability::Os, &runner);
    let appender = {
        let log = log.clone();
        thread::spawn(move || {
            let mut acknowledged = 0;
            for n in 0..BATCHES as u8 {
                let appended = log.append(&mut [&mut batch_of(0, &[&[n; 50]])]);
                acknowledged += appended.results.iter().filter(|result| result.is_ok()).count() as i64;
            }
            acknowledged
        })
    };
    log.close().unwrap();
    assert_eq!(log.flushed_offset(), appender.join().unwrap());
}

#[test]
fn appenders_flush_threads_and_readers_hand_over_what_is_durable() {
    shuttle::check_random(|| hand_off(Durability::Fsync), orders());
}

#[test]
fn appenders_and_readers_share_the_page_cache() {
    shuttle::check_random(|| hand_off(Durability::Os), orders());
}

#[test]
fn orders_with_few_and_unlikely_switches() {
    shuttle::check_pct(|| hand_off(Durability::Fsync), orders(), 4);
}

#[test]
fn a_close_waits_for_what_is_under_way_and_lets_nothing_in_behind_it() {
    shuttle::check_random(close_in_between, orders());
}
