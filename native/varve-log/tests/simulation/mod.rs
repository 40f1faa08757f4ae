//! Logs over the simulated disk, driven by a seed: appends, flushes, rolls, checkpoints and reads in any order, with
//! jobs executed and published whenever the seed says so.

#![allow(dead_code, reason = "every test file takes what it needs")]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use varve_log::runner::{Done, Job, Runner};
use varve_log::sim::{SimRng, SimStorage};
use varve_log::storage::{OpenMode, Storage};
use varve_log::{Access, DataDir, Durability, Identity, Log, LogConfig, LogError, Phase, SliceRequest};
use varve_records::{BatchBuilder, BatchHeader, HEADER_BYTES};

/// Names that a careless checkpoint file would take for one.
pub const LOGS: [&str; 2] = ["orders-0", "orders"];
/// Two levels, so that the names of both must be made durable.
pub const DATA: &str = "/srv/data";

/// Holds jobs until the test runs them.
#[derive(Default)]
pub struct SimRunner {
    jobs: Mutex<VecDeque<Job>>,
    done: Mutex<VecDeque<Done>>,
    now: Mutex<Duration>,
}

impl Runner for SimRunner {
    fn submit(&self, job: Job) {
        self.jobs.lock().unwrap().push_back(job);
    }

    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }
}

impl SimRunner {
    /// Executes one job or publishes one result; false when there is nothing to do.
    pub fn step(&self, rng: &mut SimRng) -> bool {
        let (jobs, done) = (self.jobs.lock().unwrap().len(), self.done.lock().unwrap().len());
        if jobs + done == 0 {
            return false;
        }
        let pick = rng.below((jobs + done) as u64) as usize;
        if pick < jobs {
            let job = self.jobs.lock().unwrap().remove(pick).unwrap();
            let done = job.execute();
            self.done.lock().unwrap().push_back(done);
        } else {
            let done = self.done.lock().unwrap().remove(pick - jobs).unwrap();
            done.publish();
        }
        true
    }

    pub fn drain(&self, rng: &mut SimRng) {
        while self.step(rng) {}
    }

    /// Jobs handed out and not executed yet, and results not published yet.
    pub fn waiting(&self) -> (usize, usize) {
        (self.jobs.lock().unwrap().len(), self.done.lock().unwrap().len())
    }

    /// Executes the job handed out first.
    pub fn execute(&self) {
        self.execute_nth(0);
    }

    pub fn execute_nth(&self, n: usize) {
        let job = self.jobs.lock().unwrap().remove(n).expect("so many jobs were handed out");
        let done = job.execute();
        self.done.lock().unwrap().push_back(done);
    }

    /// Publishes the result that came first.
    pub fn publish(&self) {
        let done = self.done.lock().unwrap().pop_front().expect("a job was executed");
        done.publish();
    }

    pub fn advance(&self, by: Duration) {
        *self.now.lock().unwrap() += by;
    }
}

/// What is known of a log, whatever happens to the disk.
#[derive(Clone, Default)]
pub struct History {
    /// The value of every record that was offered in a batch that got an offset, or might have.
    pub attempted: Vec<Vec<u8>>,
    /// Everything below was acknowledged.
    pub acknowledged: i64,
    /// Everything below was shown to a reader.
    pub seen: i64,
    /// Everything below returned from a write (the page cache has it).
    pub written: i64,
    /// Everything below was said to be on disk for good.
    pub flushed: i64,
    /// How often the log was opened; part of every value, so that none is written twice.
    pub lives: u32,
}

impl History {
    /// The log was opened, or closed, and everything up to `end` is there to stay.
    pub fn settle(&mut self, end: i64) {
        self.attempted.truncate(end as usize);
        (self.acknowledged, self.seen, self.written, self.flushed) = (end, end, end, end);
        self.lives += 1;
    }
}

/// Of the logs, in the order of [`LOGS`].
pub type Histories = [History; LOGS.len()];

pub struct World {
    pub directory: Arc<DataDir>,
    pub logs: Vec<Arc<Log>>,
    pub runner: Arc<SimRunner>,
    pub rng: SimRng,
}

pub fn identity() -> Identity {
    Identity { new_cluster_id: "cluster".into(), new_directory_id: "directory".into(), ..Identity::default() }
}

pub fn config(durability: Durability) -> LogConfig {
    LogConfig { durability, segment_bytes: 900, index_interval_bytes: 150, ..LogConfig::default() }
}

pub fn open_directory(storage: &SimStorage) -> Result<Arc<DataDir>, LogError> {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    DataDir::open(storage, Path::new(DATA), &identity())
}

