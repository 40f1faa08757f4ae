//! The failure this guards against: a restart scans the whole log because its recovery point was never made durable,
//! or trusts records that were not on disk when it was.

mod simulation;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use simulation::{DATA, LOGS, SimRunner, Solo, batch_of, config, identity};
use varve_log::sim::{SimRng, SimStorage};
use varve_log::storage::{File, LockGuard, OpenMode, Storage};
use varve_log::{DataDir, Durability, Log, LogConfig, Phase};

const FILE: &str = "/srv/data/recovery-point-offset-checkpoint";

fn recovery_point(storage: &SimStorage) -> Option<i64> {
    let text = String::from_utf8(storage.contents(Path::new(FILE))?).unwrap();
    text.lines().find_map(|line| line.strip_prefix("orders 0 ")).map(|offset| offset.parse().unwrap())
}

fn open() -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    (storage, solo)
}

/// One of these fills a segment.
fn wide() -> Vec<u8> {
    batch_of(0, &[&[1; 700]])
}

fn narrow() -> Vec<u8> {
    batch_of(0, &[b"narrow"])
}

#[test]
fn at_a_roll_and_at_the_close() {
    let (storage, solo) = open();
    solo.append(wide()).unwrap();
    solo.drain();
    assert_eq!(recovery_point(&storage), Some(0));
    solo.append(wide()).unwrap();
    solo.drain();
    let at_roll = recovery_point(&storage).unwrap();
    assert!(at_roll >= 1, "everything before the new segment: {at_roll}");
    solo.append(narrow()).unwrap();
    solo.drain();
    assert_eq!(recovery_point(&storage), Some(at_roll));
    solo.close();
    assert_eq!(recovery_point(&storage), Some(3));
}

#[test]
fn with_the_first_flush_after_a_minute() {
    let (storage, solo) = open();
    for (seconds, expected) in [(59, Some(0)), (0, Some(0)), (1, Some(3)), (59, Some(3)), (1, Some(5))] {
        solo.runner.advance(Duration::from_secs(seconds));
        solo.append(narrow()).unwrap();
        solo.drain();
        assert_eq!(recovery_point(&storage), expected);
    }
}

#[test]
fn one_that_is_due_while_another_is_written_follows_it() {
    let (storage, solo) = open();
    solo.runner.advance(Duration::from_secs(60));
    solo.append(narrow()).unwrap();
    solo.runner.execute();
    solo.runner.publish();
    assert_eq!(solo.runner.waiting(), (1, 0), "the first checkpoint");
    solo.append(wide()).unwrap();
    assert_eq!(solo.log.append(&mut [&mut wide()]).taken, 0);
    // The flush, the new segment and the flush of the sealed one, all of them before the checkpoint.
    for _ in 0..3 {
        solo.runner.execute_nth(1);
        solo.runner.publish();
    }
    assert_eq!((solo.log.durable_offset(), solo.runner.waiting()), (2, (1, 0)));
    solo.runner.execute();
    assert_eq!(recovery_point(&storage), Some(1));
    solo.runner.publish();
    solo.drain();
    assert_eq!(recovery_point(&storage), Some(2));
}

#[test]
fn never_after_a_failed_flush() {
    let (storage, solo) = open();
    solo.append(narrow()).unwrap();
    solo.drain();
    solo.runner.advance(Duration::from_secs(60));
    solo.append(narrow()).unwrap();
    storage.fail_at(storage.operation_count() + 1, 5);
    solo.drain();
    assert!(matches!(solo.log.phase(), Phase::Failed(_)));
    assert_eq!(recovery_point(&storage), Some(0));
    assert!(solo.log.close().is_err());
    solo.directory.close().unwrap();
    assert_eq!(recovery_point(&storage), Some(0));
    assert!(storage.contents(Path::new("/srv/data/.kafka_cleanshutdown")).is_none());
}

#[test]
fn a_checkpoint_that_fails_closes_the_log_for_writes() {
    // The flush comes first, then the two files, each with five operations.
    for (nth, file) in [(2, "leader-epoch-checkpoint"), (7, "recovery-point-offset-checkpoint")] {
        let (storage, solo) = open();
        solo.runner.advance(Duration::from_secs(60));
        solo.append(narrow()).unwrap();
        storage.fail_at(storage.operation_count() + nth, 28);
        solo.drain();
        let Phase::Failed(error) = solo.log.phase() else { panic!("{:?}", solo.log.phase()) };
        assert!(error.to_string().contains(file), "{error}");
        assert_eq!(solo.log.durable_offset(), 1, "the records are durable all the same");
    }
}

#[test]
fn with_the_flush_that_completes_256_mib() {
    let sim = SimStorage::new(1);
    let storage: Arc<dyn Storage> = Arc::new(Forgetful(sim.clone()));
    let directory = DataDir::open(storage, Path::new(DATA), &identity()).unwrap();
    let runner = Arc::new(SimRunner::default());
    let config = LogConfig { max_batch_bytes: u64::MAX, segment_bytes: u64::MAX, ..LogConfig::default() };
    let log = Log::open(directory, LOGS[0], config, runner.clone(), Box::new(|_| {})).unwrap();
    let mut batch = batch_of(0, &[&vec![1; 32 << 20]]);
    for n in 1..=16 {
        log.append(&mut [&mut batch]).results.pop().unwrap().unwrap();
        runner.drain(&mut SimRng::new(1));
        let expected = [Some(0), Some(8), Some(16)][n / 8];
        assert_eq!(recovery_point(&sim), expected, "after {n} times 32 MiB");
    }
}

/// Keeps the length of segments and nothing of their bytes, so that a test can write much.
struct Forgetful(SimStorage);

struct ForgetfulFile(Arc<dyn File>);

impl Storage for Forgetful {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        self.0.is_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.0.open(path, mode)?;
        if path.extension().is_some_and(|extension| extension == "log") {
            return Ok(Arc::new(ForgetfulFile(file)));
        }
        Ok(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.0.lock(path)
    }
}

impl File for ForgetfulFile {
    fn write_at(&self, _buffers: &[&[u8]], _position: u64) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.try_read_at(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}
