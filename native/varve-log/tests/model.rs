//! The failure this guards against: some order of appends, flushes, rolls, reopenings and reads, cold ones too, gives
//! other records than a plain list would.

mod simulation;

use std::time::Duration;

use simulation::{Solo, batch_of, config};
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
struct Model(Vec<Batch>);

impl Model {
    fn end(&self) -> i64 {
        self.0.last().map_or(0, |batch| batch.next)
    }

    /// The batches that a reader of `from..up_to` needs, as far as they are durable.
    fn between(&self, from: i64, up_to: i64, durable: i64) -> impl Iterator<Item = &Batch> {
        let up_to = up_to.min(durable);
        let wanted = move |batch: &&Batch| batch.next > from && batch.base < up_to && batch.next <= durable;
        self.0.iter().filter(move |_| from < up_to).filter(wanted)
    }
}

fn run(seed: u64, durability: Durability) {
    let mut rng = SimRng::new(seed);
    let storage = SimStorage::new(seed);
    let log_config = LogConfig {
        segment_bytes: 400 + 200 * rng.below(10),
        index_interval_bytes: 50 + 100 * rng.below(4),
        ..config(durability)
    };
    let mut solo = Solo::open(&storage, log_config).unwrap();
    let mut model = Model::default();
    for step in 0..150 {
        let context = format!("seed {seed}, {durability:?}, step {step}");
        match rng.below(12) {
            0..=3 => append(&solo, &mut model, &mut rng),
            4 => drop(solo.log.request_flush()),
            5 => drop(solo.runner.step(&mut rng)),
            6 => solo.runner.advance(Duration::from_secs(30)),
            7 => storage.evict_all(),
            8 if rng.chance(1, 3) => {
                solo.close();
                solo = Solo::open(&storage, log_config).unwrap();
                assert_eq!(solo.log.recovered, None, "{context}");
                assert_eq!(solo.log.durable_offset(), model.end(), "{context}");
            }
            8 => look_up_times(&solo, &model, &mut rng, &context),
            _ => read(&storage, &solo, &model, &mut rng, &context),
        }
        assert_eq!(solo.log.end_offset(), model.end(), "{context}");
    }
}

fn append(solo: &Solo, model: &mut Model, rng: &mut SimRng) {
    let base = model.end();
    let records = 1 + rng.below(4) as i64;
    let value = vec![base as u8; rng.below(150) as usize];
    let values: Vec<&[u8]> = (0..records).map(|_| &*value).collect();
    let timestamp = 1_700_000_000_000 + rng.below(1000) as i64;
    let mut bytes = batch_of(timestamp, &values);
    assert_eq!(solo.append(bytes.clone()).unwrap(), base);
    varve_records::assign_offset(&mut bytes, base);
    varve_records::assign_epoch(&mut bytes, 0);
    model.0.push(Batch { base, next: base + records, timestamp, bytes });
}

fn read(storage: &SimStorage, solo: &Solo, model: &Model, rng: &mut SimRng, context: &str) {
    let durable = solo.log.durable_offset();
    let from = rng.below(durable as u64 + 1) as i64;
    let up_to = if rng.chance(1, 2) { i64::MAX } else { rng.below(durable as u64 + 3) as i64 };
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
    let visible = || model.0.iter().filter(|batch| batch.next <= durable);
    let timestamp = 1_700_000_000_000 + rng.below(1005) as i64;
    let expected = visible().find(|batch| batch.timestamp >= timestamp).map(|batch| batch.base);
    assert_eq!(solo.log.batch_for_time(timestamp).unwrap(), expected, "{context}");
    let max = visible().map(|batch| batch.timestamp).max();
    let newest = visible().find(|batch| Some(batch.timestamp) == max).map(|batch| batch.base);
    assert_eq!(solo.log.batch_of_max_timestamp().unwrap(), newest, "{context}");
}

#[test]
fn any_order_of_operations_gives_what_a_list_would() {
    for seed in 0..300 {
        run(seed, Durability::Fsync);
        run(seed, Durability::Os);
    }
}

#[test]
fn the_model_writes_what_the_engine_stores() {
    let mut model = Model::default();
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Os)).unwrap();
    append(&solo, &mut model, &mut SimRng::new(1));
    let header = BatchHeader::parse(&model.0[0].bytes).unwrap();
    assert!(header.crc_matches(&model.0[0].bytes));
    assert_eq!(storage.contents(&simulation::segment_file(0, "log")).unwrap(), model.0[0].bytes);
}
