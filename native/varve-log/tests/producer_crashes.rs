//! The failure this guards against: after a crash, a truncation, a deletion or a mere reopening the log knows other
//! producers and transactions than its batches imply, so that a retry is stored a second time, a batch in sequence is
//! refused, or a reader of committed records sees an aborted one.
//!
//! One log lives through a random workload of producers' batches, retries, markers, rolls, flushes, truncations and
//! deletions. It is run once to count its disk operations, then once for every operation with a crash or a failure at
//! it; what each kind of crash leaves is opened and compared with what the batches that were offered imply, up to where
//! the log ends now.

mod simulation;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use simulation::seeds::seeds;
use simulation::{EPOCH_MS, Solo, config};
use varve_log::producer_snapshot::encode;
use varve_log::producer_state_manager::ProducerStateManager;
use varve_log::sim::{SimRng, SimStorage, Survival, is_simulated_crash};
use varve_log::transactions::AbortedTransaction;
use varve_log::{Access, Durability, LogConfig, LogError, Phase};
use varve_records::{BatchBuilder, BatchHeader, EndTransactionMarker, assign_offset};

const STEPS: u32 = 40;
const EIO: i32 = 5;

fn log_config(durability: Durability) -> LogConfig {
    LogConfig { segment_bytes: 500, producer_id_expiration_ms: i64::MAX, ..config(durability) }
}

/// Every batch that got an offset, or might have, in the order of their offsets.
#[derive(Clone, Default)]
struct Offered {
    batches: Vec<Vec<u8>>,
    /// Where the first one starts.
    start: i64,
}

/// What batches imply.
struct Implied {
    producers: ProducerStateManager,
    aborted: Vec<AbortedTransaction>,
}

fn header(batch: &[u8]) -> BatchHeader {
    BatchHeader::parse(batch).unwrap()
}

impl Offered {
    fn end(&self) -> i64 {
        self.batches.last().map_or(self.start, |batch| header(batch).next_offset())
    }

    fn push(&mut self, mut batch: Vec<u8>) {
        assign_offset(&mut batch, self.end());
        self.batches.push(batch);
    }

    /// Forgets what lies behind a log's end, which must not lie within a batch.
    fn cut(&mut self, end: i64, context: &str) {
        self.batches.retain(|batch| header(batch).base_offset < end);
        assert_eq!(self.end(), end, "{context}: the log ends where a batch does");
    }

    fn implied(&self) -> Implied {
        let mut producers = ProducerStateManager::default();
        let mut aborted = Vec::new();
        for batch in &self.batches {
            let marker = EndTransactionMarker::parse(batch);
            aborted.extend(producers.replay(&header(batch), marker.as_ref()));
        }
        Implied { producers, aborted }
    }
}

struct Life {
    solo: Solo,
    offered: Offered,
    rng: SimRng,
    /// Where truncations have cut the log, to be taken over once they are answered.
    cuts: Arc<Mutex<Vec<i64>>>,
    context: String,
}

impl Life {
    fn open(
        storage: &SimStorage,
        durability: Durability,
        offered: Offered,
        seed: u64,
        context: String,
    ) -> Result<Self, LogError> {
        let solo = Solo::open(storage, log_config(durability))?;
        let mut life = Self { solo, offered, rng: SimRng::new(seed), cuts: Arc::default(), context };
        let log = &life.solo.log;
        let (start, end) = (log.start_offset(), log.end_offset());
        if start == end && log.recovered.is_some() && log.producers().is_empty() {
            // Everything that had not been deleted was lost, and with it who had written it.
            life.offered = Offered { batches: Vec::new(), start };
        }
        life.offered.cut(end, &life.context);
        life.check();
        Ok(life)
    }

    /// Compares the log with what its batches imply.
    fn check(&self) {
        let (log, context) = (&self.solo.log, &self.context);
        let implied = self.offered.implied();
        let producers = log.producers();
        assert_eq!(
            encode(producers.iter()),
            encode(implied.producers.producers()),
            "{context}: {producers:?} instead of {:?}",
            implied.producers.producers().collect::<Vec<_>>()
        );
        let (start, visible) = (log.start_offset(), log.durable_offset());
        let stable = log.last_stable_offset();
        assert_eq!(
            stable,
            implied.producers.last_stable_offset(visible, start),
            "{context}: up to {visible}"
        );
        let from = start;
        let expected: Vec<AbortedTransaction> = implied
            .aborted
            .into_iter()
            .filter(|aborted| aborted.last_offset >= from && aborted.first_offset < stable)
            .collect();
        let mut found = match log.aborted_transactions(from, stable, Access::Blocking) {
            Err(LogError::Io { source, .. }) if is_simulated_crash(&source) => return,
            found => found.unwrap(),
        };
        // The search may give aborts of later records, which do no harm.
        found.retain(|aborted| aborted.first_offset < stable);
        assert_eq!(found, expected, "{context}: aborted from {from} to {stable}");
    }

