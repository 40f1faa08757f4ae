//! A log over the simulated disk, driven by a seed: appends, flushes, rolls, checkpoints and reads in any order, with
//! jobs executed and published whenever the seed says so.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use varve_log::runner::{Done, Job, Runner};
use varve_log::sim::{SimRng, SimStorage};
use varve_log::storage::Storage;
use varve_log::{Access, DataDir, Durability, Identity, Log, LogConfig, LogError, Phase, SliceRequest};
use varve_records::{BatchBuilder, BatchHeader, HEADER_BYTES};

pub const LOG: &str = "orders-0";
pub const DATA: &str = "/data";

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

    pub fn advance(&self, by: Duration) {
        *self.now.lock().unwrap() += by;
    }
}

/// What a run knows, whatever happens to the disk.
#[derive(Default)]
pub struct History {
    /// The value of every record that was offered in a batch that got an offset, or might have.
    pub attempted: Vec<Vec<u8>>,
    /// Everything below was acknowledged.
    pub acknowledged: i64,
    /// Everything below was shown to a reader.
    pub seen: i64,
    /// Everything below returned from a write (the page cache has it).
    pub written: i64,
}

pub struct World {
    pub directory: Arc<DataDir>,
    pub log: Arc<Log>,
    pub runner: Arc<SimRunner>,
    pub rng: SimRng,
}

pub fn identity() -> Identity {
    Identity { new_cluster_id: "cluster".into(), new_directory_id: "directory".into(), ..Identity::default() }
}

pub fn config(durability: Durability) -> LogConfig {
    LogConfig { durability, segment_bytes: 900, index_interval_bytes: 150, ..LogConfig::default() }
}

impl World {
    pub fn open(storage: &SimStorage, durability: Durability, seed: u64) -> Result<Self, LogError> {
        let storage: Arc<dyn Storage> = Arc::new(storage.clone());
        let directory = DataDir::open(storage, Path::new(DATA), &identity())?;
        let runner = Arc::new(SimRunner::default());
        let log = Log::open(directory.clone(), LOG, config(durability), runner.clone(), Box::new(|_| {}))?;
        Ok(Self { directory, log, runner, rng: SimRng::new(seed) })
    }

    /// One random workload; ends early when the log fails.
    pub fn run(&mut self, history: &mut History, steps: u32) {
        for _ in 0..steps {
            match self.rng.below(10) {
                0..=4 => self.append(history),
                5..=7 => {
                    self.runner.step(&mut self.rng);
                }
                8 => self.runner.advance(Duration::from_secs(self.rng.below(50))),
                _ => drop(self.log.request_flush()),
            }
            self.look(history);
        }
    }

    pub fn append(&mut self, history: &mut History) {
        let mut batches: Vec<Vec<u8>> = Vec::new();
        let mut values: Vec<Vec<Vec<u8>>> = Vec::new();
        for _ in 0..1 + self.rng.below(3) {
            let mut builder = BatchBuilder::new(1_700_000_000_000 + history.attempted.len() as i64);
            let mut batch_values = Vec::new();
            for _ in 0..1 + self.rng.below(3) {
                let number =
                    history.attempted.len() + values.iter().map(Vec::len).sum::<usize>() + batch_values.len();
                let mut value = format!("{number}:").into_bytes();
                value.resize(8 + self.rng.below(120) as usize, number as u8);
                builder.push(None, Some(&value), &[]);
                batch_values.push(value);
            }
            batches.push(builder.build());
            values.push(batch_values);
        }
        let mut offered = 0;
        while offered < batches.len() {
            let mut rest: Vec<&mut [u8]> = batches[offered..].iter_mut().map(Vec::as_mut_slice).collect();
            let appended = self.log.append(&mut rest);
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
                assert!(!matches!(self.log.phase(), Phase::Rolling), "nothing will end the roll");
            }
        }
    }

    /// Notes what is acknowledged, and reads what a reader may see.
    pub fn look(&mut self, history: &mut History) {
        history.acknowledged = history.acknowledged.max(self.log.durable_offset());
        if self.rng.chance(1, 4)
            && let Ok(records) = read_all(&self.log)
        {
            assert_eq!(records, history.attempted[..records.len()], "a reader sees what was written");
            history.seen = history.seen.max(records.len() as i64);
        }
    }

    pub fn close(mut self) -> Result<(), LogError> {
        self.runner.drain(&mut self.rng);
        self.log.close().and(self.directory.close())
    }
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
