//! The failure this guards against: after a crash a segment is remembered as older than its youngest record, and retention
//! deletes it before its time; or as younger, and it stays; and lookups by time pass over it. The indexes have no checksum,
//! and where the recovery point lies behind a segment no recovery scans it.
//!
//! What is true is what the batches in the `.log` files say. `npm run prove:crashes` tries many more lives of a log.

mod simulation;

use std::collections::BTreeMap;
use std::time::Duration;

use simulation::crash::{CRASHES, after};
use simulation::seeds::seeds;
use simulation::{EPOCH_MS, Solo, batch_of, config, names, segment_file};
use varve_log::runner::Runner;
use varve_log::sim::{SimRng, SimStorage, Survival, is_simulated_crash};
use varve_log::{Durability, LogConfig, LogError, Phase, Preallocate};
use varve_records::BatchHeader;

const RETENTION_MS: i64 = 300_000;

/// What the batches of a segment say.
struct Truth {
    base_offset: i64,
    end_offset: i64,
    /// Base offset and largest timestamp of each batch.
    batches: Vec<(i64, i64)>,
}

impl Truth {
    fn largest(&self) -> i64 {
        self.batches.iter().map(|&(_, timestamp)| timestamp).max().unwrap_or(-1)
    }
}

fn segments_of(storage: &SimStorage) -> Vec<Truth> {
    let bases = names(storage, ".log").into_iter().map(|name| name[..20].parse().unwrap());
    bases.map(|base_offset| read_segment(storage, base_offset)).collect()
}

fn read_segment(storage: &SimStorage, base_offset: i64) -> Truth {
    let bytes = storage.contents(&segment_file(base_offset, "log")).unwrap();
    let mut truth = Truth { base_offset, end_offset: base_offset, batches: Vec::new() };
    let mut rest = &bytes[..];
    // What was prepared behind the last batch is no header.
    while let Some(header) = BatchHeader::parse(rest).filter(BatchHeader::is_plausible) {
        truth.batches.push((header.base_offset, header.max_timestamp));
        truth.end_offset = header.next_offset();
        rest = &rest[header.total_bytes() as usize..];
    }
    truth
}

/// Where the log starts once retention has been applied at `now`. Kafka's rule: from the oldest segment on, as long as the
/// largest timestamp of each is further away than `retention.ms`.
fn retained_from(segments: &[Truth], now: i64) -> i64 {
    let is_retained = |segment: &&Truth| segment.largest() < 0 || now - segment.largest() <= RETENTION_MS;
    let end = segments.last().unwrap().end_offset;
    segments.iter().find(is_retained).map_or(end, |segment| segment.base_offset)
}

fn retain(solo: &Solo) -> Result<i64, LogError> {
    solo.answer(|log, answer| log.apply_retention(answer))
}

fn wait_until(solo: &Solo, wall_clock_ms: i64) {
    let now = solo.runner.wall_clock_ms();
    solo.runner.advance(Duration::from_millis((wall_clock_ms - now).max(0) as u64));
}

/// Opens the log, looks up the largest time of each segment, and lets time pass until everything has expired.
fn check_times(storage: &SimStorage, config: LogConfig, since: Duration, context: &str) {
    let solo = Solo::open(storage, config).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(matches!(solo.log.phase(), Phase::Open), "{context}: {:?}", solo.log.phase());
    solo.runner.advance(since);
    let segments = segments_of(storage);
    let start = solo.log.start_offset();
    let batches = segments.iter().flat_map(|segment| &segment.batches).copied();
    let batches: Vec<(i64, i64)> = batches.filter(|&(offset, _)| offset >= start).collect();
    let largest = || segments.iter().map(Truth::largest).filter(|&largest| largest >= 0);
    for time in largest() {
        let first = batches.iter().find(|&&(_, other)| other >= time).map(|&(offset, _)| offset);
        let found = solo.log.batch_for_time(time, start).unwrap();
        assert_eq!(found, first, "{context}: the first batch at or after {time} of {batches:?}");
    }
    let mut expiries: Vec<i64> =
        largest().flat_map(|largest| [0, 1].map(|ms| largest + RETENTION_MS + ms)).collect();
    expiries.push(EPOCH_MS + since.as_millis() as i64);
    expiries.sort_unstable();
    for &now in expiries.iter().filter(|&&now| now >= solo.runner.wall_clock_ms()) {
        wait_until(&solo, now);
        let times = || segments.iter().map(|segment| (segment.base_offset, segment.largest()));
        let expected = retained_from(&segments, now).max(start);
        let times = || format!("{context}: at {now} of segments {:?}", times().collect::<Vec<_>>());
        assert_eq!(retain(&solo).unwrap(), expected, "{}", times());
    }
}

