//! The failure this guards against: some order of batches, retries, epoch bumps, markers, failed writes and reloads from a
//! snapshot makes the producers' state differ from what the log itself implies. The model keeps the log as a list and
//! finds every answer by looking through it.

mod simulation;

use simulation::seeds::seeds;
use varve_log::producer_snapshot::{decode, encode};
use varve_log::producer_state::ProducerError;
use varve_log::producer_state_manager::{ProducerAppend, ProducerStateManager, Refusal, Verdict};
use varve_log::sim::SimRng;
use varve_log::transactions::AbortedTransaction;
use varve_records::{BatchBuilder, BatchHeader, EndTransactionMarker, assign_offset};

#[derive(Clone, Debug)]
struct Entry {
    producer_id: i64,
    epoch: i16,
    base: i64,
    records: i64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Data { sequence: i64, transactional: bool },
    Marker { committed: bool, coordinator_epoch: i32 },
}

#[derive(Debug, PartialEq)]
enum Answer {
    Appended,
    Duplicate(i64),
    OutOfOrder,
    Fenced,
    CoordinatorFenced,
    NotInTransaction,
}

/// Sequence numbers go from 0 to 2^31 - 1.
const SEQUENCES: i64 = 1 << 31;

/// A transaction as a look through the whole log finds it.
struct Transaction {
    producer_id: i64,
    first: i64,
    marker: Option<i64>,
    committed: bool,
}

#[derive(Clone, Default)]
struct Model {
    log: Vec<Entry>,
    /// Whether a snapshot was loaded: what was decided before is not undecided again.
    was_loaded: bool,
}

impl Model {
    fn end(&self) -> i64 {
        self.log.last().map_or(0, |entry| entry.base + entry.records)
    }

    fn of(&self, producer_id: i64) -> Vec<(usize, &Entry)> {
        let entries = self.log.iter().enumerate();
        entries.filter(|(_, entry)| entry.producer_id == producer_id).collect()
    }

    /// Batches and markers since the producer's epoch is the current one.
    fn in_epoch(&self, producer_id: i64) -> Vec<(usize, &Entry)> {
        let mut all = self.of(producer_id);
        let Some(epoch) = all.last().map(|(_, entry)| entry.epoch) else { return all };
        let start = all.iter().rposition(|(_, entry)| entry.epoch != epoch).map_or(0, |last| last + 1);
        all.split_off(start)
    }

    fn open_transaction(&self, producer_id: i64) -> Option<i64> {
        let mut open = None;
        for (_, entry) in self.of(producer_id) {
            match entry.kind {
                Kind::Marker { .. } => open = None,
                Kind::Data { transactional: true, .. } => open = open.or(Some(entry.base)),
                Kind::Data { .. } => {}
            }
        }
        open
    }

    fn answer(&self, offered: &Entry) -> Answer {
        let known = self.of(offered.producer_id);
        let epoch = known.last().map(|(_, entry)| entry.epoch);
        if epoch.is_some_and(|epoch| offered.epoch < epoch) {
            return Answer::Fenced;
        }
        let (sequence, transactional) = match offered.kind {
            Kind::Marker { coordinator_epoch, .. } => {
                let last = known.iter().rev().find_map(|(_, entry)| match entry.kind {
                    Kind::Marker { coordinator_epoch, .. } => Some(coordinator_epoch),
                    Kind::Data { .. } => None,
                });
                let fenced = last.is_some_and(|last| coordinator_epoch < last);
                return if fenced { Answer::CoordinatorFenced } else { Answer::Appended };
            }
            Kind::Data { sequence, transactional } => (sequence, transactional),
        };
        let mut next = None;
        if epoch == Some(offered.epoch) {
            let batches = self.in_epoch(offered.producer_id).into_iter();
            let batches: Vec<(&Entry, i64)> = batches
                .filter_map(|(_, entry)| match entry.kind {
                    Kind::Data { sequence, .. } => Some((entry, sequence)),
                    Kind::Marker { .. } => None,
                })
                .collect();
            for (entry, first) in batches.iter().rev().take(5) {
                if *first == sequence && entry.records == offered.records {
                    return Answer::Duplicate(entry.base);
                }
            }
            next = Some(batches.last().map_or(0, |(entry, first)| (first + entry.records) % SEQUENCES));
        } else if epoch.is_some() {
            next = Some(0);
        }
        if next.is_some_and(|next| next != sequence) {
            return Answer::OutOfOrder;
        }
        if self.open_transaction(offered.producer_id).is_some() && !transactional {
            return Answer::NotInTransaction;
        }
        Answer::Appended
    }

