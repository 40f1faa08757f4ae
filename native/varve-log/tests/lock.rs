//! The failure this guards against: two processes append to one directory and overwrite each other's batches, or a
//! killed process leaves a lock that somebody has to remove by hand.

mod scratch;
mod simulation;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use scratch::{Scratch, open_directory};
use simulation::{DATA, LOGS, SimRunner, Solo, batch_of, config};
use varve_log::runner::ThreadRunner;
use varve_log::sim::SimStorage;
use varve_log::storage::Storage;
use varve_log::{DataDir, Durability, Identity, Log, LogConfig, LogError};

const HELD: &str = "VARVE_TEST_HELD_DIRECTORY";

/// The other process of the next test, which starts this executable again; by itself it has nothing to do.
#[test]
fn the_other_process_holds_the_directory_until_it_is_killed() {
    let Some(path) = std::env::var_os(HELD) else { return };
    let directory = open_directory(Path::new(&path)).unwrap();
    let runner = ThreadRunner::new(1);
    let log = Log::open(directory, LOGS[0], LogConfig::default(), runner, Box::new(|_| {})).unwrap();
    log.append(&mut [&mut batch_of(0, &[b"written by the killed process"])]).results.pop().unwrap().unwrap();
    println!("\nholding");
    std::io::stdout().flush().unwrap();
    // Ends when the parent does, whatever happens to it.
    let _ = std::io::stdin().read_line(&mut String::new());
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_process_keeps_the_directory_and_a_killed_one_does_not() {
    let scratch = Scratch::new("lock");
    let mut child = Killed(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_other_process_holds_the_directory_until_it_is_killed", "--nocapture"])
            .env(HELD, scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"), "the child says when it has the lock");

    let error = open_directory(scratch.path()).err().unwrap();
    assert_eq!(error.code(), "VARVE_LOCKED");
    assert!(error.to_string().contains(&scratch.path().display().to_string()), "{error}");

    child.0.kill().unwrap();
    child.0.wait().unwrap();
    let directory = open_directory(scratch.path()).unwrap();
    assert!(!directory.clean_shutdown);
    let log =
        Log::open(directory, LOGS[0], LogConfig::default(), ThreadRunner::new(1), Box::new(|_| {})).unwrap();
    assert_eq!(log.end_offset(), 1, "what the killed process wrote is there");
    log.close().unwrap();
}

fn open_at(storage: &SimStorage, path: &str) -> Result<Arc<DataDir>, LogError> {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    DataDir::open(storage, Path::new(path), &Identity::default())
}

fn open_log(directory: &Arc<DataDir>, name: &str) -> Result<Arc<Log>, LogError> {
    let runner = Arc::new(SimRunner::default());
    Log::open(directory.clone(), name, config(Durability::Fsync), runner, Box::new(|_| {}))
}

#[test]
fn a_directory_is_opened_once_also_in_one_process() {
    let storage = SimStorage::new(1);
    let directory = open_at(&storage, DATA).unwrap();
    assert_eq!(open_at(&storage, DATA).err().unwrap().code(), "VARVE_LOCKED");
    directory.close().unwrap();
    open_at(&storage, DATA).unwrap();
}

#[test]
fn a_log_is_opened_once() {
    let storage = SimStorage::new(1);
    let directory = open_at(&storage, DATA).unwrap();
    let log = open_log(&directory, "a").unwrap();
    let error = open_log(&directory, "a").err().unwrap();
    assert_eq!(error.code(), "VARVE_LOCKED");
    assert!(error.to_string().contains("/srv/data/a"), "{error}");
    log.close().unwrap();
    let log = open_log(&directory, "a").unwrap();
    drop(log);
    open_log(&directory, "a").unwrap();
}

#[test]
fn a_log_that_could_not_be_opened_can_be_tried_again() {
    let storage = SimStorage::new(1);
    let directory = open_at(&storage, DATA).unwrap();
    storage.fail_at(storage.operation_count() + 1, 28);
    assert_eq!(open_log(&directory, "a").err().unwrap().os_error(), Some(28));
    open_log(&directory, "a").unwrap();
}

#[test]
fn a_closed_directory_opens_no_logs() {
    let storage = SimStorage::new(1);
    let directory = open_at(&storage, DATA).unwrap();
    directory.close().unwrap();
    assert_eq!(open_log(&directory, "a").err().unwrap().code(), "VARVE_LOG_CLOSED");
    assert!(storage.exists(Path::new("/srv/data/.kafka_cleanshutdown")).unwrap());
}

#[test]
fn a_partition_of_a_locked_directory_is_not_opened_by_itself_nor_the_other_way_round() {
    let storage = SimStorage::new(1);
    let partition = format!("{DATA}/{}", LOGS[0]);
    let solo = Solo::open(&storage, config(Durability::Fsync)).unwrap();
    solo.append_all(&["one"]);
    assert_eq!(open_at(&storage, &partition).err().unwrap().code(), "VARVE_LOCKED");
    solo.close();

    let alone = open_at(&storage, &partition).unwrap();
    let log = open_log(&alone, "").unwrap();
    assert_eq!(log.end_offset(), 1);
    let directory = open_at(&storage, DATA).unwrap();
    assert_eq!(open_log(&directory, LOGS[0]).err().unwrap().code(), "VARVE_LOCKED");
    log.close().unwrap();
    alone.close().unwrap();
    let log = open_log(&directory, LOGS[0]).unwrap();
    assert_eq!(open_at(&storage, &partition).err().unwrap().code(), "VARVE_LOCKED");
    log.close().unwrap();
}
