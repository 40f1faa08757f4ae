//! The failure this guards against: some order of appends, flushes, rolls, truncations, deletions, retention, changes of the
//! configuration, reopenings and reads, cold ones too, gives other records than a plain list would. Compaction has a model
//! of its own, in `keyed_model.rs`.

mod simulation;

use std::time::Duration;

use simulation::seeds::seeds;
use simulation::{EPOCH_MS, Solo, batch_of, config, names};
use varve_log::runner::Runner;
use varve_log::sim::{SimRng, SimStorage};
use varve_log::{Access, Durability, LogConfig, LogError, SliceRequest};
use varve_records::BatchHeader;

/// A batch as the list knows it.
struct Batch {
    base: i64,
    next: i64,
    timestamp: i64,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Model {
    start: i64,
    end: i64,
    /// Those before the start too.
    batches: Vec<Batch>,
}

impl Model {
    /// The batches that a reader of `from..up_to` needs, as far as they are durable.
    fn between(&self, from: i64, up_to: i64, durable: i64) -> impl Iterator<Item = &Batch> {
        let up_to = up_to.min(durable);
        let wanted = move |batch: &&Batch| batch.next > from && batch.base < up_to && batch.next <= durable;
        self.batches.iter().filter(move |_| from < up_to).filter(wanted)
    }

    /// Where the batch starts that holds `offset`.
    fn batch_start(&self, offset: i64) -> i64 {
        self.batches.iter().find(|batch| batch.next > offset).map_or(offset, |batch| batch.base)
    }

    /// Where the log starts once what `config` does not retain at `now_ms` is gone, by whole segments that start at `bases`.
    fn retained_from(&self, bases: &[i64], config: &LogConfig, now_ms: i64) -> i64 {
        let segments: Vec<(i64, u64, Option<i64>)> = bases
            .iter()
            .enumerate()
            .map(|(n, &base)| {
                let end = bases.get(n + 1).copied().unwrap_or(self.end);
                let own = || self.batches.iter().filter(|batch| (base..end).contains(&batch.base));
                let bytes = own().map(|batch| batch.bytes.len() as u64).sum();
                (end, bytes, own().map(|batch| batch.timestamp).max())
            })
            .filter(|&(end, ..)| end > self.start)
            .collect();
        let total: u64 = segments.iter().map(|&(_, bytes, _)| bytes).sum();
        let mut surplus = config.retention_bytes.map_or(0, |retained| total.saturating_sub(retained));
        let mut start = self.start;
        for (end, bytes, youngest) in segments {
            let is_too_old = config.retention_ms.zip(youngest).is_some_and(|(ms, at)| now_ms - at > ms);
            if bytes > surplus && !is_too_old {
                break;
            }
            surplus = surplus.saturating_sub(bytes);
            start = end;
        }
        start
    }
}

/// What the log is for so long.
fn any_config(rng: &mut SimRng, config: &mut LogConfig) {
    config.segment_bytes = 400 + 200 * rng.below(10);
    config.index_interval_bytes = 50 + 100 * rng.below(4);
    config.retention_bytes = rng.chance(1, 2).then(|| rng.below(2) * rng.below(6000));
    config.retention_ms = rng.chance(1, 2).then(|| rng.below(200_000) as i64);
    config.retention_check_ms = None;
}

struct Run {
    storage: SimStorage,
    solo: Solo,
    model: Model,
    rng: SimRng,
    context: String,
}

impl Run {
    fn new(seed: u64, durability: Durability) -> Self {
        let mut rng = SimRng::new(seed);
        let storage = SimStorage::new(seed);
        let mut config = config(durability);
        any_config(&mut rng, &mut config);
        let solo = Solo::open(&storage, config).unwrap();
        Self { storage, solo, model: Model::default(), rng, context: String::new() }
    }