/// The same, and once more when it has been closed: then it must be on the disk.
fn check_times_twice(storage: &SimStorage, config: LogConfig, since: Duration, context: &str) {
    check_times(&storage.fork(), config, since, context);
    Solo::open(storage, config).unwrap_or_else(|error| panic!("{context}: {error}")).close();
    let left = storage.power_loss(Survival::Nothing, 0);
    check_times(&left, config, since, &format!("{context}, recovered, closed, power loss"));
}

/// The timestamps of a segment's batches: those of one process and, from the middle on, of the next one.
const ORDERS: [[i64; 6]; 6] = [
    [0, 1, 2, 3, 4, 5],
    [0, 1, 2, 9, 1, 0],
    [5, 4, 3, 2, 1, 0],
    [-1, 7, 3, -1, 8, -1],
    [-1, -1, -1, 4, -1, 2],
    [-1, -1, -1, -1, -1, -1],
];

/// What one life appends to the segment at 0; the second one rolls it where it has been checkpointed.
struct TwoLives {
    config: LogConfig,
    first: Vec<Vec<u8>>,
    second: Vec<Vec<u8>>,
}

impl TwoLives {
    fn new(times: &[i64]) -> Self {
        let at = |&time: &i64| if time < 0 { -1 } else { EPOCH_MS + 1000 * time };
        let batches: Vec<Vec<u8>> = times.iter().map(|time| batch_of(at(time), &[b"value"])).collect();
        // An entry for every batch but the first of each life, and no room for another one.
        let config = LogConfig {
            segment_bytes: batches.iter().map(|batch| batch.len() as u64).sum(),
            index_interval_bytes: 1,
            retention_bytes: None,
            retention_ms: Some(RETENTION_MS),
            ..config(Durability::Fsync)
        };
        let (first, second) = batches.split_at(batches.len() / 2);
        Self { config, first: first.to_vec(), second: second.to_vec() }
    }

    fn live_first(&self) -> SimStorage {
        let storage = SimStorage::new(1);
        let solo = Solo::open(&storage, self.config).unwrap();
        for batch in &self.first {
            solo.append(batch.clone()).unwrap();
        }
        solo.close();
        storage.process_crash()
    }

    /// As far as the disk lets it.
    fn live_second(&self, storage: &SimStorage) -> Result<(), LogError> {
        let solo = Solo::open(storage, self.config)?;
        let (last, others) = self.second.split_last().expect("a batch of each life");
        for batch in others {
            solo.append(batch.clone())?;
        }
        solo.drain();
        // A checkpoint is due with the next flush, at the segment's end.
        solo.runner.advance(Duration::from_secs(61));
        solo.append(last.clone())?;
        solo.drain();
        solo.append(batch_of(EPOCH_MS, &[b"the next segment"]))?;
        solo.drain();
        solo.log.request_flush().map(drop)
    }

