//! The failure this guards against: a record that was acknowledged, or that a reader has seen, is gone after a crash.
//!
//! A process lives a few times: it opens a data directory with two logs, appends, flushes, rolls, reads, and ends by
//! closing, by crashing or by a power loss. The last life is run once to count its disk operations, then once for every
//! operation with a crash, or a failure, at it. After each, the disk keeps nothing, everything, a random subset or a
//! torn part of what was not synced, names of files included; then the logs are opened, checked, appended to, lose
//! power and are checked again. Every so often that recovery is crashed at each of its own operations as well.
//! `npm run prove:crashes` tries many more workloads.

mod simulation;

use std::panic::{AssertUnwindSafe, catch_unwind};

use simulation::crash::{CRASHES, Crash, after};
use simulation::seeds::seeds;
use simulation::{DATA, Histories, History, LOGS, World, batch_of, read_all};
use varve_log::sim::{SimRng, SimStorage, Survival, is_simulated_crash};
use varve_log::{Durability, LogError, Phase};

/// A life that is enumerated is short, because its operations multiply.
const STEPS: u32 = 14;
const STEPS_BEFORE: u32 = 30;
const STEPS_AFTER: u32 = 4;

/// What must be there whatever the crash left.
fn promised(history: &History, durability: Durability, crash: Crash) -> i64 {
    let durable = match (durability, crash) {
        (Durability::Fsync, _) => history.acknowledged.max(history.seen),
        (Durability::Os, Crash::Process) => history.written.max(history.seen),
        (Durability::Os, _) => 0,
    };
    durable.max(history.flushed)
}

/// A run of the engine: what it promised, and the context for a message.
#[derive(Clone)]
struct Run {
    durability: Durability,
    seed: u64,
    histories: Histories,
    context: String,
}

impl Run {
    /// Opens what a crash left and checks it against what was promised.
    fn open_and_check(&mut self, storage: &SimStorage, crash: Crash) -> World {
        let Self { durability, seed, histories, context } = self;
        let world =
            World::open(storage, *durability, *seed).unwrap_or_else(|error| panic!("{context}: {error}"));
        for ((log, history), name) in world.logs.iter().zip(histories).zip(LOGS) {
            let promise = promised(history, *durability, crash);
            assert!(matches!(log.phase(), Phase::Open), "{context}, {name}: {:?}", log.phase());
            let records = catch_unwind(AssertUnwindSafe(|| read_all(log)));
            let records = records.unwrap_or_else(|_| panic!("{context}, {name}: what was read is above"));
            let records = records.unwrap_or_else(|error| panic!("{context}, {name}: {error}"));
            let (start, end) = (log.start_offset(), log.end_offset());
            let (deleted, deletable) = (history.deleted, history.deletable);
            assert_eq!(
                records.len() as i64,
                end - start,
                "{context}, {name}: everything recovered is visible"
            );
            assert!(start >= deleted, "{context}, {name}: {deleted} records were deleted, {start} are gone");
            assert!(start <= deletable, "{context}, {name}: {start} are gone, {deletable} may be");
            assert!(end >= promise, "{context}, {name}: {promise} records were promised, {end} are there");
            let attempted = history.attempted.len();
            assert!(end as usize <= attempted, "{context}, {name}: {end} of {attempted} records are there");
            assert!(
                records.iter().eq(history.values_between(start, end)),
                "{context}, {name}: the log is a prefix"
            );
            for offset in start..end {
                let epoch = history.attempted[offset as usize].epoch;
                assert_eq!(log.epoch_at(offset), Some(epoch), "{context}, {name}: the epoch of {offset}");
            }
            history.settle(start, end);
        }
        world
    }

