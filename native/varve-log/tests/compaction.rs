//! The failure this guards against: a compacted log gives other values for its keys than it was written with, forgets where
//! it starts and ends, or holds up those who read and write while it is compacted.

mod keyed;
mod simulation;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyed::{
    DELETE_RETENTION_MS, Entry, Pair, batch_of, compact, compacted, entries, map_of, pair, put, tombstone,
};
use simulation::{DATA, LOGS, Solo, all, edit, file, kafka, names, segment_file};
use varve_log::sim::{SimRng, SimStorage};
use varve_log::storage::{OpenMode, Storage};
use varve_log::{Access, CleanupPolicy, Durability, LogConfig, LogError};
use varve_records::BatchHeader;

fn open(config: LogConfig) -> (SimStorage, Solo) {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, config).unwrap();
    (storage, solo)
}

/// Fills segments with values of few keys; returns everything that was written.
fn fill(solo: &Solo, batches: usize) -> Vec<Entry> {
    let mut written = Vec::new();
    for n in 0..batches {
        let pairs = [pair(&format!("key {}", n % 7), &format!("{n}:{}", "v".repeat(60)))];
        let offset = put(solo, &pairs);
        written.extend(pairs.map(|(key, value)| Entry { offset, key, value }));
    }
    solo.log.request_flush().unwrap();
    solo.drain();
    written
}

fn cleaner_checkpoint(storage: &SimStorage) -> String {
    let bytes = storage.contents(&std::path::Path::new(DATA).join("cleaner-offset-checkpoint"));
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}

#[test]
fn keeps_the_last_value_of_each_key_and_every_offset_where_it_was() {
    for durability in [Durability::Fsync, Durability::Os] {
        let (storage, solo) = open(compacted(durability));
        let written = fill(&solo, 60);
        let (start, end) = (solo.log.start_offset(), solo.log.end_offset());
        let segments = names(&storage, ".log");
        let active: i64 = segments.last().unwrap()[..20].parse().unwrap();
        assert_eq!(compact(&solo).unwrap(), active);
        // What has become small is merged by the next one, as Kafka does.
        assert_eq!(compact(&solo).unwrap(), active);
        let found = entries(&solo.log).unwrap();
        assert_eq!(map_of(&found), map_of(&written));
        assert!(found.iter().all(|entry| written[entry.offset as usize] == *entry));
        assert_eq!(found.iter().filter(|entry| entry.offset < active).count(), 7, "one record of each key");
        assert_eq!((solo.log.start_offset(), solo.log.end_offset()), (start, end));
        assert_eq!(segments.len(), 10);
        assert_eq!(names(&storage, ".log").len(), 3, "small neighbours are merged");
        assert_eq!(cleaner_checkpoint(&storage), format!("0\n1\norders 0 {active}\n"));
        assert_eq!(names(&storage, ".cleaned"), [] as [&str; 0]);
        assert_eq!(names(&storage, ".swap"), [] as [&str; 0]);

        solo.close();
        let solo = Solo::open(&storage, compacted(durability)).unwrap();
        assert_eq!(entries(&solo.log).unwrap(), found);
        assert_eq!((solo.log.start_offset(), solo.log.end_offset()), (start, end));
        fill(&solo, 30);
        compact(&solo).unwrap();
        assert_eq!(entries(&solo.log).unwrap().iter().filter(|entry| entry.offset < active).count(), 0);
    }
}

#[test]
fn a_deletion_is_read_for_as_long_as_configured_and_then_gone() {
    let (storage, solo) = open(compacted(Durability::Fsync));
    fill(&solo, 20);
    put(&solo, &[tombstone("key 3")]);
    fill(&solo, 20);
    let seal = |solo: &Solo| {
        for n in 0..12 {
            put(solo, &[pair("seal", &format!("{n}{}", "s".repeat(70)))]);
        }
    };
    put(&solo, &[tombstone("key 3")]);
    seal(&solo);
    compact(&solo).unwrap();
    let deletions =
        |solo: &Solo| entries(&solo.log).unwrap().iter().filter(|entry| entry.value.is_none()).count();
    assert_eq!(deletions(&solo), 1);
    solo.runner.advance(Duration::from_millis(DELETE_RETENTION_MS as u64 - 1));
    seal(&solo);
    compact(&solo).unwrap();
    assert_eq!(deletions(&solo), 1);
    solo.runner.advance(Duration::from_millis(1));
    compact(&solo).unwrap();
    assert_eq!(deletions(&solo), 0);
    assert!(!map_of(&entries(&solo.log).unwrap()).contains_key("key 3"));
    drop(storage);
}

