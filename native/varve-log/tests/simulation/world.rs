//! Two logs of one directory under a random workload, and what is known of them whatever happens to the disk.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use varve_log::sim::{SimRng, SimStorage};
use varve_log::{Answer, DataDir, Durability, Log, LogConfig, LogError, Phase, Preallocate};
use varve_records::BatchBuilder;

use super::{LOGS, SimRunner, config, open_directory, read_all};

/// A record that was offered in a batch that got an offset, or might have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    pub value: Vec<u8>,
    pub epoch: i32,
    /// The offset at which its batch starts.
    pub batch: i64,
}

/// What is known of a log, whatever happens to the disk. Offsets are places in the list of what was attempted.
#[derive(Clone, Default)]
pub struct History {
    pub attempted: Vec<Attempted>,
    /// Everything below was acknowledged.
    pub acknowledged: i64,
    /// Everything below was shown to a reader.
    pub seen: i64,
    /// Everything below returned from a write (the page cache has it).
    pub written: i64,
    /// Everything below was said to be on disk for good.
    pub flushed: i64,
    /// Everything below was said to be deleted.
    pub deleted: i64,
    /// Everything below may have been deleted.
    pub deletable: i64,
    /// How often retention was asked for and not answered yet: it goes by what the log holds when its turn comes.
    pub retaining: u32,
    /// Everything from here on may have been cut off.
    pub cuttable: Option<i64>,
    /// Makes every value another one.
    pub values: u64,
}

impl History {
    /// The log was opened, or closed, and everything from `start` up to `end` is there to stay.
    pub fn settle(&mut self, start: i64, end: i64) {
        self.attempted.truncate(end as usize);
        (self.acknowledged, self.seen, self.written, self.flushed) = (end, end, end, end);
        (self.deleted, self.deletable, self.cuttable, self.retaining) = (start, start, None, 0);
    }

    /// Nothing from `end` on is promised any more.
    fn cut(&mut self, end: i64) {
        for promise in [&mut self.acknowledged, &mut self.seen, &mut self.written, &mut self.flushed] {
            *promise = end.min(*promise);
        }
    }

    /// Where the batch starts that holds `offset`; the end where none does.
    fn batch_start(&self, offset: i64) -> i64 {
        self.attempted.get(offset as usize).map_or(self.attempted.len() as i64, |record| record.batch)
    }