    fn transactions(&self) -> Vec<Transaction> {
        let mut found: Vec<Transaction> = Vec::new();
        for &Entry { producer_id, base, kind, .. } in &self.log {
            let open = found.iter_mut().find(|txn| txn.producer_id == producer_id && txn.marker.is_none());
            match (kind, open) {
                (Kind::Data { transactional: true, .. }, None) => {
                    found.push(Transaction { producer_id, first: base, marker: None, committed: false });
                }
                (Kind::Marker { committed, .. }, Some(open)) => {
                    (open.marker, open.committed) = (Some(base), committed);
                }
                _ => {}
            }
        }
        found
    }

    fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        let transactions = self.transactions().into_iter();
        let undecided = transactions.filter(|txn| txn.marker.is_none_or(|at| at >= high_watermark));
        undecided.map(|txn| txn.first).chain([high_watermark]).min().unwrap()
    }

    fn aborted(&self) -> Vec<AbortedTransaction> {
        let transactions = self.transactions();
        let aborted = transactions.iter().filter(|txn| !txn.committed);
        let aborted = aborted.filter_map(|txn| {
            let last_offset = txn.marker?;
            let is_open =
                |txn: &&Transaction| txn.first < last_offset && txn.marker.is_none_or(|at| at > last_offset);
            let open = transactions.iter().filter(is_open);
            Some(AbortedTransaction {
                producer_id: txn.producer_id,
                first_offset: txn.first,
                last_offset,
                last_stable_offset: open.map(|txn| txn.first).min().unwrap_or(last_offset + 1),
            })
        });
        let mut aborted: Vec<AbortedTransaction> = aborted.collect();
        aborted.sort_by_key(|aborted| aborted.last_offset);
        aborted
    }

    /// A batch that is often right, and else nearly so.
    fn offer(&self, rng: &mut SimRng) -> Entry {
        let producer_id = 1 + rng.below(3) as i64;
        let known = self.of(producer_id);
        let epoch = known.last().map_or(0, |(_, entry)| entry.epoch);
        let epoch = (epoch + *rng.pick(&[-1, 0, 0, 0, 0, 0, 0, 0, 1])).max(0);
        let base = self.end();
        if rng.chance(1, 5) {
            let coordinator_epoch = rng.below(2) as i32 + known.len() as i32 / 40;
            let kind = Kind::Marker { committed: rng.chance(1, 2), coordinator_epoch };
            return Entry { producer_id, epoch, base, records: 1, kind };
        }
        let mut transactional = self.open_transaction(producer_id).is_some() || rng.chance(1, 3);
        transactional ^= rng.chance(1, 20);
        let recent: Vec<&Entry> = known.iter().rev().take(8).map(|(_, entry)| *entry).collect();
        if !recent.is_empty() && rng.chance(1, 3) {
            let again = *rng.pick(&recent);
            let records = if rng.chance(1, 8) { again.records + 1 } else { again.records };
            if let Kind::Data { sequence, .. } = again.kind {
                let kind = Kind::Data { sequence, transactional };
                return Entry { producer_id, epoch, base, records, kind };
            }
        }
        let last = self.in_epoch(producer_id).into_iter().rev().find_map(|(_, entry)| match entry.kind {
            Kind::Data { sequence, .. } => Some((sequence + entry.records) % SEQUENCES),
            Kind::Marker { .. } => None,
        });
        // Close below the largest, so that the numbers wrap.
        let start = if known.is_empty() { SEQUENCES - 1 - rng.below(9) as i64 } else { 0 };
        let sequence = (last.unwrap_or(start) + *rng.pick(&[0, 0, 0, 0, 0, 1])) % SEQUENCES;
        let kind = Kind::Data { sequence, transactional };
        Entry { producer_id, epoch, base, records: 1 + rng.below(3) as i64, kind }
    }
}

