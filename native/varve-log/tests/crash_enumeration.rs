//! The failure this guards against: a record that was acknowledged, or that a reader has seen, is gone after a crash.
//!
//! A seeded workload is run once to count its disk operations, then once for every operation with a crash at it. After
//! each crash the disk keeps nothing, everything, a random subset or a torn part of what was not synced, names of
//! files included, and the log is opened again; that recovery is crashed at every one of its own operations as well.
//! `VARVE_CRASH_SEEDS` sets how many workloads are tried.

mod simulation;

use simulation::{History, LOG, World, read_all};
use varve_log::sim::{SimStorage, Survival, is_simulated_crash};
use varve_log::{Durability, LogError, Phase};

const STEPS: u32 = 24;

fn seeds(default: u64) -> u64 {
    std::env::var("VARVE_CRASH_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// What a crash leaves of the disk.
#[derive(Clone, Copy, Debug)]
enum Crash {
    Process,
    Power(Survival),
}

const CRASHES: [Crash; 5] = [
    Crash::Process,
    Crash::Power(Survival::Nothing),
    Crash::Power(Survival::Everything),
    Crash::Power(Survival::Subset),
    Crash::Power(Survival::Torn),
];

fn after(storage: &SimStorage, crash: Crash, seed: u64) -> SimStorage {
    match crash {
        Crash::Process => storage.process_crash(),
        Crash::Power(survival) => storage.power_loss(survival, seed),
    }
}

/// Runs the workload of a seed against a disk that crashes, or fails, as it was told to.
fn workload(storage: &SimStorage, durability: Durability, seed: u64) -> History {
    let mut history = History::default();
    for round in 0..2 {
        let Ok(mut world) = World::open(storage, durability, seed + round) else { return history };
        world.run(&mut history, STEPS);
        if matches!(world.log.phase(), Phase::Failed(_)) {
            drop(world.close());
            return history;
        }
        if world.close().is_err() {
            return history;
        }
        // Closing flushed everything, so the promise now covers all that was written.
        history.acknowledged = history.written;
    }
    history
}

/// What must be there whatever the crash left.
fn promised(history: &History, durability: Durability, crash: Crash) -> i64 {
    match (durability, crash) {
        (Durability::Fsync, _) => history.acknowledged.max(history.seen),
        (Durability::Os, Crash::Process) => history.written.max(history.seen),
        (Durability::Os, Crash::Power(_)) => 0,
    }
}

/// Opens what a crash left and checks it; returns the end offset.
fn check(
    storage: &SimStorage,
    durability: Durability,
    history: &History,
    promised: i64,
    context: &str,
) -> i64 {
    let world = World::open(storage, durability, 1).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(matches!(world.log.phase(), Phase::Open), "{context}: {:?}", world.log.phase());
    let records = read_all(&world.log).unwrap_or_else(|error| panic!("{context}: {error}"));
    let end = world.log.end_offset();
    assert_eq!(records.len() as i64, end, "{context}: everything recovered is visible");
    assert!(end >= promised, "{context}: {promised} records were promised, {end} are there");
    assert!(end as usize <= history.attempted.len(), "{context}: nothing is there that was never written");
    assert_eq!(records, history.attempted[..records.len()], "{context}: the log is a prefix");
    end
}

/// Opens, checks, loses power again at once and checks again: what a recovery has shown must last.
fn check_lasting(
    crashed: &SimStorage,
    durability: Durability,
    history: &History,
    promise: i64,
    context: &str,
) {
    let end = check(crashed, durability, history, promise, context);
    let again = crashed.power_loss(Survival::Nothing, 7);
    let promise = if durability == Durability::Fsync { end } else { 0 };
    check(
        &again,
        durability,
        history,
        promise.max(end),
        &format!("{context}, power lost after the recovery"),
    );
}

fn enumerate(durability: Durability, seed: u64) {
    let storage = SimStorage::new(seed);
    let whole = workload(&storage, durability, seed);
    let operations = storage.operation_count();
    assert!(whole.written > 20 && operations > 40, "the workload of seed {seed} does something");
    for at in 1..=operations {
        let storage = SimStorage::new(seed);
        storage.crash_at(at);
        let history = workload(&storage, durability, seed);
        let operation = storage.operations().into_iter().find(|operation| operation.number == at);
        for crash in CRASHES {
            let context = format!("seed {seed}, {durability:?}, crash at {operation:?}, {crash:?}");
            let promise = promised(&history, durability, crash);
            let crashed = after(&storage, crash, seed ^ at);
            check_lasting(&crashed, durability, &history, promise, &context);
            crash_the_recovery(&storage, crash, durability, &history, (seed, at), promise, &context);
        }
    }
}

fn crash_the_recovery(
    storage: &SimStorage,
    crash: Crash,
    durability: Durability,
    history: &History,
    (seed, at): (u64, u64),
    promise: i64,
    context: &str,
) {
    // Every fourth crash point, a different one for every seed: each recovery is itself enumerated whole.
    if (at + seed) % 4 != 0 {
        return;
    }
    for recovery_at in 1.. {
        let crashed = after(storage, crash, seed ^ at);
        crashed.crash_at(recovery_at);
        match World::open(&crashed, durability, 1) {
            Ok(_) => return,
            Err(LogError::Io { source, .. } | LogError::NotWritable { source, .. })
                if is_simulated_crash(&source) => {}
            Err(error) => panic!("{context}, recovery crashed at {recovery_at}: {error}"),
        }
        let second = CRASHES[recovery_at as usize % CRASHES.len()];
        let again = after(&crashed, second, seed);
        let promise =
            if matches!(second, Crash::Power(_)) && durability == Durability::Os { 0 } else { promise };
        let context = format!("{context}, recovery crashed at operation {recovery_at}, {second:?}");
        check(&again, durability, history, promise, &context);
    }
}

#[test]
fn fsync_keeps_every_acknowledged_and_every_seen_record() {
    for seed in 0..seeds(4) {
        enumerate(Durability::Fsync, seed);
    }
}

#[test]
fn os_keeps_every_written_record_through_a_process_crash_and_a_prefix_through_a_power_loss() {
    for seed in 0..seeds(3) {
        enumerate(Durability::Os, seed);
    }
}

/// An error from the disk is no crash: the log stops taking writes, shows what is durable, and recovers when opened
/// again, after a mere restart as after a power loss.
#[test]
fn every_failed_operation_closes_the_log_and_loses_nothing() {
    const EIO: i32 = 5;
    for durability in [Durability::Fsync, Durability::Os] {
        for seed in 100..100 + seeds(4) {
            let storage = SimStorage::new(seed);
            workload(&storage, durability, seed);
            for at in 1..=storage.operation_count() {
                let storage = SimStorage::new(seed);
                storage.fail_at(at, EIO);
                let history = workload(&storage, durability, seed);
                let operation = storage.operations().into_iter().find(|operation| operation.number == at);
                for crash in CRASHES {
                    let context = format!("seed {seed}, {durability:?}, failed {operation:?}, {crash:?}");
                    let promise = promised(&history, durability, crash);
                    let crashed = after(&storage, crash, seed ^ at);
                    check_lasting(&crashed, durability, &history, promise, &context);
                }
            }
        }
    }
}

#[test]
fn a_failed_write_refuses_writes_and_keeps_durable_records_readable() {
    let storage = SimStorage::new(3);
    let mut world = World::open(&storage, Durability::Fsync, 3).unwrap();
    let mut history = History::default();
    world.append(&mut history);
    world.runner.drain(&mut world.rng);
    let durable = world.log.durable_offset();
    assert!(durable > 0);
    storage.fail_at(storage.operation_count() + 1, 28);
    world.append(&mut history);
    assert!(matches!(world.log.phase(), Phase::Failed(_)), "{:?}", world.log.phase());
    let mut batch = varve_records::BatchBuilder::new(0);
    batch.push(None, None, &[]);
    let mut batch = batch.build();
    let refused = world.log.append(&mut [&mut batch]).results.pop().unwrap().unwrap_err();
    assert_eq!((refused.code(), refused.os_error()), ("VARVE_LOG_FAILED", Some(28)));
    assert!(refused.to_string().contains(LOG), "the message names the log: {refused}");
    assert_eq!(read_all(&world.log).unwrap().len() as i64, durable);
}
