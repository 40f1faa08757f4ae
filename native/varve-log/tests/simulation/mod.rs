//! Logs over the simulated disk, driven by a seed: appends, flushes, rolls, checkpoints and reads in any order, with
//! jobs executed and published whenever the seed says so.

#![allow(dead_code, reason = "every test file takes what it needs")]

pub mod crash;
pub mod kafka;
mod reading;
pub mod seeds;
mod world;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use varve_log::runner::{Done, Job, Runner};
use varve_log::sim::{SimRng, SimStorage};
use varve_log::storage::{OpenMode, Storage};
use varve_log::{Answer, DataDir, Durability, Identity, Log, LogConfig, LogError, SliceRequest};
use varve_records::BatchBuilder;

/// Names that a careless checkpoint file would take for one.
pub const LOGS: [&str; 2] = ["orders-0", "orders"];
/// Two levels, so that the names of both must be made durable.
pub const DATA: &str = "/srv/data";

#[allow(unused_imports, reason = "every test file takes what it needs")]
pub use reading::{read_all, read_batches};
#[allow(unused_imports, reason = "every test file takes what it needs")]
pub use world::{Histories, History, World};

/// Holds jobs until the test runs them.
#[derive(Default)]
pub struct SimRunner {
    jobs: Mutex<VecDeque<Job>>,
    done: Mutex<VecDeque<Done>>,
    now: Mutex<Duration>,
    alarms: Mutex<Vec<(Duration, Weak<Log>)>>,
}

/// What the wall clock shows when a run begins (ms).
pub const EPOCH_MS: i64 = 1_700_000_000_000;

impl Runner for SimRunner {
    fn submit(&self, job: Job) {
        self.jobs.lock().unwrap().push_back(job);
    }

    fn wake_after(&self, delay: Duration, log: Weak<Log>) {
        let at = self.now() + delay;
        self.alarms.lock().unwrap().push((at, log));
    }

    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn wall_clock_ms(&self) -> i64 {
        EPOCH_MS + self.now().as_millis() as i64
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

    /// Forgets everything that waits, as the end of the process would. Jobs hold their logs, and logs their runner.
    pub fn abandon(&self) {
        self.jobs.lock().unwrap().clear();
        self.done.lock().unwrap().clear();
        self.alarms.lock().unwrap().clear();
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

    /// Lets time pass, and wakes the logs that asked for it.
    pub fn advance(&self, by: Duration) {
        let now = {
            let mut now = self.now.lock().unwrap();
            *now += by;
            *now
        };
        let mut due = Vec::new();
        self.alarms.lock().unwrap().retain(|(at, log)| {
            let is_due = *at <= now;
            if is_due {
                due.push(log.clone());
            }
            !is_due
        });
        due.iter().filter_map(Weak::upgrade).for_each(|log| log.wake());
    }
}

pub fn identity() -> Identity {
    Identity { new_cluster_id: "cluster".into(), new_directory_id: "directory".into(), ..Identity::default() }
}

pub fn config(durability: Durability) -> LogConfig {
    LogConfig {
        durability,
        segment_bytes: 900,
        index_interval_bytes: 150,
        retention_bytes: Some(2000),
        ..LogConfig::default()
    }
}

pub fn open_directory(storage: &SimStorage) -> Result<Arc<DataDir>, LogError> {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    DataDir::open(storage, Path::new(DATA), &identity())
}

/// A batch of one record for each value.
pub fn batch_of(timestamp: i64, values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(timestamp);
    for value in values {
        builder.push(None, Some(value), &[]);
    }
    builder.build()
}

/// One log of a simulated directory, its jobs run only when the test says so.
pub struct Solo {
    pub directory: Arc<DataDir>,
    pub log: Arc<Log>,
    pub runner: Arc<SimRunner>,
}

impl Drop for Solo {
    fn drop(&mut self) {
        self.runner.abandon();
    }
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

    /// Runs a request that is answered once its jobs have run.
    pub fn answer(&self, ask: impl FnOnce(&Arc<Log>, Answer)) -> Result<i64, LogError> {
        let answered = Arc::new(Mutex::new(None));
        let slot = answered.clone();
        ask(&self.log, Box::new(move |answer| *slot.lock().unwrap() = Some(answer)));
        self.drain();
        let answer = answered.lock().unwrap().take();
        answer.expect("every request is answered")
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