impl World {
    pub fn open(storage: &SimStorage, durability: Durability, seed: u64) -> Result<Self, LogError> {
        Self::open_with(storage, config(durability), seed)
    }

    pub fn open_with(storage: &SimStorage, config: LogConfig, seed: u64) -> Result<Self, LogError> {
        let directory = open_directory(storage)?;
        let runner = Arc::new(SimRunner::default());
        let open = |name| Log::open(directory.clone(), name, config, runner.clone(), Box::new(|_| {}));
        let logs = LOGS.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { directory, logs, runner, rng: SimRng::new(seed) })
    }

    /// One random workload.
    pub fn run(&mut self, histories: &mut Histories, steps: u32) {
        for _ in 0..steps {
            let log = self.rng.below(LOGS.len() as u64) as usize;
            match self.rng.below(10) {
                0..=4 => self.append(log, &mut histories[log]),
                5..=7 => {
                    self.runner.step(&mut self.rng);
                }
                8 => self.runner.advance(Duration::from_secs(self.rng.below(50))),
                _ => drop(self.logs[log].request_flush()),
            }
            self.look(histories);
        }
    }

    pub fn drain(&mut self, histories: &mut Histories) {
        self.runner.drain(&mut self.rng);
        self.look(histories);
    }

    pub fn append(&mut self, log: usize, history: &mut History) {
        let log = self.logs[log].clone();
        let mut batches: Vec<Vec<u8>> = Vec::new();
        let mut values: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut number = history.attempted.len();
        for _ in 0..1 + self.rng.below(3) {
            let mut builder = BatchBuilder::new(1_700_000_000_000 + number as i64);
            let mut batch_values = Vec::new();
            for _ in 0..1 + self.rng.below(3) {
                let mut value = format!("{}.{number}:", history.lives).into_bytes();
                // Few sizes, so that what a cut left behind may fit where something new ends.
                value.resize(10 + 30 * self.rng.below(5) as usize, number as u8);
                builder.push(None, Some(&value), &[]);
                batch_values.push(value);
                number += 1;
            }
            batches.push(builder.build());
            values.push(batch_values);
        }
        let mut offered = 0;
        while offered < batches.len() {
            let mut rest: Vec<&mut [u8]> = batches[offered..].iter_mut().map(Vec::as_mut_slice).collect();
            let appended = log.append(&mut rest);
            for (result, values) in appended.results.iter().zip(&values[offered..]) {
                match result {
                    Ok(base_offset) => {
                        assert_eq!(*base_offset, history.attempted.len() as i64, "offsets have no gaps");
                        history.attempted.extend(values.iter().cloned());
                        history.written = history.attempted.len() as i64;
                    }
                    // Some of it may be in the file nevertheless.
                    Err(_) => history.attempted.extend(values.iter().cloned()),
                }
            }
            if appended.results.iter().any(Result::is_err) {
                return;
            }
            offered += appended.taken;
            if offered < batches.len() && !self.runner.step(&mut self.rng) {
                assert!(!matches!(log.phase(), Phase::Rolling), "nothing will end the roll");
            }
        }
    }

    /// Notes what is acknowledged, and reads what a reader may see.
    pub fn look(&mut self, histories: &mut Histories) {
        for (log, history) in self.logs.iter().zip(histories) {
            history.acknowledged = history.acknowledged.max(log.durable_offset());
            history.flushed = history.flushed.max(log.flushed_offset());
            if self.rng.chance(1, 4)
                && let Ok(records) = read_all(log)
            {
                assert_eq!(records, history.attempted[..records.len()], "a reader sees what was written");
                history.seen = history.seen.max(records.len() as i64);
            }
        }
    }

    /// Closes the logs and the directory; says whether all of it went well.
    pub fn close(mut self, histories: &mut Histories) -> bool {
        self.drain(histories);
        let mut well = true;
        for (log, history) in self.logs.iter().zip(histories) {
            match log.close() {
                Ok(()) => history.settle(history.written),
                Err(_) => well = false,
            }
        }
        self.directory.close().is_ok() && well
    }
}

/// A batch of one record for each value.
pub fn batch_of(timestamp: i64, values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(timestamp);
    for value in values {
        builder.push(None, Some(value), &[]);
    }
    builder.build()
}