    /// From the roll on.
    fn crash_everywhere(&self, context: &str) {
        let found = self.live_first();
        let whole = found.fork();
        self.live_second(&whole).unwrap();
        assert_eq!(names(&whole, ".log").len(), 2, "{context}: it rolls");
        let entries = whole.contents(&segment_file(0, "index")).unwrap().len() / 8;
        assert_eq!(entries, self.first.len() + self.second.len() - 2, "{context}: the batches are indexed");
        let next = segment_file((self.first.len() + self.second.len()) as i64, "index");
        let rolls = whole.operations().iter().position(|operation| operation.path == next).unwrap() as u64;
        for at in rolls..=whole.operation_count() {
            let storage = found.fork();
            storage.crash_at(at);
            assert!(self.live_second(&storage).is_err(), "{context}: there is an operation {at}");
            let operation = &storage.operations()[at as usize - 1];
            for (n, crash) in CRASHES.into_iter().enumerate() {
                let left = after(&storage, crash, at);
                let context = format!("{context}, {operation} crashed, {crash:?}");
                self.crash_the_recovery(&left, n, &context);
                self.check_index(&left.fork(), &context);
                check_times_twice(&left, self.config, Duration::ZERO, &context);
            }
        }
    }

    /// Reads of a segment that it does not cover would walk through all of it.
    fn check_index(&self, left: &SimStorage, context: &str) {
        drop(Solo::open(left, self.config).unwrap());
        let entries = left.contents(&segment_file(0, "index")).unwrap().len() / 8;
        assert!(entries >= self.first.len() + self.second.len() - 2, "{context}: {entries} entries");
    }

    fn crash_the_recovery(&self, left: &SimStorage, first_crash: usize, context: &str) {
        for at in 1.. {
            let storage = left.fork();
            storage.crash_at(at);
            if Solo::open(&storage, self.config).is_ok() {
                return;
            }
            let crash = CRASHES[(first_crash + at as usize) % CRASHES.len()];
            let left = after(&storage, crash, at);
            let context = format!("{context}, recovery crashed at operation {at}, {crash:?}");
            check_times(&left, self.config, Duration::ZERO, &context);
        }
    }
}

#[test]
fn a_crash_while_a_segment_is_sealed_leaves_it_as_old_as_its_batches() {
    for times in ORDERS {
        TwoLives::new(&times).crash_everywhere(&format!("times {times:?}"));
    }
}

/// Its indexes reach over several sectors, of which a power loss may leave any.
#[test]
fn a_crash_while_a_segment_of_many_batches_is_sealed_leaves_it_as_old_as_its_batches() {
    let rises_late = |n: i64| if n % 50 < 45 { n } else { n - 40 };
    TwoLives::new(&(0..100).map(rises_late).collect::<Vec<_>>()).crash_everywhere("100 batches");
}