#[test]
fn lets_go_of_what_it_has_replaced_before_it_ends() {
    let (storage, solo) = open(compacted(Durability::Os));
    let written = fill(&solo, 60);
    let segments = names(&storage, ".log").len();
    let end = Arc::new(Mutex::new(None));
    let told = end.clone();
    solo.log.compact(Box::new(move |answer| *told.lock().unwrap() = Some(answer.unwrap())));
    let (mut jobs, mut most) = (0, 0);
    while end.lock().unwrap().is_none() {
        solo.runner.execute();
        most = most.max(storage.open_without_name());
        solo.runner.publish();
        jobs += 1;
    }
    assert!(jobs > segments, "the segments were replaced one after the other");
    assert_eq!(most, 0, "a segment that was replaced is closed with the job that takes its name away");
    assert_eq!(map_of(&entries(&solo.log).unwrap()), map_of(&written));
}

#[test]
fn readers_keep_what_they_hold_and_find_what_is_new() {
    let (_storage, solo) = open(compacted(Durability::Fsync));
    fill(&solo, 30);
    let before = solo.log.slice(all(), Access::Blocking).unwrap();
    let mut bytes = vec![0; before.bytes as usize];
    before.read(&mut bytes, 0, Access::Blocking).unwrap();
    let ends = [solo.log.slice(all(), Access::Blocking).unwrap().next_offset];
    compact(&solo).unwrap();
    let mut again = vec![0; before.bytes as usize];
    before.read(&mut again, 0, Access::Blocking).unwrap();
    assert_eq!(again, bytes, "a slice from before reads what it always read");
    // A reading that goes on where it was finds the next record that is left.
    for from in ends.into_iter().chain(0..solo.log.end_offset()) {
        let request = varve_log::SliceRequest { from, ..all() };
        let slice = solo.log.slice(request, Access::Blocking).unwrap();
        let mut bytes = vec![0; slice.bytes as usize];
        slice.read(&mut bytes, 0, Access::Blocking).unwrap();
        let header = BatchHeader::parse(&bytes).unwrap();
        let next = entries(&solo.log).unwrap().into_iter().find(|entry| entry.offset >= from).unwrap();
        assert!(header.last_offset() >= from, "{from}");
        assert!(header.base_offset <= next.offset, "{from}: nothing that is left is jumped over");
    }
}

#[test]
fn waits_until_enough_is_new() {
    let config = LogConfig {
        min_cleanable_dirty_ratio: 0.9,
        compaction_check_ms: Some(1000),
        ..compacted(Durability::Fsync)
    };
    let (storage, solo) = open(config);
    // One key each, so that nothing goes and what is clean keeps its size.
    let fill = |keys: std::ops::Range<i32>| {
        for n in keys {
            put(&solo, &[pair(&format!("key {n}"), &"v".repeat(60))]);
        }
        solo.log.request_flush().unwrap();
        solo.drain();
    };
    let check = || {
        solo.runner.advance(Duration::from_secs(1));
        solo.drain();
        cleaner_checkpoint(&storage)
    };
    fill(0..40);
    let first = check();
    assert!(first.contains("orders 0"), "everything is new: {first}");
    fill(40..80);
    assert_eq!(check(), first, "half of it is not enough");
    fill(80..1000);
    assert_ne!(check(), first, "more than nine tenths are");
}

#[test]
fn takes_its_time_and_lets_appends_through_meanwhile() {
    let config = LogConfig { compaction_bytes_per_second: Some(1000), ..compacted(Durability::Os) };
    let (storage, solo) = open(config);
    fill(&solo, 60);
    let answer = Arc::new(Mutex::new(None));
    let told = answer.clone();
    solo.log.compact(Box::new(move |result| *told.lock().unwrap() = Some(result)));
    let bytes: usize =
        names(&storage, ".log").iter().map(|name| storage.contents(&file(name)).unwrap().len()).sum();
    let mut seconds = 0;
    while answer.lock().unwrap().is_none() {
        solo.drain();
        put(&solo, &[pair("meanwhile", "v")]);
        solo.runner.advance(Duration::from_secs(1));
        seconds += 1;
        assert!(seconds < 60, "it ends");
    }
    // What it reads twice, and writes.
    assert!(seconds >= bytes / 1000, "{seconds} seconds for {bytes} bytes");
}

