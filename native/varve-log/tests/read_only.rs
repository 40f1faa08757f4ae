//! The failure this guards against: whoever only wants to look at a log disturbs the process that writes it, changes what a
//! recovery would have to find, or is shown a batch that is not whole.

mod simulation;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use simulation::{DATA, LOGS, SimRunner, Solo, batch_of, config, open_directory, read_all};
use varve_log::sim::{SimRng, SimStorage, Survival};
use varve_log::storage::{OpenMode, Storage};
use varve_log::{Durability, Log, LogError, Phase};

fn open_read_only(storage: &SimStorage, name: &str) -> Result<Arc<Log>, LogError> {
    let runner = Arc::new(SimRunner::default());
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    Log::open_read_only(storage, Path::new(DATA), name, config(Durability::Fsync), runner, Box::new(|_| {}))
}

fn values(log: &Log) -> Vec<String> {
    read_all(log).unwrap().into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
}

fn segment(base_offset: i64) -> PathBuf {
    Path::new(DATA).join(LOGS[0]).join(format!("{base_offset:020}.log"))
}

fn solo(storage: &SimStorage) -> Solo {
    Solo::open(storage, config(Durability::Os)).unwrap()
}

#[test]
fn a_log_that_somebody_writes_is_read_up_to_its_last_whole_batch_and_left_alone() {
    let storage = SimStorage::new(1);
    let writer = solo(&storage);
    let written: Vec<String> = (0..40).map(|n| format!("value {n}")).collect();
    for value in &written {
        writer.append(batch_of(0, &[value.as_bytes()])).unwrap();
    }
    let before = storage.operation_count();

    // As a write that is under way may look.
    let active = writer.log.active_segment();
    let file = storage.open(&segment(active), OpenMode::ReadWrite).unwrap();
    let (end, next) = (file.len().unwrap(), batch_of(0, &[b"next"]));
    file.write_at(&[&next[..next.len() - 1]], end).unwrap();
    let log = open_read_only(&storage, LOGS[0]).unwrap();
    assert_eq!((values(&log), log.end_offset()), (written.clone(), 40));
    file.set_len(end).unwrap();

    writer.append(batch_of(0, &[b"later"])).unwrap();
    assert_eq!(
        (values(&log), log.durable_offset()),
        (written.clone(), 40),
        "it is as it was when it was opened"
    );
    log.close().unwrap();
    assert_eq!(storage.operation_count(), before + 3, "the torn write, its removal and the append");
    let again = open_read_only(&storage, LOGS[0]).unwrap();
    assert_eq!(values(&again).last().map(String::as_str), Some("later"));
    writer.close();
}

/// Appends, flushes, rolls, deletes and cuts by the seed, until something goes wrong.
fn live(log: &Solo, rng: &mut SimRng) {
    for n in 0..25u64 {
        match rng.below(10) {
            0..=4 => drop(log.append(batch_of(n as i64, &[format!("{n}").as_bytes()]))),
            5 => drop(log.log.request_flush()),
            6 | 7 => drop(log.runner.step(rng)),
            8 => log.log.delete_before(rng.below(n + 1) as i64, Box::new(|_| {})),
            _ => log.log.truncate_to(rng.below(2 * n + 1) as i64, Box::new(|_| {})),
        }
    }
}

#[test]
fn every_crash_leaves_to_a_reader_what_it_leaves_to_the_recovery_and_the_reader_changes_nothing() {
    for seed in 0..60 {
        let mut rng = SimRng::new(seed);
        let mut storage = SimStorage::new(seed);
        for life in 0..3 {
            let durability = *rng.pick(&[Durability::Os, Durability::Fsync]);
            let solo = Solo::open(&storage, config(durability)).unwrap();
            if rng.chance(1, 2) {
                storage.crash_at(storage.operation_count() + 1 + rng.below(60));
            }
            live(&solo, &mut rng);
            storage = match rng.below(3) {
                0 => storage.process_crash(),
                _ => storage.power_loss(*rng.pick(&Survival::ALL), rng.below(1000)),
            };
            let found = open_read_only(&storage, LOGS[0]);
            let found = found.map(|log| (log.start_offset(), log.end_offset(), values(&log)));
            assert_eq!(storage.operation_count(), 0, "seed {seed}, life {life}: nothing was changed");
            let recovered = Solo::open(&storage.fork(), config(Durability::Os)).unwrap();
            let (log, values) = (&recovered.log, recovered.values());
            match found {
                Ok(found) => {
                    let recovered = (log.start_offset(), log.end_offset(), values);
                    assert_eq!(found, recovered, "seed {seed}, life {life}");
                }
                Err(error) => assert!(values.is_empty(), "seed {seed}, life {life}: {error}"),
            }
        }
    }
}