    /// Lives on a healthy disk, each ending in some way, so that a crash meets more than the files of one process.
    fn live_before(&mut self, lives: u64) -> SimStorage {
        let mut rng = SimRng::new(self.seed);
        let mut storage = SimStorage::new(self.seed);
        let mut ended = Crash::Process;
        for life in 0..lives {
            self.context = format!("seed {}, {:?}, opening life {life}", self.seed, self.durability);
            self.seed = self.seed.wrapping_add(1);
            let mut world = self.open_and_check(&storage, ended);
            world.run(&mut self.histories, STEPS_BEFORE);
            if rng.chance(1, 3) {
                assert!(world.close(&mut self.histories), "{}", self.context);
            }
            ended = *rng.pick(&CRASHES);
            storage = after(&storage, ended, rng.below(u64::MAX));
        }
        self.histories.iter_mut().for_each(|history| history.settle_as(self.durability, ended));
        storage
    }

    /// Two lives, the first one closed, until something goes wrong.
    fn live(&mut self, storage: &SimStorage) {
        for round in 0..2 {
            let Ok(mut world) = World::open(storage, self.durability, self.seed + round) else { return };
            for (log, history) in world.logs.iter().zip(&mut self.histories) {
                let end = log.end_offset();
                assert!(end >= history.written, "{}: {} were promised", self.context, history.written);
                history.settle(log.start_offset(), end);
            }
            world.run(&mut self.histories, STEPS);
            if !world.close(&mut self.histories) {
                return;
            }
        }
    }

    /// Opens what a crash left, checks it, goes on with it, loses power and checks again: what a recovery has shown
    /// must last, and what is acknowledged after it too.
    fn check_lasting(mut self, crashed: &SimStorage, crash: Crash, at: u64) {
        let mut world = self.open_and_check(crashed, crash);
        world.run(&mut self.histories, STEPS_AFTER);
        world.drain(&mut self.histories);
        world.run(&mut self.histories, STEPS_AFTER);
        let seed = self.seed ^ at;
        let crash = Crash::Power(Survival::ALL[seed as usize % Survival::ALL.len()]);
        let again = after(crashed, crash, seed);
        self.context.push_str(&format!(", then {crash:?}"));
        self.open_and_check(&again, crash);
    }

    fn crash_the_recovery(&self, storage: &SimStorage, crash: Crash, at: u64) {
        for recovery_at in 1.. {
            let crashed = after(storage, crash, self.seed ^ at);
            crashed.crash_at(recovery_at);
            match World::open(&crashed, self.durability, 1) {
                Ok(_) => return,
                Err(LogError::Io { source, .. } | LogError::NotWritable { source, .. })
                    if is_simulated_crash(&source) => {}
                Err(error) => panic!("{}, recovery crashed at {recovery_at}: {error}", self.context),
            }
            let second = CRASHES[recovery_at as usize % CRASHES.len()];
            let again = after(&crashed, second, self.seed);
            let mut run = self.clone();
            run.context =
                format!("{}, recovery crashed at operation {recovery_at}, {second:?}", self.context);
            // What the first crash could take, the second cannot give back.
            run.open_and_check(&again, worse(crash, second));
        }
    }
}

/// The crash that promises less.
fn worse(a: Crash, b: Crash) -> Crash {
    if matches!(a, Crash::Process) { b } else { a }
}

impl History {
    /// What a crash may have taken counts no longer as written. What it left in the page cache is no safer than before.
    fn settle_as(&mut self, durability: Durability, crash: Crash) {
        let promise = promised(self, durability, crash);
        (self.acknowledged, self.seen, self.written) = (promise, promise, promise);
    }
}

/// Runs the lives of a seed on a disk that crashes, or fails, at every operation in turn, and hands each outcome on.
fn enumerate(
    durability: Durability,
    seed: u64,
    fault: impl Fn(&SimStorage, u64),
    check: impl Fn(Run, &SimStorage, u64),
) {
    let mut before = Run { durability, seed, histories: Histories::default(), context: String::new() };
    let found = before.live_before(seed % 3);
    let whole = found.fork();
    before.clone().live(&whole);
    let operations = whole.operation_count();
    assert!(operations > 40, "the workload of seed {seed} does something");
    for at in 1..=operations {
        let storage = found.fork();
        fault(&storage, at);
        let mut run = before.clone();
        run.live(&storage);
        let operation = storage.operations().into_iter().find(|operation| operation.number == at);
        let operation = operation.map(|operation| operation.to_string());
        run.context = format!("seed {seed}, {durability:?}, {operation:?}");
        check(run, &storage, at);
    }
}