/// A log through several processes, in any order of what can happen to it.
struct Life {
    storage: SimStorage,
    config: LogConfig,
    rng: SimRng,
    /// Since the first process began.
    now: Duration,
    /// For each offset the oldest timestamp of what has been there.
    oldest: BTreeMap<i64, i64>,
    context: String,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut rng = SimRng::new(seed);
        let durability = *rng.pick(&[Durability::Fsync, Durability::Os]);
        let config = LogConfig {
            segment_bytes: 300 + 100 * rng.below(8),
            index_interval_bytes: 1 + 100 * rng.below(3),
            retention_bytes: None,
            retention_ms: Some(RETENTION_MS),
            preallocate: *rng.pick(&[Preallocate::Off, Preallocate::Zeros]),
            ..config(durability)
        };
        Self {
            storage: SimStorage::new(seed),
            config,
            rng,
            now: Duration::ZERO,
            oldest: BTreeMap::new(),
            context: format!("seed {seed}, {durability:?}"),
        }
    }

    fn run(mut self) {
        let context = self.context.clone();
        for process in 0..6 {
            self.context = format!("{context}, process {process}");
            let crash_at = 1 + self.rng.below(90);
            self.storage.crash_at(crash_at);
            match Solo::open(&self.storage, self.config) {
                Ok(solo) => self.live(solo, crash_at),
                Err(LogError::Io { source, .. } | LogError::NotWritable { source, .. })
                    if is_simulated_crash(&source) => {}
                Err(error) => panic!("{}: {error}", self.context),
            }
            // Whatever the disk did: a process may also end without it.
            let crash = *self.rng.pick(&CRASHES);
            self.context.push_str(&format!(", {crash:?}"));
            self.storage = after(&self.storage, crash, self.rng.next_u64());
            check_times(&self.storage.fork(), self.config, self.now, &self.context);
        }
    }

    fn live(&mut self, solo: Solo, mut crash_at: u64) {
        solo.runner.advance(self.now);
        let rolls = || solo.log.stats().rolls;
        for _ in 0..40 {
            let before = rolls();
            match self.rng.below(20) {
                0..=6 => self.append(&solo),
                7..=10 => drop(solo.runner.step(&mut self.rng)),
                11 | 12 => solo.runner.drain(&mut self.rng),
                13 | 14 => self.wait(&solo),
                15 => drop(solo.log.request_flush()),
                16 => solo.log.apply_retention(Box::new(|_| {})),
                17 if self.rng.chance(1, 4) => {
                    let (start, end) = (solo.log.start_offset(), solo.log.end_offset());
                    let offset = start + self.rng.below((end - start) as u64 + 1) as i64;
                    solo.log.truncate_to(offset, Box::new(|_| {}));
                }
                18 => self.retain(&solo),
                19 if self.rng.chance(1, 8) => {
                    solo.drain();
                    drop((solo.log.close(), solo.directory.close()));
                    return;
                }
                _ => {}
            }
            self.look(&solo);
            if rolls() > before && self.rng.chance(1, 2) {
                // While the one that was rolled is flushed.
                crash_at = crash_at.min(self.storage.operation_count() + 1 + self.rng.below(12));
                self.storage.crash_at(crash_at);
            }
            if self.storage.operation_count() >= crash_at {
                return;
            }
            assert!(!matches!(solo.log.phase(), Phase::Failed(_)), "{}", self.context);
        }
    }

    fn append(&mut self, solo: &Solo) {
        let now = solo.runner.wall_clock_ms();
        let time = match self.rng.below(8) {
            0 | 1 => -1,
            2 => self.rng.below(3) as i64,
            3..=5 => now,
            _ => now - 2 * RETENTION_MS + self.rng.below(3 * RETENTION_MS as u64) as i64,
        };
        // A large one begins a segment of its own.
        let bytes = match self.rng.chance(1, 5) {
            true => self.config.segment_bytes,
            false => 10 * self.rng.below(12),
        };
        let (value, records) = (vec![b'x'; bytes as usize], 1 + self.rng.below(2) as i64);
        let mut batch = batch_of(time, &vec![&*value; records as usize]);
        loop {
            let end = solo.log.end_offset();
            if solo.log.append(&mut [&mut batch]).taken > 0 {
                // One that has failed may be there nevertheless.
                for offset in end..end + records {
                    let oldest = self.oldest.entry(offset).or_insert(time);
                    *oldest = time.min(*oldest);
                }
                return;
            }
            solo.runner.step(&mut self.rng);
        }
    }

    fn wait(&mut self, solo: &Solo) {
        // Long enough for a checkpoint, now and then.
        let by = Duration::from_secs(self.rng.below(2) * 61 + self.rng.below(10));
        solo.runner.advance(by);
        self.now += by;
    }

    /// While nothing else goes on it is known exactly what goes.
    fn retain(&mut self, solo: &Solo) {
        solo.drain();
        let (segments, start) = (segments_of(&self.storage.fork()), solo.log.start_offset());
        let now = solo.runner.wall_clock_ms();
        if let Ok(found) = retain(solo) {
            let times: Vec<_> = segments.iter().map(|one| (one.base_offset, one.largest())).collect();
            let expected = retained_from(&segments, now).max(start);
            assert_eq!(found, expected, "{}: at {now} of segments {times:?}", self.context);
        }
    }

    /// Whatever goes on, no record goes before its time.
    fn look(&self, solo: &Solo) {
        let now = solo.runner.wall_clock_ms();
        for (offset, time) in self.oldest.range(..solo.log.start_offset()) {
            assert!(now - time > RETENTION_MS, "{}: {offset} of {time} is gone at {now}", self.context);
        }
    }
}

#[test]
fn segments_go_when_their_youngest_record_has_expired_whatever_crashed_before() {
    for seed in seeds(300, 20_000) {
        Life::new(seed).run();
    }
}