    /// A batch in the sequence of its producer, or the end of its transaction.
    fn next_batch(&mut self) -> Vec<u8> {
        let producer_id = 1 + self.rng.below(3) as i64;
        let known = self.solo.log.producers().into_iter().find(|known| known.producer_id == producer_id);
        let (mut epoch, mut sequence, mut open) = (0, 0, false);
        if let Some(known) = &known {
            (epoch, open) = (known.producer_epoch, known.current_txn_first_offset.is_some());
            sequence = known.last_sequence().wrapping_add(1) & i32::MAX;
        }
        let timestamp = EPOCH_MS + self.offered.end();
        if open && self.rng.chance(1, 2) {
            let committed = self.rng.chance(1, 2);
            let epoch = epoch + i16::from(self.rng.chance(1, 2));
            let coordinator_epoch = 0;
            return EndTransactionMarker { committed, coordinator_epoch, timestamp }
                .to_batch(producer_id, epoch);
        }
        if self.rng.chance(1, 8) {
            (epoch, sequence) = (epoch + 1, 0);
        }
        let mut builder = BatchBuilder::new(timestamp);
        for _ in 0..1 + self.rng.below(3) {
            builder.push(None, Some(&[7; 20]), &[]);
        }
        match open || self.rng.chance(2, 3) {
            true => builder.transactional(producer_id, epoch, sequence),
            false => builder.idempotent(producer_id, epoch, sequence),
        };
        builder.build()
    }

    fn append(&mut self) {
        if self.rng.chance(1, 6) {
            let mut builder = BatchBuilder::new(EPOCH_MS);
            builder.push(None, Some(b"of no producer"), &[]);
            return self.append_one(builder.build(), None);
        }
        if self.rng.chance(1, 4) && self.retry() {
            return;
        }
        let batch = self.next_batch();
        self.append_one(batch, None);
    }

    /// Offers the last batch of a producer again, which must be answered with its offset.
    fn retry(&mut self) -> bool {
        let producers = self.solo.log.producers();
        let last =
            producers.iter().filter_map(|producer| producer.last_batch()).map(|batch| batch.last_offset);
        let last: Vec<i64> = last.collect();
        if last.is_empty() {
            return false;
        }
        let offset = *self.rng.pick(&last);
        let batch = self.offered.batches.iter().find(|batch| header(batch).last_offset() == offset);
        let batch = batch.expect("the snapshot names batches of the log").clone();
        self.append_one(batch.clone(), Some(header(&batch).base_offset));
        true
    }

    /// Appends a batch, running jobs as long as the log has something else to do.
    fn append_one(&mut self, batch: Vec<u8>, original: Option<i64>) {
        let mut copy = batch.clone();
        let result = loop {
            match self.solo.log.append(&mut [&mut copy]).results.pop() {
                Some(result) => break result,
                None if self.step() => {}
                None => return,
            }
        };
        match (result, original) {
            (Ok(offset), Some(original)) => assert_eq!(offset, original, "{}: a retry", self.context),
            (Ok(offset), None) => {
                assert_eq!(offset, self.offered.end(), "{}", self.context);
                self.offered.push(batch);
            }
            // Some of it may be in the file nevertheless.
            (Err(LogError::Failed { .. }), None) => self.offered.push(batch),
            (Err(LogError::Failed { .. }), Some(_)) => {}
            (Err(error), _) => panic!("{}: {error}", self.context),
        }
    }

    fn step(&mut self) -> bool {
        let stepped = self.solo.runner.step(&mut self.rng);
        for end in std::mem::take(&mut *self.cuts.lock().unwrap()) {
            self.offered.cut(end, &self.context);
        }
        stepped
    }

    fn truncate(&mut self) {
        let (start, end) = (self.solo.log.start_offset(), self.solo.log.end_offset());
        let bases = self.offered.batches.iter().map(|batch| header(batch).base_offset);
        let bases: Vec<i64> = bases.filter(|&base| base >= start).chain([end]).collect();
        let offset = *self.rng.pick(&bases);
        let cuts = self.cuts.clone();
        let answer = Box::new(move |answer| {
            if let Ok(end) = answer {
                cuts.lock().unwrap().push(end);
            }
        });
        self.solo.log.truncate_to(offset, answer);
        // Nothing is appended before it has ended: whatever is left is a beginning of what was there.
        while self.step() {}
    }

    fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            match self.rng.below(20) {
                0..=9 => self.append(),
                10..=14 => drop(self.step()),
                15 => drop(self.solo.log.request_flush()),
                16 => self.solo.runner.advance(Duration::from_secs(40)),
                17 => {
                    // Who wrote what was deleted before it had reached the disk, a power loss may take.
                    let flushed = self.solo.log.flushed_offset();
                    let offset = self.rng.below(flushed as u64 + 1) as i64;
                    self.solo.log.delete_before(offset, Box::new(|_| {}));
                }
                18 => self.truncate(),
                _ => {
                    let aborted = self.solo.log.aborted_transactions(0, i64::MAX, Access::Cached);
                    assert!(aborted.is_ok() || matches!(aborted, Err(LogError::WouldBlock)));
                }
            }
            if matches!(self.solo.log.phase(), Phase::Open | Phase::Rolling) {
                self.check();
            }
        }
    }

    /// Closes the log; says whether that went well.
    fn close(mut self) -> (Offered, bool) {
        while self.step() {}
        let closed = self.solo.log.close().is_ok();
        (self.offered, self.solo.directory.close().is_ok() && closed)
    }
}