fn encoded(entry: &Entry) -> Vec<u8> {
    let timestamp = 1_700_000_000_000 + entry.base;
    let mut batch = match entry.kind {
        Kind::Marker { committed, coordinator_epoch } => {
            EndTransactionMarker { committed, coordinator_epoch, timestamp }
                .to_batch(entry.producer_id, entry.epoch)
        }
        Kind::Data { sequence, transactional } => {
            let mut builder = BatchBuilder::new(timestamp);
            for _ in 0..entry.records {
                builder.push(None, None, &[]);
            }
            match transactional {
                true => builder.transactional(entry.producer_id, entry.epoch, sequence as i32),
                false => builder.idempotent(entry.producer_id, entry.epoch, sequence as i32),
            };
            builder.build()
        }
    };
    assign_offset(&mut batch, entry.base);
    batch
}

fn told(verdict: &Result<Verdict, Refusal>) -> Answer {
    match verdict {
        Ok(Verdict::Append(_)) => Answer::Appended,
        Ok(Verdict::Duplicate(original)) => Answer::Duplicate(original.first_offset()),
        Err(Refusal::Producer(error)) => match error {
            ProducerError::OutOfOrderSequence { .. } => Answer::OutOfOrder,
            ProducerError::Fenced { .. } => Answer::Fenced,
            ProducerError::CoordinatorFenced { .. } => Answer::CoordinatorFenced,
            ProducerError::NotInTransaction { .. } => Answer::NotInTransaction,
        },
        Err(Refusal::Batch(error)) => panic!("the model offers sound batches: {error}"),
    }
}

#[test]
fn any_order_of_batches_leaves_the_state_that_the_log_implies() {
    let mut answers = [0; 6];
    for seed in seeds(400, 400_000) {
        let mut rng = SimRng::new(seed);
        let mut model = Model::default();
        let mut manager = ProducerStateManager::default();
        let mut aborted = Vec::new();
        for step in 0..60 {
            let mut append = ProducerAppend::default();
            let mut written = model.clone();
            for _ in 0..1 + rng.below(4) {
                let entry = written.offer(&mut rng);
                let batch = encoded(&entry);
                let header = BatchHeader::parse(&batch).unwrap();
                let verdict = append.check(&manager, &header, &batch, false);
                let answer = told(&verdict);
                let context = format!("seed {seed}, step {step}: {entry:?} after {:?}", written.log);
                assert_eq!(answer, written.answer(&entry), "{context}");
                answers[match answer {
                    Answer::Appended => 0,
                    Answer::Duplicate(_) => 1,
                    Answer::OutOfOrder => 2,
                    Answer::Fenced => 3,
                    Answer::CoordinatorFenced => 4,
                    Answer::NotInTransaction => 5,
                }] += 1;
                if let Ok(Verdict::Append(marker)) = verdict {
                    append.add(&manager, &header, marker.as_ref());
                    written.log.push(entry);
                }
            }
            // Sometimes the write fails, and then nothing of it has happened.
            if !rng.chance(1, 10) {
                aborted.extend(manager.commit(append));
                model = written;
            }
            let context = format!("seed {seed}, step {step}: {:?}", model.log);
            assert_eq!(aborted, model.aborted(), "{context}");
            let high_watermark = rng.below(model.end() as u64 + 1) as i64;
            if rng.chance(1, 12) {
                let snapshot = encode(manager.producers());
                manager = ProducerStateManager::from_snapshot(decode(&snapshot).unwrap());
                model.was_loaded = true;
                // A log is loaded up to its end.
                assert_eq!(
                    manager.last_stable_offset(model.end(), 0),
                    model.last_stable_offset(model.end()),
                    "{context}"
                );
            } else if !model.was_loaded {
                let stable = model.last_stable_offset(high_watermark);
                assert_eq!(manager.last_stable_offset(high_watermark, 0), stable, "{context}");
            }
        }
    }
    assert!(answers.iter().all(|count| *count > 20), "every answer was given: {answers:?}");
}
