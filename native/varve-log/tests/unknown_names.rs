//! The failure this guards against: a disk that cannot say whether a file is there is taken to say that it is not. A log would
//! start anew where one is, a finished compaction would be dropped, and what was kept aside be written over.

mod simulation;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use simulation::{DATA, LOGS, Solo, batch_of, config, edit, file, names, open_directory, segment_file};
use varve_log::inspect::{Progress, inspect};
use varve_log::repair::repair;
use varve_log::sim::SimStorage;
use varve_log::storage::Storage;
use varve_log::{Durability, LogConfig, LogError, Phase};

const EIO: i32 = 5;
const VALUES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

fn open(storage: &SimStorage) -> Result<Solo, LogError> {
    Solo::open(storage, LogConfig { retention_bytes: None, segment_bytes: 300, ..config(Durability::Fsync) })
}

fn closed() -> SimStorage {
    let storage = SimStorage::new(1);
    let writer = open(&storage).unwrap();
    writer.append_all(&VALUES);
    writer.close();
    storage.process_crash()
}

/// A log whose process ended while it gave a cleaned segment its name, and has a batch behind a torn one; where
/// that begins something was cut before.
fn crashed() -> SimStorage {
    let storage = SimStorage::new(1);
    open(&storage).unwrap().append_all(&VALUES);
    let storage = storage.process_crash();
    let first = segment_file(0, "log");
    storage.rename(&first, &first.with_extension("log.swap")).unwrap();
    let last = names(&storage, ".log").pop().unwrap();
    let mut torn_off = batch_of(1, &[b"torn off"]);
    torn_off[..8].copy_from_slice(&99i64.to_be_bytes());
    edit(&storage, &file(&last), |bytes| bytes.extend([&[7; 10][..], &torn_off].concat()));
    edit(&storage, &segment_file(VALUES.len() as i64, "cut"), |bytes| bytes.extend(b"kept aside"));
    storage
}

/// A damaged log that was damaged and repaired at the same place before.
fn damaged() -> SimStorage {
    let storage = closed();
    let sealed = names(&storage, ".log")[1].clone();
    edit(&storage, &file(&sealed), |bytes| *bytes.last_mut().unwrap() ^= 1);
    let offset = sealed.strip_suffix(".log").unwrap().parse().unwrap();
    for offset in offset..offset + VALUES.len() as i64 {
        edit(&storage, &segment_file(offset, "cut"), |bytes| bytes.extend(b"kept aside"));
    }
    storage
}

/// The bytes of the log's files that end so.
fn contents(storage: &SimStorage, extension: &str) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let paths = names(storage, extension).into_iter().map(|name| file(&name));
    paths.map(|path| (path.clone(), storage.contents(&path))).collect()
}

/// Lets each look fail that `act` takes at the disk, which then must do as if nothing had been when it does it again.
fn fail_each_look(prepare: fn() -> SimStorage, act: fn(&SimStorage) -> Result<(), LogError>) {
    let (healthy, untouched) = (prepare(), prepare());
    act(&healthy).unwrap();
    let looks = healthy.looks();
    assert!(!looks.is_empty());
    let kept = match untouched.exists(&file("")).unwrap() {
        true => contents(&untouched, ".cut"),
        false => BTreeMap::new(),
    };
    for (n, path) in looks.iter().enumerate() {
        let storage = prepare();
        storage.fail_look_at(n + 1, EIO);
        let error = act(&storage).expect_err(&format!("look {} for {}", n + 1, path.display()));
        assert_eq!(error.os_error(), Some(EIO), "{error}");
        assert!(
            error.to_string().contains(&*path.to_string_lossy()),
            "{} is not named: {error}",
            path.display()
        );
        let storage = storage.process_crash();
        act(&storage).unwrap();
        assert_eq!(contents(&storage, ".log"), contents(&healthy, ".log"), "{error}");
        let after = contents(&storage, ".cut");
        assert!(kept.iter().all(|(path, bytes)| after[path] == *bytes), "{error}");
    }
}

#[test]
fn a_log_that_is_new_closed_or_crashed_is_opened_later_or_whole() {
    fn open_it(storage: &SimStorage) -> Result<(), LogError> {
        open(storage).map(drop)
    }
    for prepare in [|| SimStorage::new(1), closed, crashed] {
        fail_each_look(prepare, open_it);
    }
    let storage = crashed();
    assert_eq!(open(&storage).unwrap().values(), VALUES);
    assert_eq!(names(&storage, ".cut").len(), 2, "the new one lies beside the old one");
}

#[test]
fn a_crashed_log_is_looked_at_whole_or_not_at_all() {
    fail_each_look(crashed, |storage| {
        let storage: Arc<dyn Storage> = Arc::new(storage.clone());
        let found = inspect(&storage, Path::new(DATA), LOGS[0], &Progress::default())?;
        assert_eq!(found.problems().count(), 0);
        Ok(())
    });
}

#[test]
fn a_repair_keeps_aside_what_an_earlier_one_did() {
    fail_each_look(damaged, |storage| {
        let directory = open_directory(storage)?;
        repair(&directory, LOGS[0], &Progress::default())?;
        directory.close()
    });
    let storage = damaged();
    let before = names(&storage, ".cut").len();
    repair(&open_directory(&storage).unwrap(), LOGS[0], &Progress::default()).unwrap();
    assert_eq!(names(&storage, ".cut").len(), before + 1);
}

#[test]
fn a_roll_ends_the_log_for_writes_and_loses_nothing() {
    let write = |storage: &SimStorage, nth: usize| {
        let writer = open(storage).unwrap();
        storage.fail_look_at(storage.looks().len() + nth, EIO);
        for value in VALUES {
            if writer.append(batch_of(1, &[value.as_bytes()])).is_err() {
                break;
            }
        }
        writer.drain();
        let failure = match writer.log.phase() {
            Phase::Failed(error) => Some(error),
            _ => None,
        };
        (writer.log.durable_offset() as usize, failure)
    };
    let mut nth = 1;
    loop {
        let storage = SimStorage::new(1);
        let (durable, failure) = write(&storage, nth);
        let Some(error) = failure else { break };
        assert_eq!(error.os_error(), Some(EIO), "{error}");
        assert!(error.to_string().contains(".txnindex"), "{error}");
        let values = open(&storage.process_crash()).unwrap().values();
        assert!(values.len() >= durable && values == VALUES[..values.len()], "{durable} of {values:?}");
        nth += 1;
    }
    assert!(nth > 2, "it rolls");
}