#[test]
fn a_truncation_goes_before_it_and_is_remembered() {
    let config = LogConfig { compaction_bytes_per_second: Some(1), ..compacted(Durability::Fsync) };
    let (storage, solo) = open(config);
    fill(&solo, 60);
    let compacted_to = Arc::new(Mutex::new(None));
    let told = compacted_to.clone();
    solo.log.compact(Box::new(move |result| *told.lock().unwrap() = Some(result)));
    solo.drain();
    assert!(compacted_to.lock().unwrap().is_none(), "it waits for its budget");
    assert_eq!(solo.answer(|log, answer| log.truncate_to(5, answer)).unwrap(), 5);
    assert_eq!(names(&storage, ".cleaned"), [] as [&str; 0]);
    assert_eq!(entries(&solo.log).unwrap().len(), 5);
    assert_eq!(compacted_to.lock().unwrap().take().unwrap().unwrap(), 0, "nothing is sealed any more");
    fill(&solo, 40);
    solo.close();
    let solo = Solo::open(&storage, compacted(Durability::Fsync)).unwrap();
    let cleaned = compact(&solo).unwrap();
    assert_eq!(map_of(&entries(&solo.log).unwrap()).len(), 7);
    // Cutting into what was compacted takes it back.
    let end = solo.answer(|log, answer| log.truncate_to(cleaned - 1, answer)).unwrap();
    assert!(end < cleaned);
    assert_eq!(cleaner_checkpoint(&storage), format!("0\n1\norders 0 {end}\n"));
}

#[test]
fn other_work_goes_on_between_two_segments() {
    let config = LogConfig { compaction_bytes_per_second: Some(1), ..compacted(Durability::Fsync) };
    let (_storage, solo) = open(config);
    for n in 0..60 {
        put(&solo, &[pair(&format!("key {n}"), &"v".repeat(60))]);
    }
    solo.log.request_flush().unwrap();
    let end = solo.log.end_offset();
    let compacted_to = Arc::new(Mutex::new(None));
    let told = compacted_to.clone();
    solo.log.compact(Box::new(move |result| *told.lock().unwrap() = Some(result)));
    let deleted = Arc::new(Mutex::new(None));
    let mut rounds = 0;
    while compacted_to.lock().unwrap().is_none() {
        solo.runner.advance(Duration::from_secs(10_000));
        solo.drain();
        rounds += 1;
        if rounds == 2 {
            let told = deleted.clone();
            solo.log.delete_before(3, Box::new(move |result| *told.lock().unwrap() = Some(result)));
        }
        if deleted.lock().unwrap().is_some() && compacted_to.lock().unwrap().is_none() {
            assert_eq!(solo.log.start_offset(), 3, "it did not wait for the end of the compaction");
        }
    }
    assert_eq!(deleted.lock().unwrap().take().unwrap().unwrap(), 3);
    let offsets: Vec<i64> = entries(&solo.log).unwrap().iter().map(|entry| entry.offset).collect();
    assert_eq!(offsets, (3..end).collect::<Vec<_>>(), "no key was written twice");
}

#[test]
fn closing_ends_it_and_leaves_nothing_behind() {
    let config = LogConfig { compaction_bytes_per_second: Some(1), ..compacted(Durability::Fsync) };
    let (storage, solo) = open(config);
    let written = fill(&solo, 60);
    let answer = Arc::new(Mutex::new(None));
    let told = answer.clone();
    solo.log.compact(Box::new(move |result| *told.lock().unwrap() = Some(result)));
    while names(&storage, ".cleaned").is_empty() {
        solo.drain();
        solo.runner.advance(Duration::from_secs(100));
    }
    solo.close();
    let code = answer.lock().unwrap().take().unwrap().unwrap_err().code();
    assert_eq!(code, "VARVE_LOG_CLOSED");
    assert_eq!(names(&storage, ".cleaned"), [] as [&str; 0]);
    let solo = Solo::open(&storage, compacted(Durability::Fsync)).unwrap();
    assert_eq!(map_of(&entries(&solo.log).unwrap()), map_of(&written));
}

