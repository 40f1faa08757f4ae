//! The failure this guards against: compaction between appends, truncations, deletions and reopenings keeps another record of
//! a key than its last one, brings one back that was deleted or cut off, drops what it must not know of yet, or moves an offset.

mod keyed;
mod simulation;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use keyed::{DELETE_RETENTION_MS, Entry, Pair, batch_at, compact, compacted, entries};
use simulation::seeds::seeds;
use simulation::{EPOCH_MS, Solo, names};
use varve_log::runner::Runner;
use varve_log::sim::{SimRng, SimStorage};
use varve_log::{Durability, LogConfig};

/// A record that must be there.
struct Kept {
    entry: Entry,
    /// The first offset of its batch.
    batch: i64,
}

#[derive(Default)]
struct Model {
    start: i64,
    end: i64,
    kept: BTreeMap<i64, Kept>,
    /// Of batches by their first offset: the time (ms) from which on the deletions in them may go.
    horizons: HashMap<i64, i64>,
    /// The first offsets of the batches, and where each ends.
    batches: BTreeMap<i64, i64>,
}

impl Model {
    /// Of each key before `up_to` only the last record stays, and no deletion that readers have had time to see.
    fn compact(&mut self, up_to: i64, now_ms: i64) {
        let last: HashMap<String, i64> =
            self.kept.range(..up_to).map(|(&offset, kept)| (kept.entry.key.clone(), offset)).collect();
        let horizons = &self.horizons;
        self.kept.retain(|&offset, Kept { entry, batch }| {
            let is_last = last.get(&entry.key).is_none_or(|&last| offset >= last);
            let is_due = horizons.get(batch).is_some_and(|&horizon| horizon <= now_ms);
            offset >= up_to || is_last && (entry.value.is_some() || !is_due)
        });
        for Kept { entry, batch } in self.kept.range(..up_to).map(|(_, kept)| kept) {
            if entry.value.is_none() {
                self.horizons.entry(*batch).or_insert(now_ms + DELETE_RETENTION_MS);
            }
        }
    }

    fn cut(&mut self, end: i64) {
        self.end = end;
        self.kept.split_off(&end);
        self.batches.split_off(&end);
        self.horizons.retain(|&batch, _| batch < end);
    }
}

struct Run {
    storage: SimStorage,
    solo: Solo,
    model: Model,
    rng: SimRng,
    context: String,
    /// What has passed before the process began, whose clock starts anew.
    passed: Duration,
}

impl Run {
    fn new(seed: u64, durability: Durability) -> Self {
        let mut rng = SimRng::new(seed);
        let storage = SimStorage::new(seed);
        let config = LogConfig {
            segment_bytes: 300 + 200 * rng.below(6),
            compaction_check_ms: None,
            ..compacted(durability)
        };
        let solo = Solo::open(&storage, config).unwrap();
        let passed = Duration::ZERO;
        Self { storage, solo, model: Model::default(), rng, context: String::new(), passed }
    }

    fn step(&mut self) {
        match self.rng.below(16) {
            0..=6 => self.append(),
            7 => drop(self.solo.runner.step(&mut self.rng)),
            8 => self.solo.runner.advance(Duration::from_secs(self.rng.below(8))),
            9 | 10 => self.compact(),
            11 => self.delete(),
            12 if self.rng.chance(1, 2) => self.truncate(),
            13 if self.rng.chance(1, 2) => self.reopen(),
            14 if self.rng.chance(1, 10) => self.start_over(),
            _ => self.read(),
        }
        let range = (self.solo.log.start_offset(), self.solo.log.end_offset());
        assert_eq!(range, (self.model.start, self.model.end), "{}", self.context);
    }