    fn take(&mut self, answer: Answered) {
        match answer {
            Answered::Start(start) | Answered::Retained(start) => {
                self.retaining -= u32::from(matches!(answer, Answered::Retained(_)));
                let asked = self.deleted..=self.deletable;
                assert!(asked.contains(&start), "the log starts at {start}, which should be in {asked:?}");
                self.deleted = start;
            }
            Answered::End(end) => {
                self.attempted.truncate(end as usize);
                self.cut(end);
                self.cuttable = None;
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Answered {
    Start(i64),
    Retained(i64),
    End(i64),
}

/// Of the logs, in the order of [`LOGS`].
pub type Histories = [History; LOGS.len()];

pub struct World {
    pub directory: Arc<DataDir>,
    pub logs: Vec<Arc<Log>>,
    pub runner: Arc<SimRunner>,
    pub rng: SimRng,
    answers: Arc<Mutex<Vec<(usize, Answered)>>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.runner.abandon();
    }
}

impl World {
    pub fn open(storage: &SimStorage, durability: Durability, seed: u64) -> Result<Self, LogError> {
        // Every other one meets a tail of zeros where the log ends.
        let preallocate = if seed.is_multiple_of(2) { Preallocate::Off } else { Preallocate::Zeros };
        Self::open_with(storage, LogConfig { preallocate, ..config(durability) }, seed)
    }

    pub fn open_with(storage: &SimStorage, config: LogConfig, seed: u64) -> Result<Self, LogError> {
        let directory = open_directory(storage)?;
        let runner = Arc::new(SimRunner::default());
        let open = |name| Log::open(directory.clone(), name, config, runner.clone(), Box::new(|_| {}));
        let logs = LOGS.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { directory, logs, runner, rng: SimRng::new(seed), answers: Arc::default() })
    }

    /// One random workload.
    pub fn run(&mut self, histories: &mut Histories, steps: u32) {
        for _ in 0..steps {
            let log = self.rng.below(LOGS.len() as u64) as usize;
            match self.rng.below(17) {
                0..=6 => self.append(log, histories),
                7..=10 => drop(self.step(histories)),
                11 => self.runner.advance(Duration::from_secs(self.rng.below(50))),
                12 => drop(self.logs[log].request_flush()),
                13 => self.delete(log, &mut histories[log]),
                14 => self.truncate(log, &mut histories[log]),
                15 => self.change_pace(),
                _ => {
                    let epoch = self.logs[log].leader_epoch() + 1;
                    self.logs[log].set_leader_epoch(epoch).unwrap();
                }
            }
            self.take_answers(histories);
            self.look(histories);
        }
    }

    /// Makes the disk slow, or quick again.
    fn change_pace(&mut self) {
        let slow = self.rng.chance(1, 2);
        let (millis, writes) = if slow { (50, 1) } else { (0, 100) };
        (0..writes).for_each(|_| self.directory.note_write(Duration::from_millis(millis)));
    }

    /// Runs a job or publishes what one did, and takes the answers that came of it.
    fn step(&mut self, histories: &mut Histories) -> bool {
        let stepped = self.runner.step(&mut self.rng);
        self.take_answers(histories);
        stepped
    }

    /// Before anything else is appended: a truncation that has nothing to cut is answered by the call that asks for it.
    fn take_answers(&mut self, histories: &mut Histories) {
        let answers = std::mem::take(&mut *self.answers.lock().unwrap());
        answers.into_iter().for_each(|(log, answer)| histories[log].take(answer));
    }

    pub fn drain(&mut self, histories: &mut Histories) {
        while self.step(histories) {}
        self.look(histories);
    }

    /// Gives an answer to the history of `log` when it comes, if it is one.
    fn answer(&self, log: usize, answered: fn(i64) -> Answered) -> Answer {
        let answers = self.answers.clone();
        Box::new(move |answer| {
            if let Ok(offset) = answer {
                answers.lock().unwrap().push((log, answered(offset)));
            }
        })
    }

    /// By whole segments or up to some offset.
    fn delete(&mut self, log: usize, history: &mut History) {
        let durable = self.logs[log].durable_offset();
        if self.rng.chance(1, 2) {
            history.retaining += 1;
            history.deletable = history.deletable.max(history.attempted.len() as i64);
            self.logs[log].apply_retention(self.answer(log, Answered::Retained));
        } else {
            let start = self.logs[log].start_offset();
            let offset = start + self.rng.below((durable - start) as u64 + 1) as i64;
            history.deletable = history.deletable.max(offset);
            self.logs[log].delete_before(offset, self.answer(log, Answered::Start));
        }
    }

    fn truncate(&mut self, log: usize, history: &mut History) {
        // One at a time: what a second one cuts is only known when the first one has.
        let pending = history.cuttable.is_some() || history.deletable > history.deleted;
        if pending || !matches!(self.logs[log].phase(), Phase::Open) || self.rng.chance(1, 2) {
            return;
        }
        let (start, end) = (self.logs[log].start_offset(), self.logs[log].end_offset());
        let offset = start + self.rng.below((end - start) as u64 + 1) as i64;
        self.truncate_to(log, offset, history);
    }

    pub fn truncate_to(&self, log: usize, offset: i64, history: &mut History) {
        let cut = history.batch_start(offset);
        history.cut(cut);
        history.cuttable = Some(cut);
        self.logs[log].truncate_to(offset, self.answer(log, Answered::End));
    }

    pub fn append(&mut self, n: usize, histories: &mut Histories) {
        // What is appended behind a truncation is not what that one has cut off.
        self.take_answers(histories);
        let log = self.logs[n].clone();
        let mut batches: Vec<Vec<u8>> = Vec::new();
        let mut values: Vec<Vec<Vec<u8>>> = Vec::new();
        for _ in 0..1 + self.rng.below(3) {
            let mut builder = BatchBuilder::new(1_700_000_000_000 + histories[n].values as i64);
            let mut batch_values = Vec::new();
            for _ in 0..1 + self.rng.below(3) {
                let number = histories[n].values;
                histories[n].values += 1;
                let mut value = format!("{number}:").into_bytes();
                // Few sizes, so that what a cut left behind may fit where something new ends.
                value.resize(10 + 30 * self.rng.below(5) as usize, number as u8);
                builder.push(None, Some(&value), &[]);
                batch_values.push(value);
            }
            batches.push(builder.build());
            values.push(batch_values);
        }
        let mut offered = 0;
        while offered < batches.len() {
            let epoch = log.leader_epoch();
            let mut rest: Vec<&mut [u8]> = batches[offered..].iter_mut().map(Vec::as_mut_slice).collect();
            let appended = log.append(&mut rest);
            for (result, values) in appended.results.iter().zip(&values[offered..]) {
                let history = &mut histories[n];
                let batch = history.attempted.len() as i64;
                // Of a batch that failed some may be in the file nevertheless.
                let offered = values.iter().map(|value| Attempted { value: value.clone(), epoch, batch });
                history.attempted.extend(offered);
                if history.retaining > 0 {
                    history.deletable = history.attempted.len() as i64;
                }
                if let Ok(base_offset) = result {
                    assert_eq!(*base_offset, batch, "offsets have no gaps");
                    // A job may still be writing it.
                    history.written = history.written.max(log.end_offset());
                }
            }
            if appended.results.iter().any(Result::is_err) {
                return;
            }
            offered += appended.taken;
            if offered < batches.len() && !self.step(histories) {
                assert!(matches!(log.phase(), Phase::Open), "nothing will end {:?}", log.phase());
            }
        }
    }

    /// Notes what is acknowledged, and reads what a reader may see.
    pub fn look(&mut self, histories: &mut Histories) {
        for (log, history) in self.logs.iter().zip(histories) {
            // What is about to be cut off is promised to nobody.
            let limit = history.cuttable.unwrap_or(i64::MAX);
            history.acknowledged = history.acknowledged.max(log.durable_offset().min(limit));
            history.flushed = history.flushed.max(log.flushed_offset().min(limit));
            history.written = history.written.max(log.end_offset().min(limit));
            if self.rng.chance(1, 4)
                && let Ok(records) = read_all(log)
            {
                let (start, end) = (log.start_offset(), log.start_offset() + records.len() as i64);
                assert!(start >= history.deleted && start <= history.deletable.max(history.deleted));
                assert!(
                    records.iter().eq(history.values_between(start, end)),
                    "a reader sees what was written"
                );
                history.seen = history.seen.max(end.min(limit));
            }
        }
    }

    /// Closes the logs and the directory; says whether all of it went well.
    pub fn close(mut self, histories: &mut Histories) -> bool {
        self.drain(histories);
        let mut well = true;
        for (log, history) in self.logs.iter().zip(histories) {
            match log.close() {
                Ok(()) => history.settle(log.start_offset(), history.written),
                Err(_) => well = false,
            }
        }
        self.directory.close().is_ok() && well
    }
}

impl History {
    pub fn values_between(&self, start: i64, end: i64) -> impl Iterator<Item = &Vec<u8>> {
        self.attempted[start as usize..end as usize].iter().map(|record| &record.value)
    }
}