#[test]
fn a_full_disk_ends_it_and_nothing_else() {
    let (storage, solo) = open(compacted(Durability::Os));
    let written = fill(&solo, 60);
    let used: usize =
        names(&storage, "").iter().map(|name| storage.contents(&file(name)).unwrap().len()).sum();
    storage.set_capacity(Some(used as u64 + 100));
    let error = compact(&solo).unwrap_err();
    assert_eq!((error.code(), error.os_error()), ("VARVE_IO", Some(28)));
    assert_eq!(solo.log.compaction_failure().map(|error| error.code()), Some("VARVE_IO"));
    assert_eq!(names(&storage, ".cleaned"), [] as [&str; 0]);
    storage.set_capacity(None);
    put(&solo, &[pair("key 0", "still writable")]);
    assert_eq!(entries(&solo.log).unwrap()[..60], written);
    compact(&solo).unwrap();
    assert!(solo.log.compaction_failure().is_none());
}

#[test]
fn a_bad_batch_makes_the_log_read_only() {
    let (storage, solo) = open(compacted(Durability::Fsync));
    fill(&solo, 60);
    let second = names(&storage, ".log")[1][..20].parse().unwrap();
    let path = segment_file(second, "log");
    simulation::edit(&storage, &path, |bytes| bytes[70] ^= 1);
    let error = compact(&solo).unwrap_err();
    assert!(matches!(&error, LogError::Corrupt { file, position: 0, .. } if *file == path), "{error}");
    assert_eq!(solo.append(batch_of(&[pair("a", "b")])).unwrap_err().code(), "VARVE_LOG_CORRUPT");
}

#[test]
fn every_record_needs_a_key() {
    let (_storage, solo) = open(compacted(Durability::Fsync));
    let error = solo.append(simulation::batch_of(0, &[b"no key"])).unwrap_err();
    assert_eq!(error.code(), "VARVE_BATCH_INVALID");
    assert!(error.to_string().contains("has no key"), "{error}");
}

#[test]
fn what_kafka_left_unfinished_is_finished_or_removed_as_kafka_would() {
    let (storage, solo) = open(compacted(Durability::Fsync));
    let written = fill(&solo, 60);
    solo.close();
    let copy = |from: &str, to: &str| {
        let bytes = storage.contents(&file(from)).unwrap();
        let copied = storage.open(&file(to), OpenMode::Create).unwrap();
        copied.write_at(&[&bytes], 0).unwrap();
        copied.sync_data().unwrap();
    };
    let segments = names(&storage, ".log");
    let (first, second) = (segments[0].clone(), segments[1].clone());
    // Not finished: nothing of it counts, neither does what was already renamed behind it.
    copy(&first, &format!("{first}.cleaned"));
    copy(&second, &format!("{second}.swap"));
    let solo = Solo::open(&storage, compacted(Durability::Fsync)).unwrap();
    assert_eq!(names(&storage, ".cleaned").len() + names(&storage, ".swap").len(), 0);
    assert_eq!(entries(&solo.log).unwrap(), written);
    solo.close();
    // Finished: it takes the place of the segment, which is there no more.
    copy(&second, &format!("{second}.swap"));
    storage.remove(&file(&second)).unwrap();
    let solo = Solo::open(&storage, compacted(Durability::Fsync)).unwrap();
    assert_eq!(names(&storage, ".swap"), [] as [&str; 0]);
    assert_eq!(entries(&solo.log).unwrap(), written);
}

/// A recovery removed them, but the fsync that makes that durable failed, and the power went.
#[test]
fn segments_that_were_replaced_and_whose_names_come_back_are_removed() {
    let config = compacted(Durability::Fsync);
    let (storage, solo) = open(config);
    fill(&solo, 60);
    let segments = names(&storage, ".log");
    let before: Vec<_> = segments.iter().map(|name| storage.contents(&file(name)).unwrap()).collect();
    compact(&solo).unwrap();
    compact(&solo).unwrap();
    let (merged, found) = (names(&storage, ".log"), entries(&solo.log).unwrap());
    drop(solo);
    let replaced: Vec<_> = segments.iter().zip(before).filter(|(name, _)| !merged.contains(name)).collect();
    assert!(replaced.len() > 3);
    // All of them, or one from the middle, of which nothing may be left.
    for back in [&replaced[..], &replaced[2..3]] {
        let storage = storage.process_crash();
        for (name, bytes) in back {
            edit(&storage, &file(name), |file| file.clone_from(bytes));
        }
        let solo = Solo::open(&storage, config).unwrap();
        assert_eq!(names(&storage, ".log"), merged);
        assert_eq!(entries(&solo.log).unwrap(), found);
    }
}

