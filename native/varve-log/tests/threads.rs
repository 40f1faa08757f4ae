//! The failure this guards against: with real threads and a real disk, appends get the same offset, a flush is told
//! twice or never, or the end of the log moves backwards.

mod scratch;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use scratch::{Scratch, open_directory};
use varve_log::runner::ThreadRunner;
use varve_log::{Access, Durability, Log, LogConfig, LogError, Phase, SliceRequest};
use varve_records::{BatchBuilder, BatchHeader};

const WRITERS: usize = 4;
const BATCHES: usize = 150;

fn config(durability: Durability) -> LogConfig {
    LogConfig { durability, segment_bytes: 20_000, index_interval_bytes: 1000, ..LogConfig::default() }
}

fn batch(records: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_700_000_000_000);
    for _ in 0..records {
        builder.push(Some(b"key"), Some(&[7; 90]), &[]);
    }
    builder.build()
}

/// Wakes whoever waits for a log, as a binding would.
#[derive(Default)]
struct Bell {
    rung: Mutex<u64>,
    ringing: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap() += 1;
        self.ringing.notify_all();
    }

    fn wait_until(&self, done: impl Fn() -> bool) {
        let mut rung = self.rung.lock().unwrap();
        while !done() {
            let (guard, timeout) = self.ringing.wait_timeout(rung, Duration::from_secs(20)).unwrap();
            assert!(!timeout.timed_out() || done(), "nobody was told");
            rung = guard;
        }
    }
}

fn append(log: &Arc<Log>, bell: &Bell, records: usize) -> i64 {
    let mut batch = batch(records);
    loop {
        match log.append(&mut [&mut batch]).results.pop() {
            Some(result) => return result.unwrap(),
            None => bell.wait_until(|| !matches!(log.phase(), Phase::Rolling)),
        }
    }
}

#[test]
fn appends_of_many_threads_get_every_offset_once_and_readers_see_them_in_order() {
    for durability in [Durability::Fsync, Durability::Os] {
        let scratch = Scratch::new(&format!("threads-{durability:?}"));
        let bell = Arc::new(Bell::default());
        let runner = ThreadRunner::new(3);
        let directory = open_directory(scratch.path()).unwrap();
        let ring = bell.clone();
        let listener = Box::new(move |_: &Log| ring.ring());
        let log =
            Log::open(directory.clone(), "threads-0", config(durability), runner.clone(), listener).unwrap();
        let writing = AtomicBool::new(true);
        let start = Barrier::new(WRITERS + 2);
        let offsets = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (log, bell, start) = (&log, &bell, &start);
                    scope.spawn(move || {
                        start.wait();
                        let mut own = Vec::new();
                        for n in 0..BATCHES {
                            let records = 1 + (n + writer) % 3;
                            let base = append(log, bell, records);
                            own.extend(base..base + records as i64);
                            if n % 10 == 0 {
                                bell.wait_until(|| log.durable_offset() > base);
                            }
                        }
                        own
                    })
                })
                .collect();
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    let (mut from, mut durable) = (0, 0);
                    while writing.load(Ordering::Acquire) || from < log.durable_offset() {
                        let now = log.durable_offset();
                        assert!(now >= durable, "the durable end moves forwards");
                        durable = now;
                        from = read_on(&log, from, durable);
                    }
                });
            }
            let offsets: Vec<i64> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
            bell.wait_until(|| log.durable_offset() == log.end_offset());
            writing.store(false, Ordering::Release);
            offsets
        });
        let unique: BTreeSet<i64> = offsets.iter().copied().collect();
        assert_eq!(unique.len(), offsets.len(), "no offset twice");
        assert_eq!(unique.last(), Some(&(offsets.len() as i64 - 1)), "and no gap");
        assert_eq!(log.end_offset(), offsets.len() as i64);
        log.close().unwrap();
        directory.close().unwrap();
        let directory = open_directory(scratch.path()).unwrap();
        assert!(directory.clean_shutdown);
        let log = Log::open(directory, "threads-0", config(durability), runner, Box::new(|_| {})).unwrap();
        assert_eq!((log.recovered, log.durable_offset()), (None, offsets.len() as i64));
        assert_eq!(read_on(&log, 0, log.durable_offset()), log.durable_offset());
    }
}

/// Reads from an offset up to another, checking every batch; where to go on.
fn read_on(log: &Log, mut from: i64, up_to: i64) -> i64 {
    while from < up_to {
        let request = SliceRequest { from, up_to, max_bytes: 5000, min_one_batch: true };
        let slice = match log.slice(request, Access::Cached) {
            Err(LogError::WouldBlock) => log.slice(request, Access::Blocking),
            told => told,
        };
        let slice = slice.unwrap();
        let mut bytes = vec![0; slice.bytes as usize];
        slice.read(&mut bytes, 0, Access::Blocking).unwrap();
        let mut at = 0;
        while at < bytes.len() {
            let header = BatchHeader::parse(&bytes[at..]).unwrap();
            let end = at + header.total_bytes() as usize;
            assert!(header.crc_matches(&bytes[at..end]), "whole batches");
            assert_eq!(header.base_offset, from, "in order");
            (at, from) = (end, header.next_offset());
        }
        assert_eq!(from, slice.next_offset);
    }
    from
}

#[test]
fn whoever_closes_second_waits_for_the_first() {
    let scratch = Scratch::new("close");
    let runner = ThreadRunner::new(1);
    let directory = open_directory(scratch.path()).unwrap();
    for n in 0..20 {
        let name = format!("close-{n}");
        let log =
            Log::open(directory.clone(), &name, config(Durability::Fsync), runner.clone(), Box::new(|_| {}));
        let log = log.unwrap();
        log.append(&mut [&mut batch(3)]);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    log.close().unwrap();
                    assert!(matches!(log.phase(), Phase::Closed), "{:?}", log.phase());
                });
            }
        });
        assert_eq!(log.flushed_offset(), 3);
    }
    directory.close().unwrap();
    assert!(open_directory(scratch.path()).unwrap().clean_shutdown);
}

#[test]
fn a_listener_that_panics_takes_nothing_with_it() {
    let scratch = Scratch::new("panic");
    let runner = ThreadRunner::new(1);
    let directory = open_directory(scratch.path()).unwrap();
    let calm = Arc::new(AtomicBool::new(false));
    let listening = calm.clone();
    let listener = Box::new(move |_: &Log| {
        if !listening.swap(true, Ordering::AcqRel) {
            panic!("this panic is part of the test");
        }
    });
    let log = Log::open(directory, "", config(Durability::Fsync), runner, listener).unwrap();
    for _ in 0..3 {
        log.append(&mut [&mut batch(1)]);
    }
    log.close().unwrap();
    assert!(calm.load(Ordering::Acquire));
    assert_eq!(log.flushed_offset(), 3);
}

/// A thread that looks at the runner just before it is dropped must hear of that.
#[cfg(target_os = "linux")]
#[test]
fn the_threads_of_a_runner_end_with_it() {
    let own = |name: &str| {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let comm = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
        };
        tasks.filter_map(comm).filter(|comm| comm.trim_end() == name).count()
    };
    for _ in 0..300 {
        drop(ThreadRunner::new(20));
    }
    // Number 19 is of no other test.
    let deadline = Instant::now() + Duration::from_secs(20);
    while own("varve-19") > 0 {
        assert!(Instant::now() < deadline, "{} threads wait for ever", own("varve-19"));
        thread::yield_now();
    }
}