fn crash_everywhere(durability: Durability, seed: u64) {
    enumerate(durability, seed, SimStorage::crash_at, |run, storage, at| {
        for (n, crash) in CRASHES.into_iter().enumerate() {
            let mut run = run.clone();
            run.context.push_str(&format!(" crashed, {crash:?}"));
            // A different one of the crash points for every seed: each recovery is itself enumerated whole.
            if (at + seed + n as u64).is_multiple_of(24) {
                run.crash_the_recovery(storage, crash, at);
            }
            run.check_lasting(&after(storage, crash, seed ^ at), crash, at);
        }
    });
}

#[test]
fn fsync_keeps_every_acknowledged_and_every_seen_record() {
    for seed in seeds(3, 200) {
        crash_everywhere(Durability::Fsync, seed);
    }
}

#[test]
fn os_keeps_every_written_record_through_a_process_crash_and_a_prefix_through_a_power_loss() {
    for seed in seeds(3, 200) {
        crash_everywhere(Durability::Os, seed);
    }
}

/// An error from the disk is no crash: the log stops taking writes, shows what is durable, and recovers when opened
/// again, after a mere restart as after a power loss.
#[test]
fn every_failed_operation_closes_the_log_and_loses_nothing() {
    const EIO: i32 = 5;
    for seed in seeds(3, 200) {
        for durability in [Durability::Fsync, Durability::Os] {
            let fault = |storage: &SimStorage, at| storage.fail_at(at, EIO);
            enumerate(durability, seed, fault, |run, storage, at| {
                for crash in CRASHES {
                    let mut run = run.clone();
                    run.context.push_str(&format!(" failed, {crash:?}"));
                    run.check_lasting(&after(storage, crash, seed ^ at), crash, at);
                }
            });
        }
    }
}

#[test]
fn a_failed_write_refuses_writes_and_keeps_durable_records_readable() {
    let storage = SimStorage::new(3);
    let mut world = World::open(&storage, Durability::Fsync, 3).unwrap();
    let mut histories = Histories::default();
    world.append(0, &mut histories);
    world.drain(&mut histories);
    let log = world.logs[0].clone();
    let durable = log.durable_offset();
    assert!(durable > 0);
    storage.fail_at(storage.operation_count() + 1, 28);
    world.append(0, &mut histories);
    assert!(matches!(log.phase(), Phase::Failed(_)), "{:?}", log.phase());
    let refused = log.append(&mut [&mut batch_of(0, &[b"x"])]).results.pop().unwrap().unwrap_err();
    assert_eq!((refused.code(), refused.os_error()), ("VARVE_LOG_FAILED", Some(28)));
    assert!(
        refused.to_string().contains(&format!("{DATA}/{}", LOGS[0])),
        "the message names the log: {refused}"
    );
    assert_eq!(read_all(&log).unwrap().len() as i64, durable);
}

/// Of this suite, not of the engine: it once held what a failed append had left for something that a truncation, answered
/// before it, had cut off.
#[test]
fn a_failed_append_behind_a_truncation_that_is_answered_at_once_may_be_there() {
    let storage = SimStorage::new(1);
    let mut world = World::open(&storage, Durability::Os, 2).unwrap();
    let mut histories = Histories::default();
    world.append(0, &mut histories);
    let end = world.logs[0].end_offset();
    world.truncate_to(0, end, &mut histories[0]);
    storage.fail_at(storage.operation_count() + 1, 28);
    world.append(0, &mut histories);
    world.drain(&mut histories);
    assert!(matches!(world.logs[0].phase(), Phase::Failed(_)));
    assert!(histories[0].attempted.len() as i64 > end, "some of it may be in the file");
}