/// One random life after another over a map, its log compacted whenever the seed says so.
fn run_against_a_map(seed: u64) {
    let mut rng = SimRng::new(seed);
    let storage = SimStorage::new(seed);
    let config = LogConfig {
        segment_bytes: 400 + 200 * rng.below(6),
        index_interval_bytes: 50 + 100 * rng.below(4),
        compaction_bytes_per_second: rng.chance(1, 2).then_some(5000),
        compaction_check_ms: rng.chance(1, 2).then_some(3000),
        cleanup_policy: CleanupPolicy::Compact,
        ..compacted(*rng.pick(&[Durability::Os, Durability::Fsync]))
    };
    let mut solo = Solo::open(&storage, config).unwrap();
    let mut written: Vec<Entry> = Vec::new();
    for step in 0..120 {
        let context = format!("seed {seed}, step {step}");
        match rng.below(10) {
            0..=4 => {
                let pairs: Vec<Pair> = (0..1 + rng.below(4))
                    .map(|n| {
                        let key = format!("key {}", rng.below(6));
                        let value = format!("{step}.{n}{}", "v".repeat(rng.below(60) as usize));
                        (key, rng.chance(4, 5).then_some(value))
                    })
                    .collect();
                let base_offset = put(&solo, &pairs);
                assert_eq!(base_offset, written.len() as i64, "{context}");
                let next = |(n, (key, value))| Entry { offset: base_offset + n, key, value };
                written.extend((0..).zip(pairs).map(next));
            }
            5 => solo.log.compact(Box::new(|_| {})),
            6 => solo.runner.advance(Duration::from_secs(rng.below(8))),
            7 => drop(solo.log.request_flush()),
            8 if rng.chance(1, 4) => {
                solo.close();
                solo = Solo::open(&storage, config).unwrap();
            }
            _ => {
                for _ in 0..rng.below(20) {
                    solo.runner.step(&mut rng);
                }
            }
        }
        if config.durability == Durability::Os {
            let found = entries(&solo.log).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(map_of(&found), map_of(&written), "{context}");
            assert!(found.iter().all(|entry| written[entry.offset as usize] == *entry), "{context}");
        }
        assert_eq!((solo.log.start_offset(), solo.log.end_offset()), (0, written.len() as i64), "{context}");
    }
    solo.close();
    let solo = Solo::open(&storage, LogConfig { compaction_bytes_per_second: None, ..config }).unwrap();
    compact(&solo).map_or_else(|error| panic!("seed {seed}: {error}"), drop);
    assert_eq!(map_of(&entries(&solo.log).unwrap()), map_of(&written), "seed {seed}");
}

#[test]
fn any_order_of_operations_leaves_the_map_that_was_written() {
    for seed in 0..200 {
        run_against_a_map(seed);
    }
    assert_eq!(LOGS[0], "orders-0", "the checkpoints above name it");
}

/// Kafka's own tool says of this segment: offsets 18 to 23, a deletion at 23, a delete horizon. What is compacted stays as
/// it is until the horizon has passed.
#[test]
fn what_kafkas_cleaner_left_is_left_alone_until_its_horizon() {
    const HORIZON_MS: i64 = 1_795_538_614_243;
    let storage = kafka::storage_with("fx-compacted-0", None);
    let by_kafka = storage.contents(&segment_file(0, "log")).unwrap();
    let solo = Solo::open(&storage, compacted(Durability::Fsync)).unwrap();
    let found = entries(&solo.log).unwrap();
    assert_eq!(found.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [18, 19, 20, 21, 22, 23, 24]);
    assert_eq!(compact(&solo).unwrap(), 24);
    assert_eq!(storage.contents(&segment_file(0, "log")).unwrap(), by_kafka);
    solo.runner.advance(Duration::from_millis((HORIZON_MS - simulation::EPOCH_MS) as u64));
    compact(&solo).unwrap();
    let left = entries(&solo.log).unwrap();
    assert_eq!(left, found.iter().filter(|entry| entry.offset != 23).cloned().collect::<Vec<_>>());
}