/// Every visible record's value.
pub fn read_all(log: &Log) -> Result<Vec<Vec<u8>>, LogError> {
    let mut values = Vec::new();
    let mut from = log.start_offset();
    loop {
        let request = SliceRequest { from, up_to: i64::MAX, max_bytes: 400, min_one_batch: true };
        let slice = log.slice(request, Access::Blocking)?;
        if slice.bytes == 0 {
            return Ok(values);
        }
        let mut bytes = vec![0; slice.bytes as usize];
        slice.read(&mut bytes, 0, Access::Blocking)?;
        let mut at = 0;
        while at < bytes.len() {
            let header = BatchHeader::parse(&bytes[at..]).expect("slices hold whole batches");
            let batch = &bytes[at..at + header.total_bytes() as usize];
            assert!(header.crc_matches(batch), "stored batches match their checksum");
            assert_eq!(header.base_offset, values.len() as i64, "offsets have no gaps");
            values.extend(values_of(&header, batch));
            at += batch.len();
        }
        let (next, start, bytes) = (slice.next_offset, slice.position, slice.bytes);
        let told = format!("a slice from {from} of {bytes} bytes at {start} tells the next offset");
        assert_eq!(next, values.len() as i64, "{told}");
        from = slice.next_offset;
    }
}

fn values_of(header: &BatchHeader, batch: &[u8]) -> Vec<Vec<u8>> {
    use varve_records::{read_varint, read_varlong};
    let mut at = HEADER_BYTES;
    (0..header.records_count)
        .map(|_| {
            read_varint(batch, &mut at).unwrap();
            at += 1;
            read_varlong(batch, &mut at).unwrap();
            read_varint(batch, &mut at).unwrap();
            assert_eq!(read_varint(batch, &mut at), Some(-1));
            let length = read_varint(batch, &mut at).unwrap() as usize;
            let value = batch[at..at + length].to_vec();
            at += length;
            assert_eq!(read_varint(batch, &mut at), Some(0));
            value
        })
        .collect()
}

/// One log of a simulated directory, its jobs run only when the test says so.
pub struct Solo {
    pub directory: Arc<DataDir>,
    pub log: Arc<Log>,
    pub runner: Arc<SimRunner>,
}

impl Solo {
    pub fn open(storage: &SimStorage, config: LogConfig) -> Result<Self, LogError> {
        let directory = open_directory(storage)?;
        let runner = Arc::new(SimRunner::default());
        let log = Log::open(directory.clone(), LOGS[0], config, runner.clone(), Box::new(|_| {}))?;
        Ok(Self { directory, log, runner })
    }

    /// Appends one batch, rolling if need be; its base offset.
    pub fn append(&self, mut batch: Vec<u8>) -> Result<i64, LogError> {
        loop {
            let mut appended = self.log.append(&mut [&mut batch]);
            match appended.results.pop() {
                Some(result) => return result,
                None => self.drain(),
            }
        }
    }

    /// Appends a batch of each value and makes all of them durable.
    pub fn append_all(&self, values: &[&str]) {
        for value in values {
            self.append(batch_of(1_700_000_000_000, &[value.as_bytes()])).unwrap();
        }
        self.log.request_flush().unwrap();
        self.drain();
    }

    pub fn drain(&self) {
        self.runner.drain(&mut SimRng::new(0));
    }

    pub fn close(self) {
        self.drain();
        self.log.close().unwrap();
        self.directory.close().unwrap();
    }

    /// The values of all records that readers may see.
    pub fn values(&self) -> Vec<String> {
        let values = read_all(&self.log).unwrap();
        values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
    }
}

/// A file of the solo log.
pub fn file(name: &str) -> PathBuf {
    Path::new(DATA).join(LOGS[0]).join(name)
}

pub fn segment_file(base_offset: i64, extension: &str) -> PathBuf {
    file(&format!("{base_offset:020}.{extension}"))
}

/// Changes a file behind the engine's back, durably.
pub fn edit(storage: &SimStorage, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = storage.contents(path).unwrap_or_default();
    change(&mut bytes);
    let file = storage.open(path, OpenMode::Create).unwrap();
    file.write_at(&[&bytes], 0).unwrap();
    file.sync_data().unwrap();
    storage.sync_dir(path.parent().unwrap()).unwrap();
}

/// The names of the solo log's files that end so, sorted.
pub fn names(storage: &SimStorage, extension: &str) -> Vec<String> {
    let mut names = storage.list(&Path::new(DATA).join(LOGS[0])).unwrap();
    names.retain(|name| name.ends_with(extension));
    names.sort();
    names
}

pub fn all() -> SliceRequest {
    SliceRequest { from: 0, up_to: i64::MAX, max_bytes: u64::MAX, min_one_batch: true }
}