/// Two lives, the first one closed, until something goes wrong. What was offered in them.
fn live(storage: &SimStorage, durability: Durability, seed: u64, before: &Offered, context: &str) -> Offered {
    let mut offered = before.clone();
    for round in 0..2 {
        let Ok(mut life) = Life::open(
            storage,
            durability,
            offered.clone(),
            seed + round,
            format!("{context}, life {round}"),
        ) else {
            return offered;
        };
        life.run(STEPS);
        let (left, closed) = life.close();
        offered = left;
        if !closed {
            return offered;
        }
    }
    offered
}

fn enumerate(durability: Durability, seed: u64, fault: impl Fn(&SimStorage, u64)) {
    let whole = SimStorage::new(seed);
    live(&whole, durability, seed, &Offered::default(), &format!("seed {seed}, {durability:?}"));
    let operations = whole.operation_count();
    assert!(operations > 60, "the workload of seed {seed} does something");
    // Every operation of some seed is tried, not of each: a crash is opened in five ways.
    for at in (1 + seed % 3..=operations).step_by(3) {
        let storage = SimStorage::new(seed);
        fault(&storage, at);
        let context = format!("seed {seed}, {durability:?}, operation {at}");
        let offered = live(&storage, durability, seed, &Offered::default(), &context);
        let crashes = [None, Some(Survival::Nothing), Some(Survival::Everything), Some(Survival::Subset)];
        for crash in crashes.into_iter().chain([Some(Survival::Torn)]) {
            let left = match crash {
                None => storage.process_crash(),
                Some(survival) => storage.power_loss(survival, seed ^ at),
            };
            let context = format!("{context}, {crash:?}");
            let mut life = Life::open(&left, durability, offered.clone(), seed, context.clone())
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(matches!(life.solo.log.phase(), Phase::Open), "{context}: {:?}", life.solo.log.phase());
            // What the recovery has left must be enough for the next one, and for an open after a clean stop.
            life.run(4);
            let offered = life.offered.clone();
            let again = left.power_loss(Survival::Nothing, at);
            let context = format!("{context}, then a power loss");
            let life = Life::open(&again, durability, offered, seed, context.clone())
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            let (offered, closed) = life.close();
            assert!(closed, "{context}");
            let context = format!("{context} and a clean stop");
            let life = Life::open(&again, durability, offered, seed, context).unwrap();
            assert_eq!(life.solo.log.recovered, None, "{}", life.context);
        }
    }
}

#[test]
fn a_crash_leaves_the_producers_that_the_batches_imply() {
    for seed in seeds(3, 200) {
        for durability in [Durability::Fsync, Durability::Os] {
            enumerate(durability, seed, SimStorage::crash_at);
        }
    }
}

#[test]
fn a_failed_operation_leaves_the_producers_that_the_batches_imply() {
    for seed in seeds(3, 200) {
        for durability in [Durability::Fsync, Durability::Os] {
            enumerate(durability, seed + 100, |storage, at| storage.fail_at(at, EIO));
        }
    }
}

/// Without crashes many more workloads can be tried.
#[test]
fn reopening_finds_the_producers_that_the_batches_imply() {
    for seed in seeds(60, 4000) {
        for durability in [Durability::Fsync, Durability::Os] {
            let storage = SimStorage::new(seed);
            let mut offered = Offered::default();
            for round in 0..4 {
                let context = format!("seed {seed}, {durability:?}, life {round}");
                let mut life =
                    Life::open(&storage, durability, offered, seed * 7 + round, context.clone()).unwrap();
                assert_eq!(life.solo.log.recovered, None, "{context}");
                life.run(STEPS);
                let (left, closed) = life.close();
                assert!(closed, "{context}");
                offered = left;
            }
        }
    }
}

/// A recovery that is interrupted at any of its own operations leaves what the next one needs.
#[test]
fn an_interrupted_recovery_loses_no_producer() {
    for seed in seeds(4, 400) {
        let durability = if seed % 2 == 0 { Durability::Fsync } else { Durability::Os };
        let storage = SimStorage::new(seed);
        let context = format!("seed {seed}");
        let mut life = Life::open(&storage, durability, Offered::default(), seed, context.clone()).unwrap();
        life.run(3 * STEPS);
        let offered = life.offered.clone();
        for at in 1.. {
            let left = storage.power_loss(Survival::Subset, seed);
            left.crash_at(at);
            let context = format!("{context}, recovery crashed at operation {at}");
            match Life::open(&left, durability, offered.clone(), seed, context.clone()) {
                Ok(_) => break,
                Err(LogError::Io { source, .. } | LogError::NotWritable { source, .. })
                    if is_simulated_crash(&source) => {}
                Err(error) => panic!("{context}: {error}"),
            }
            let again = left.power_loss(Survival::Torn, at);
            Life::open(&again, durability, offered.clone(), seed, context).unwrap();
        }
    }
}
