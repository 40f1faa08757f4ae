//! The failure this guards against: a process has more logs than it may open files. Who keeps open what was never synced runs
//! out of descriptors under `'os'`; who closes it anyway loses the one word of the kernel that a write was lost, and a
//! flush says that all is durable when it is not.

#![cfg(unix)]

mod simulation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simulation::crash::{CRASHES, after};
use simulation::seeds::seeds;
use simulation::{SimRunner, batch_of, config, open_directory, read_all};
use varve_log::sim::{OperationKind, SimRng, SimStorage};
use varve_log::{Durability, Log, LogError, Phase};

/// The simulated disk takes none of these, so that the process needs no more.
const FILES: u64 = 4;
const LOGS: usize = 8;

/// One test at a time: all files of the process share the limit.
fn limited() -> MutexGuard<'static, ()> {
    static LIMITED: Mutex<()> = Mutex::new(());
    let alone = LIMITED.lock().unwrap_or_else(PoisonError::into_inner);
    // The engine allows itself half of what the process may open.
    let limit = libc::rlimit { rlim_cur: 2 * FILES, rlim_max: 2 * FILES };
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    alone
}

struct Logs {
    logs: Vec<Arc<Log>>,
    runner: Arc<SimRunner>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.runner.abandon();
    }
}

impl Logs {
    fn open(storage: &SimStorage, durability: Durability) -> Result<Self, LogError> {
        let directory = open_directory(storage)?;
        let runner = Arc::new(SimRunner::default());
        let open = |n| {
            let name = format!("orders-{n}");
            Log::open(directory.clone(), &name, config(durability), runner.clone(), Box::new(|_| {}))
        };
        let logs = (0..LOGS).map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { logs, runner })
    }

    /// Appends a batch, with the jobs that this needs; its offset.
    fn append(&self, log: usize, value: &str) -> Result<i64, LogError> {
        let mut batch = batch_of(0, &[value.as_bytes()]);
        loop {
            match self.logs[log].append(&mut [&mut batch]).results.pop() {
                Some(result) => return result,
                None => self.runner.drain(&mut SimRng::new(0)),
            }
        }
    }

    /// Appends to each log, one after the other; whatever has failed by then says so.
    fn append_all(&self, rounds: std::ops::Range<usize>) -> Result<(), LogError> {
        for round in rounds {
            for log in 0..LOGS {
                self.append(log, &format!("{log} {round}"))?;
                self.runner.drain(&mut SimRng::new(round as u64));
                if let Phase::Failed(error) = self.logs[log].phase() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn flush(&self, log: usize) -> Result<(), LogError> {
        self.logs[log].request_flush()?;
        self.runner.drain(&mut SimRng::new(1));
        match self.logs[log].phase() {
            Phase::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn syncs_of(storage: &SimStorage, log: usize) -> usize {
    let dir = format!("/orders-{log}/");
    let is_sync = |kind: &OperationKind| *kind == OperationKind::SyncData;
    let operations = storage.operations();
    let of_log = operations.iter().filter(|each| each.path.to_string_lossy().contains(&dir));
    of_log
        .filter(|each| is_sync(&each.kind))
        .filter(|each| each.path.extension().is_some_and(|end| end == "log"))
        .count()
}

#[test]
fn an_append_to_a_log_whose_file_was_closed_is_written_by_a_job() {
    let _alone = limited();
    let storage = SimStorage::new(1);
    let logs = Logs::open(&storage, Durability::Os).unwrap();
    logs.append_all(0..2).unwrap();
    assert_eq!(logs.runner.waiting(), (0, 0));
    let mut batch = batch_of(0, &[b"0 2"]);
    let appended = logs.logs[0].append(&mut [&mut batch]);
    assert_eq!(appended.results.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), [2]);
    assert!(matches!(logs.logs[0].phase(), Phase::Writing), "{:?}", logs.logs[0].phase());
    assert_eq!(logs.logs[0].end_offset(), 2, "nobody sees it before it is written");
    logs.runner.drain(&mut SimRng::new(1));
    assert_eq!(logs.logs[0].end_offset(), 3);
    let values = read_all(&logs.logs[0]).unwrap();
    assert_eq!(values, [b"0 0", b"0 1", b"0 2"]);
    // The files of others had to be synced for that; none of it counts as flushed before its own log flushes it.
    assert!((0..LOGS).map(|log| syncs_of(&storage, log)).sum::<usize>() > 0);
    assert!(logs.logs.iter().all(|log| log.flushed_offset() == 0));
}

#[test]
fn an_fsync_that_fails_where_room_is_made_fails_the_flush_of_its_own_log_alone() {
    let _alone = limited();
    let mut tried = 0;
    let workload = |storage: &SimStorage| {
        let logs = Logs::open(storage, Durability::Os).unwrap();
        let opened = storage.operation_count();
        // What else fails than an fsync is not looked at.
        let _ = logs.append_all(0..3);
        (logs, opened)
    };
    let storage = SimStorage::new(1);
    let opened = workload(&storage).1;
    for number in opened + 1..=storage.operation_count() {
        let storage = SimStorage::new(1);
        storage.fail_at(number, 5);
        let (logs, _) = workload(&storage);
        let operation = storage.operations().swap_remove(number as usize - 1);
        if operation.kind != OperationKind::SyncData {
            continue;
        }
        for log in 0..LOGS {
            let is_its_own = operation.path.to_string_lossy().contains(&format!("/orders-{log}/"));
            let flushed = logs.flush(log);
            assert_eq!(flushed.is_err(), is_its_own, "{operation:?} {log}: {flushed:?}");
            if let Err(error) = flushed {
                assert_eq!((error.code(), error.os_error()), ("VARVE_LOG_FAILED", Some(5)));
                assert_eq!(logs.logs[log].flushed_offset(), 0);
            }
        }
        tried += 1;
    }
    assert!(tried >= LOGS, "{tried}");
}

#[test]
fn whatever_crashes_what_was_flushed_is_there() {
    let _alone = limited();
    for (seed, durability) in
        seeds(2, 50).flat_map(|seed| [(seed, Durability::Os), (seed, Durability::Fsync)])
    {
        let run = |storage: &SimStorage| {
            let logs = Logs::open(storage, durability)?;
            let mut result = logs.append_all(0..2);
            for log in (0..LOGS).step_by(2) {
                result = result.and_then(|()| logs.flush(log));
            }
            let result = result.and_then(|()| logs.append_all(2..4));
            Ok::<_, LogError>((logs.logs.iter().map(|log| log.flushed_offset()).collect(), result))
        };
        let storage = SimStorage::new(seed);
        run(&storage).unwrap().1.unwrap();
        for number in 1..=storage.operation_count() {
            let storage = SimStorage::new(seed);
            storage.crash_at(number);
            let flushed: Vec<i64> = match run(&storage) {
                Ok((flushed, _)) => flushed,
                Err(_) => vec![0; LOGS],
            };
            let crash = CRASHES[(number + seed) as usize % CRASHES.len()];
            let storage = after(&storage, crash, number);
            let logs = Logs::open(&storage, durability).unwrap();
            for (log, flushed) in flushed.into_iter().enumerate() {
                let values = read_all(&logs.logs[log]).unwrap();
                assert!(
                    values.len() as i64 >= flushed,
                    "{number} {crash:?} {log}: {} of {flushed}",
                    values.len()
                );
                for (round, value) in values.iter().enumerate() {
                    assert_eq!(*value, format!("{log} {round}").into_bytes());
                }
            }
        }
    }
}
