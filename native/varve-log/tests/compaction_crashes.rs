//! The failure this guards against: a crash, or a failing disk, in the middle of a compaction loses the last value of a
//! key, brings a deleted one back, or leaves a log that does not open.
//!
//! Everything that was written is on disk for good when the compactions begin, so that whatever happens to any of their
//! operations, and to those of the recoveries that follow, the log must have all of it: start, end and, of each key, the
//! last value.

mod keyed;
mod simulation;

use std::time::Duration;

use keyed::{DELETE_RETENTION_MS, Entry, Pair, batch_of, compact, compacted, entries, map_of};
use simulation::crash::{CRASHES, Crash, after};
use simulation::seeds::seeds;
use simulation::{LOGS, Solo, names};
use varve_log::sim::{SimRng, SimStorage, Survival, is_simulated_crash};
use varve_log::{Durability, LogConfig, LogError, Phase};

/// What was written, all of it on disk for good.
struct Written {
    seed: u64,
    config: LogConfig,
    storage: SimStorage,
    entries: Vec<Entry>,
}

impl Written {
    fn new(seed: u64, durability: Durability) -> Self {
        let mut rng = SimRng::new(seed);
        let config = LogConfig { segment_bytes: 500 + 100 * rng.below(5), ..compacted(durability) };
        let storage = SimStorage::new(seed);
        let mut written = Self { seed, config, storage: storage.clone(), entries: Vec::new() };
        for life in 0..2 {
            let solo = Solo::open(&storage, config).unwrap();
            for _ in 0..25 {
                written.put(&solo, &mut rng);
            }
            solo.log.request_flush().unwrap();
            solo.drain();
            if life == 0 && rng.chance(1, 2) {
                compact(&solo).unwrap();
            }
            solo.close();
        }
        written
    }

    fn put(&mut self, solo: &Solo, rng: &mut SimRng) {
        let number = self.entries.len();
        let pairs: Vec<Pair> = (0..1 + rng.below(3))
            .map(|n| {
                let value = format!("{number}.{n}{}", "v".repeat(rng.below(40) as usize));
                (format!("key {}", rng.below(5)), rng.chance(3, 4).then_some(value))
            })
            .collect();
        let base_offset = solo.append(batch_of(&pairs)).unwrap();
        let next = |(n, (key, value))| Entry { offset: base_offset + n, key, value };
        self.entries.extend((0..).zip(pairs).map(next));
    }

    /// Two compactions, the second one when the first one's deletions may go.
    fn compact_twice(&self, storage: &SimStorage) -> Result<(), LogError> {
        let solo = Solo::open(storage, self.config)?;
        compact(&solo)?;
        solo.runner.advance(Duration::from_millis(DELETE_RETENTION_MS as u64));
        compact(&solo)?;
        solo.log.close()?;
        solo.directory.close()
    }

    fn check(&self, solo: &Solo, context: &str) {
        assert!(matches!(solo.log.phase(), Phase::Open), "{context}: {:?}", solo.log.phase());
        let end = self.entries.len() as i64;
        assert_eq!((solo.log.start_offset(), solo.log.end_offset()), (0, end), "{context}");
        let found = entries(&solo.log).unwrap_or_else(|error| panic!("{context}: {error}"));
        for entry in &found {
            assert_eq!(*entry, self.entries[entry.offset as usize], "{context}");
        }
        assert!(found.is_sorted_by_key(|entry| entry.offset), "{context}");
        assert_eq!(map_of(&found), map_of(&self.entries), "{context}");
    }

    fn open_and_check(&self, storage: &SimStorage, context: &str) -> Solo {
        let solo = Solo::open(storage, self.config).unwrap_or_else(|error| panic!("{context}: {error}"));
        for left in [".cleaned", ".swap"] {
            assert_eq!(names(storage, left), [] as [&str; 0], "{context}");
        }
        self.check(&solo, context);
        solo
    }

    /// Opens what a crash left, checks it, compacts it again, loses power and checks again.
    fn check_lasting(&self, crashed: &SimStorage, context: &str, at: u64) {
        let solo = self.open_and_check(crashed, context);
        if (self.seed + at).is_multiple_of(2) {
            compact(&solo).unwrap_or_else(|error| panic!("{context}: {error}"));
            self.check(&solo, &format!("{context}, compacted again"));
        }
        let survival = Survival::ALL[(self.seed + at) as usize % Survival::ALL.len()];
        let again = crashed.power_loss(survival, self.seed ^ at);
        self.open_and_check(&again, &format!("{context}, then {survival:?}"));
    }

    fn crash_the_recovery(&self, storage: &SimStorage, crash: Crash, context: &str) {
        for at in 1.. {
            let crashed = after(storage, crash, self.seed);
            crashed.crash_at(at);
            match Solo::open(&crashed, self.config) {
                Ok(_) => return,
                Err(LogError::Io { source, .. } | LogError::NotWritable { source, .. })
                    if is_simulated_crash(&source) => {}
                Err(error) => panic!("{context}, recovery crashed at {at}: {error}"),
            }
            let second = CRASHES[at as usize % CRASHES.len()];
            let again = after(&crashed, second, self.seed ^ at);
            self.open_and_check(&again, &format!("{context}, recovery crashed at {at}, {second:?}"));
        }
    }

    /// Hands on what is left of the disk when each of the operations in turn goes wrong.
    fn enumerate(&self, fault: impl Fn(&SimStorage, u64), check: impl Fn(&SimStorage, u64, String)) {
        let whole = self.storage.fork();
        self.compact_twice(&whole).unwrap();
        let operations = whole.operation_count();
        assert!(operations > 40, "seed {}: {operations} operations", self.seed);
        for at in 1..=operations {
            let storage = self.storage.fork();
            fault(&storage, at);
            let _ = self.compact_twice(&storage);
            let operation = storage.operations().into_iter().find(|operation| operation.number == at);
            let operation = operation.map(|operation| operation.to_string());
            check(&storage, at, format!("seed {}, {operation:?}", self.seed));
        }
    }
}

#[test]
fn a_crash_at_any_operation_loses_nothing() {
    for seed in seeds(2, 200) {
        let durability = [Durability::Fsync, Durability::Os][seed as usize % 2];
        let written = Written::new(seed, durability);
        written.enumerate(SimStorage::crash_at, |storage, at, context| {
            for (n, crash) in CRASHES.into_iter().enumerate() {
                let context = format!("{context} crashed, {crash:?}");
                if (at + seed + n as u64).is_multiple_of(8) {
                    written.crash_the_recovery(storage, crash, &context);
                }
                written.check_lasting(&after(storage, crash, seed ^ at), &context, at);
            }
        });
    }
}

#[test]
fn a_failure_of_any_operation_loses_nothing() {
    const EIO: i32 = 5;
    for seed in seeds(2, 200) {
        let durability = [Durability::Fsync, Durability::Os][seed as usize % 2];
        let written = Written::new(seed, durability);
        written.enumerate(
            |storage, at| storage.fail_at(at, EIO),
            |storage, at, context| {
                for (n, crash) in CRASHES.into_iter().enumerate() {
                    let context = format!("{context} failed, {crash:?}");
                    if (at + seed + n as u64).is_multiple_of(16) {
                        written.crash_the_recovery(storage, crash, &context);
                    }
                    written.check_lasting(&after(storage, crash, seed ^ at), &context, at);
                }
            },
        );
    }
    assert_eq!(LOGS.len(), 2, "the second log of the directory stays closed");
}