    fn append(&mut self) {
        let rng = &mut self.rng;
        let base = self.model.end;
        let pairs: Vec<Pair> = (0..1 + rng.below(4))
            .map(|n| {
                let value = format!("{base}.{n}{}", "v".repeat(rng.below(60) as usize));
                (format!("key {}", rng.below(7)), rng.chance(3, 4).then_some(value))
            })
            .collect();
        let batch = batch_at(EPOCH_MS + rng.below(1000) as i64, &pairs);
        assert_eq!(self.solo.append(batch).unwrap(), base, "{}", self.context);
        for (offset, (key, value)) in (base..).zip(pairs) {
            self.model.kept.insert(offset, Kept { entry: Entry { offset, key, value }, batch: base });
            self.model.end = offset + 1;
        }
        self.model.batches.insert(base, self.model.end);
    }

    fn compact(&mut self) {
        let up_to = compact(&self.solo).unwrap();
        // A truncation may have made what was compacted part of the active segment.
        let active: i64 = names(&self.storage, ".log").pop().unwrap()[..20].parse().unwrap();
        self.model.compact(up_to.min(active), self.solo.runner.wall_clock_ms());
        self.read();
    }

    /// Any offset from the start on, up to that one.
    fn offset_up_to(&mut self, end: i64) -> i64 {
        self.model.start + self.rng.below((end - self.model.start) as u64 + 1) as i64
    }

    fn delete(&mut self) {
        let durable = self.solo.log.durable_offset();
        // Seldom far: what is gone is not compacted.
        let offset = self.offset_up_to(durable.min(self.model.start + 8));
        let answer = self.solo.answer(|log, answer| log.delete_before(offset, answer));
        assert_eq!(answer.unwrap(), offset, "{}", self.context);
        self.model.start = offset;
    }

    fn truncate(&mut self) {
        let offset = self.offset_up_to(self.model.end);
        let end = self.solo.answer(|log, answer| log.truncate_to(offset, answer)).unwrap();
        let holding = self.model.batches.range(..=offset).next_back();
        let within = holding.filter(|&(_, &next)| next > offset).map(|(&base, _)| base);
        // That batch may have begun before the log does.
        let expected = within.unwrap_or(offset).max(self.model.start);
        // Less where compaction has left a gap in front of it.
        assert!(end <= expected, "{}: truncated to {offset}, the log ends at {end}", self.context);
        assert_eq!(self.model.kept.range(end..expected).count(), 0, "{}: cut off at {end}", self.context);
        self.model.cut(end);
    }

    fn start_over(&mut self) {
        let offset = self.rng.below(2 * self.model.end as u64 + 10) as i64;
        let answer = self.solo.answer(|log, answer| log.truncate_fully_and_start_at(offset, answer));
        assert_eq!(answer.unwrap(), offset, "{}", self.context);
        self.model = Model { start: offset, end: offset, ..Model::default() };
    }

    fn reopen(&mut self) {
        let config = *self.solo.log.config();
        self.passed = self.solo.runner.now();
        self.solo.drain();
        self.solo.log.close().unwrap();
        self.solo.directory.close().unwrap();
        self.solo = Solo::open(&self.storage, config).unwrap();
        self.solo.runner.advance(self.passed);
        assert_eq!(self.solo.log.recovered, None, "{}", self.context);
        self.read();
    }

    fn read(&mut self) {
        let durable = self.solo.log.durable_offset();
        let found = entries(&self.solo.log).unwrap_or_else(|error| panic!("{}: {error}", self.context));
        let visible = self.model.kept.range(self.model.start..durable).map(|(_, kept)| &kept.entry);
        assert!(
            found.iter().eq(visible.clone()),
            "{}: {found:?}, not {:?}",
            self.context,
            visible.collect::<Vec<_>>()
        );
    }
}

#[test]
fn any_order_of_operations_and_compactions_leaves_the_last_record_of_each_key() {
    for seed in seeds(60, 50_000) {
        for durability in [Durability::Fsync, Durability::Os] {
            let mut run = Run::new(seed, durability);
            for step in 0..120 {
                run.context = format!("seed {seed}, {durability:?}, step {step}");
                run.step();
            }
        }
    }
}