    fn step(&mut self) {
        let Self { storage, solo, model, rng, context, .. } = self;
        match rng.below(20) {
            0..=5 => append(solo, model, rng),
            6 => drop(solo.log.request_flush()),
            7 => drop(solo.runner.step(rng)),
            8 => solo.runner.advance(Duration::from_secs(30)),
            9 => storage.evict_all(),
            10 => self.reopen(),
            11 => self.truncate(),
            12 => self.delete(),
            13 => self.retain(),
            14 => self.configure(),
            15 if rng.chance(1, 8) => self.start_over(),
            15 | 16 => look_up_times(solo, model, rng, context),
            _ => read(storage, solo, model, rng, context),
        }
        let (solo, model) = (&self.solo, &self.model);
        let range = (solo.log.start_offset(), solo.log.end_offset());
        assert_eq!(range, (model.start, model.end), "{}", self.context);
    }

    fn reopen(&mut self) {
        let config = *self.solo.log.config();
        self.solo.drain();
        self.solo.log.close().unwrap();
        self.solo.directory.close().unwrap();
        self.solo = Solo::open(&self.storage, config).unwrap();
        assert_eq!(self.solo.log.recovered, None, "{}", self.context);
        assert_eq!(self.solo.log.durable_offset(), self.model.end, "{}", self.context);
    }

    /// Any offset from the start on, up to that one.
    fn offset_up_to(&mut self, end: i64) -> i64 {
        self.model.start + self.rng.below((end - self.model.start) as u64 + 1) as i64
    }

    fn truncate(&mut self) {
        let offset = self.offset_up_to(self.model.end);
        // That batch may have begun before the log does.
        let end = self.model.batch_start(offset).max(self.model.start);
        let answer = self.solo.answer(|log, answer| log.truncate_to(offset, answer));
        assert_eq!(answer.unwrap(), end, "{}, truncated to {offset}", self.context);
        self.model.end = end;
        self.model.batches.retain(|batch| batch.next <= end);
    }

    fn delete(&mut self) {
        let offset = self.offset_up_to(self.solo.log.durable_offset());
        let answer = self.solo.answer(|log, answer| log.delete_before(offset, answer));
        assert_eq!(answer.unwrap(), offset, "{}, deleted before {offset}", self.context);
        self.model.start = offset;
    }

    fn retain(&mut self) {
        // Only what is durable goes.
        self.solo.log.request_flush().unwrap();
        self.solo.drain();
        let logs = names(&self.storage, ".log");
        let bases: Vec<i64> = logs.iter().map(|name| name[..20].parse().unwrap()).collect();
        let config = self.solo.log.config();
        let now_ms = self.solo.runner.wall_clock_ms();
        let start = self.model.retained_from(&bases, &config, now_ms);
        let answer = self.solo.answer(|log, answer| log.apply_retention(answer));
        assert_eq!(answer.unwrap(), start, "{}, retained from {bases:?} by {config:?}", self.context);
        self.model.start = start;
    }

    fn configure(&mut self) {
        let durability = *self.rng.pick(&[Durability::Fsync, Durability::Os]);
        let rng = &mut self.rng;
        let change = |config: &mut LogConfig| {
            any_config(rng, config);
            config.durability = durability;
        };
        self.solo.log.configure(change).unwrap();
    }