#[test]
fn whatever_would_change_the_log_is_refused() {
    let storage = SimStorage::new(1);
    let writer = solo(&storage);
    writer.append_all(&["a", "b"]);
    writer.close();
    let before = storage.operation_count();
    let log = open_read_only(&storage, LOGS[0]).unwrap();
    assert!(matches!(log.phase(), Phase::ReadOnly));
    let mut batch = batch_of(0, &[b"c"]);
    let refused = log.append(&mut [&mut batch]).results.pop().unwrap().unwrap_err();
    assert_eq!(refused.code(), "VARVE_READ_ONLY");
    let mut batch = batch_of(0, &[b"c"]);
    let refused = log.append_replicated(&mut [&mut batch]).results.pop().unwrap().unwrap_err();
    assert_eq!(refused.code(), "VARVE_READ_ONLY");
    assert_eq!(log.request_flush().unwrap_err().code(), "VARVE_READ_ONLY");
    assert_eq!(log.set_leader_epoch(3).unwrap_err().code(), "VARVE_READ_ONLY");
    type Ask = fn(&Arc<Log>, varve_log::Answer);
    let asks: [Ask; 4] = [
        |log, answer| log.delete_before(1, answer),
        |log, answer| log.truncate_to(1, answer),
        |log, answer| log.truncate_fully_and_start_at(1, answer),
        |log, answer| log.apply_retention(answer),
    ];
    for ask in asks {
        let (tell, told) = std::sync::mpsc::channel();
        ask(&log, Box::new(move |answer| tell.send(answer).unwrap()));
        assert_eq!(told.try_recv().unwrap().unwrap_err().code(), "VARVE_READ_ONLY");
    }
    assert_eq!(values(&log), ["a", "b"]);
    log.close().unwrap();
    assert_eq!(
        log.append(&mut [&mut batch_of(0, &[b"c"])]).results.pop().unwrap().unwrap_err().code(),
        "VARVE_LOG_CLOSED"
    );
    assert_eq!(storage.operation_count(), before);
    open_directory(&storage).unwrap();
}

#[test]
fn where_there_is_no_log_none_is_made() {
    let storage = SimStorage::new(1);
    let error = open_read_only(&storage, LOGS[0]).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "VARVE_IO", "{error}");
    solo(&storage).close();
    let before = storage.operation_count();
    let error = open_read_only(&storage, "other").map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "VARVE_IO", "{error}");
    storage.create_dir(&Path::new(DATA).join("empty")).unwrap();
    let error = open_read_only(&storage, "empty").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("it has no segment"), "{error}");
    assert_eq!(storage.operation_count(), before + 1);
}

#[test]
fn what_the_writer_takes_away_meanwhile_is_an_error_and_no_damage() {
    let storage = SimStorage::new(1);
    let writer = solo(&storage);
    writer.append_all(&["a", "b", "c"]);
    let log = open_read_only(&storage, LOGS[0]).unwrap();
    writer.answer(|log, answer| log.truncate_to(1, answer)).unwrap();
    let error = read_all(&log).unwrap_err();
    assert_eq!(error.code(), "VARVE_IO", "{error}");
    assert!(error.to_string().contains("by the process that has the log open"), "{error}");
    assert!(matches!(log.phase(), Phase::ReadOnly));
    assert_eq!(values(&open_read_only(&storage, LOGS[0]).unwrap()), ["a"]);
    writer.close();
}

#[test]
fn damage_below_the_recovery_point_is_told_and_the_rest_is_read() {
    let storage = SimStorage::new(1);
    let writer = solo(&storage);
    writer.append_all(&["a", "b", "c"]);
    writer.close();
    let file = storage.open(&segment(0), OpenMode::ReadWrite).unwrap();
    let end = file.len().unwrap();
    file.set_len(end - 1).unwrap();
    let before = storage.operation_count();
    let log = open_read_only(&storage, LOGS[0]).unwrap();
    assert!(matches!(log.phase(), Phase::Failed(LogError::Corrupt { offset: 2, .. })), "{:?}", log.phase());
    assert_eq!(values(&log), ["a", "b"]);
    assert_eq!(storage.operation_count(), before);
}