    fn start_over(&mut self) {
        let offset = self.rng.below(2 * self.model.end as u64 + 10) as i64;
        let answer = self.solo.answer(|log, answer| log.truncate_fully_and_start_at(offset, answer));
        assert_eq!(answer.unwrap(), offset, "{}", self.context);
        self.model = Model { start: offset, end: offset, batches: Vec::new() };
    }
}

fn append(solo: &Solo, model: &mut Model, rng: &mut SimRng) {
    let base = model.end;
    let records = 1 + rng.below(4) as i64;
    let value = vec![base as u8; rng.below(150) as usize];
    let values: Vec<&[u8]> = (0..records).map(|_| &*value).collect();
    let timestamp = EPOCH_MS + rng.below(1000) as i64;
    let mut bytes = batch_of(timestamp, &values);
    assert_eq!(solo.append(bytes.clone()).unwrap(), base);
    varve_records::assign_offset(&mut bytes, base);
    varve_records::assign_epoch(&mut bytes, 0);
    model.end = base + records;
    model.batches.push(Batch { base, next: model.end, timestamp, bytes });
}

fn read(storage: &SimStorage, solo: &Solo, model: &Model, rng: &mut SimRng, context: &str) {
    let durable = solo.log.durable_offset();
    let from = model.start + rng.below((durable - model.start) as u64 + 1) as i64;
    let up_to =
        if rng.chance(1, 2) { i64::MAX } else { from + rng.below((durable - from) as u64 + 3) as i64 };
    let max_bytes = if rng.chance(1, 4) { u64::MAX } else { rng.below(1500) };
    let request = SliceRequest { from, up_to, max_bytes, min_one_batch: rng.chance(1, 2) };
    let slice = match solo.log.slice(request, Access::Cached) {
        Err(LogError::WouldBlock) => solo.log.slice(request, Access::Blocking),
        told => told,
    };
    let slice = slice.unwrap_or_else(|error| panic!("{context}, {request:?}: {error}"));
    let mut bytes = vec![0; slice.bytes as usize];
    if rng.chance(1, 3) {
        storage.evict_all();
    }
    match slice.read(&mut bytes, 0, Access::Cached) {
        Ok(read) if read == bytes.len() => {}
        Ok(_) | Err(LogError::WouldBlock) => {
            slice.read(&mut bytes, 0, Access::Blocking).unwrap();
        }
        Err(error) => panic!("{context}: {error}"),
    }
    // What it holds is the start of what it may hold; it stops early only for a full buffer or the segment's end.
    let mut wanted = model.between(from, up_to, durable);
    let (mut at, mut next) = (0, from);
    while at < bytes.len() {
        let batch = wanted.next().unwrap_or_else(|| panic!("{context}, {request:?}: too much"));
        assert!(bytes[at..].starts_with(&batch.bytes), "{context}, {request:?}: batch {}", batch.base);
        (at, next) = (at + batch.bytes.len(), batch.next);
    }
    assert_eq!(slice.next_offset, next, "{context}, {request:?}");
    if let Some(batch) = wanted.next() {
        let segment_ends = !bytes.is_empty() && ends_segment(storage, batch.base);
        let full = (at + batch.bytes.len()) as u64 > max_bytes && (at > 0 || !request.min_one_batch);
        assert!(full || segment_ends, "{context}, {request:?}: {} would fit", batch.base);
    }
    assert!(at as u64 <= max_bytes || model.between(from, up_to, durable).next().unwrap().bytes.len() == at);
}

/// Whether a segment starts at `offset`, so that the one before ends there.
fn ends_segment(storage: &SimStorage, offset: i64) -> bool {
    storage.contents(&simulation::segment_file(offset, "log")).is_some()
}

fn look_up_times(solo: &Solo, model: &Model, rng: &mut SimRng, context: &str) {
    let durable = solo.log.durable_offset();
    let visible = || model.between(model.start, i64::MAX, durable);
    let first = |timestamp| visible().find(|batch| batch.timestamp >= timestamp);
    let base = |batch: &Batch| batch.base.max(model.start);
    let timestamp = EPOCH_MS + rng.below(1005) as i64;
    assert_eq!(solo.log.batch_for_time(timestamp, 0).unwrap(), first(timestamp).map(base), "{context}");
    let newest = visible().map(|batch| batch.timestamp).max().and_then(first).map(base);
    assert_eq!(solo.log.batch_of_max_timestamp().unwrap(), newest, "{context}");
}

#[test]
fn any_order_of_operations_gives_what_a_list_would() {
    for seed in seeds(100, 100_000) {
        for durability in [Durability::Fsync, Durability::Os] {
            let mut run = Run::new(seed, durability);
            for step in 0..150 {
                run.context = format!("seed {seed}, {durability:?}, step {step}");
                run.step();
            }
        }
    }
}

#[test]
fn the_model_writes_what_the_engine_stores() {
    let mut model = Model::default();
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Os)).unwrap();
    append(&solo, &mut model, &mut SimRng::new(1));
    let header = BatchHeader::parse(&model.batches[0].bytes).unwrap();
    assert!(header.crc_matches(&model.batches[0].bytes));
    assert_eq!(storage.contents(&simulation::segment_file(0, "log")).unwrap(), model.batches[0].bytes);
}
