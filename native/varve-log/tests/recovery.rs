//! The failure this guards against: after an unclean stop the engine trusts what it should not, or throws away what it
//! should have kept, and says nothing of it.

mod simulation;

use simulation::{
    DATA, LOGS, Solo, batch_of, config, edit, file, identity, names, open_directory, segment_file,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use varve_log::sim::{SimStorage, Survival};
use varve_log::storage::{OpenMode, Storage};
use varve_log::{
    Access, CleanupPolicy, DataDir, Durability, Log, LogConfig, LogError, Phase, Recovered, SliceRequest,
};
use varve_records::{BatchHeader, HEADER_BYTES, assign_offset, seal};

const MARKER: &str = "/srv/data/.kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "/srv/data/recovery-point-offset-checkpoint";

fn fsync() -> LogConfig {
    config(Durability::Fsync)
}

/// One batch to a segment: every second append of this many bytes rolls.
fn wide(number: u32) -> String {
    format!("{number:0>600}")
}

/// A log of these values, each a batch, whose process has crashed with everything flushed and no recovery point.
fn crashed_with(values: &[&str]) -> SimStorage {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, fsync()).unwrap();
    solo.append_all(values);
    storage.process_crash()
}

/// The same, closed.
fn closed_with(values: &[&str]) -> SimStorage {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, fsync()).unwrap();
    solo.append_all(values);
    solo.close();
    storage.process_crash()
}

fn set_recovery_point(storage: &SimStorage, offset: i64) {
    let text = format!("0\n1\norders 0 {offset}\n");
    edit(storage, Path::new(RECOVERY_POINTS), |bytes| *bytes = text.into_bytes());
}

fn batch_bytes(value: &str) -> u64 {
    batch_of(0, &[value.as_bytes()]).len() as u64
}

fn slice_at(log: &Log, from: i64) -> Result<Vec<u8>, LogError> {
    let request = SliceRequest { from, up_to: i64::MAX, max_bytes: 1, min_one_batch: true };
    let slice = log.slice(request, Access::Blocking)?;
    let mut bytes = vec![0; slice.bytes as usize];
    slice.read(&mut bytes, 0, Access::Blocking)?;
    Ok(bytes)
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let storage = crashed_with(&["one", "two", "three"]);
    edit(&storage, &segment_file(0, "log"), |bytes| bytes.truncate(bytes.len() - 5));
    let solo = Solo::open(&storage, fsync()).unwrap();
    let cut_bytes = batch_bytes("three") - 5;
    assert_eq!(solo.log.recovered, Some(Recovered { end_offset: 2, cut_bytes }));
    assert_eq!(solo.values(), ["one", "two"]);
    assert_eq!(names(&storage, ".cut"), [""; 0], "half a batch is nothing to keep");
    assert_eq!(solo.append(batch_of(0, &[b"four"])).unwrap(), 2);
    solo.drain();
    assert_eq!(solo.values(), ["one", "two", "four"]);
}

#[test]
fn what_still_parses_behind_a_bad_batch_is_kept_aside() {
    let storage = crashed_with(&["one", "two", "three"]);
    let at = batch_bytes("one") as usize + HEADER_BYTES + 8;
    for attempt in ["00000000000000000001.cut", "00000000000000000001.1.cut"] {
        edit(&storage, &segment_file(0, "log"), |bytes| bytes[at] ^= 1);
        let whole = storage.contents(&segment_file(0, "log")).unwrap();
        let solo = Solo::open(&storage, fsync()).unwrap();
        let cut_bytes = batch_bytes("two") + batch_bytes("three");
        assert_eq!(solo.log.recovered, Some(Recovered { end_offset: 1, cut_bytes }));
        assert_eq!(solo.values(), ["one"]);
        assert_eq!(storage.contents(&file(attempt)).unwrap(), whole[batch_bytes("one") as usize..]);
        // So that the next round cuts at the same offset; an earlier cut must stay.
        solo.append_all(&["two", "three"]);
        drop(solo);
        set_recovery_point(&storage, 0);
    }
    assert_eq!(names(&storage, ".cut").len(), 2);
}

#[test]
fn a_tail_of_zeros_is_the_end() {
    let storage = crashed_with(&["one"]);
    edit(&storage, &segment_file(0, "log"), |bytes| bytes.resize(5000, 0));
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert_eq!(solo.log.recovered, Some(Recovered { end_offset: 1, cut_bytes: 0 }), "nothing is lost");
    assert_eq!(names(&storage, ".cut"), [""; 0]);
    assert_eq!(storage.contents(&segment_file(0, "log")).unwrap().len() as u64, batch_bytes("one"));
}

#[test]
fn a_bad_batch_below_the_recovery_point_makes_the_log_read_only_and_cuts_nothing() {
    let storage = crashed_with(&["one", "two", "three"]);
    set_recovery_point(&storage, 3);
    let bad_at = batch_bytes("one");
    edit(&storage, &segment_file(0, "log"), |bytes| bytes[bad_at as usize + HEADER_BYTES + 8] ^= 1);
    let before = storage.contents(&segment_file(0, "log"));
    let solo = Solo::open(&storage, fsync()).unwrap();

    let Phase::Failed(error) = solo.log.phase() else { panic!("{:?}", solo.log.phase()) };
    let LogError::Corrupt { file, position, offset, .. } = &error else { panic!("{error}") };
    assert_eq!((file, *position, *offset), (&segment_file(0, "log"), bad_at, 1));
    let told = error.to_string();
    assert!(
        told.contains("00000000000000000000.log is corrupt at byte") && told.contains("read-only"),
        "{told}"
    );
    assert_eq!(solo.append(batch_of(0, &[b"four"])).unwrap_err().code(), "VARVE_LOG_CORRUPT");

    assert_eq!(solo.log.end_offset(), 3);
    for (offset, good) in [(0, true), (1, false), (2, true)] {
        let batch = slice_at(&solo.log, offset).unwrap();
        let header = BatchHeader::parse(&batch).unwrap();
        assert_eq!((header.base_offset, header.crc_matches(&batch)), (offset, good));
    }
    solo.log.close().unwrap();
    assert_eq!(storage.contents(&segment_file(0, "log")), before);
    assert_eq!(names(&storage, ".cut"), [""; 0]);
    solo.directory.close().unwrap();
    assert!(!storage.exists(Path::new(MARKER)).unwrap(), "a corrupt log is looked at again");
}

/// Acknowledged records past the recovery point are shown although something below it is bad; so they must last.
#[test]
fn what_a_corrupt_log_shows_lasts() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, fsync()).unwrap();
    solo.append_all(&["one", "two"]);
    set_recovery_point(&storage, 2);
    // Written, and in no way durable: its fsync failed, and the page cache calls it clean.
    storage.fail_at(storage.operation_count() + 2, 5);
    solo.append(batch_of(0, &[b"three"])).unwrap();
    solo.drain();
    let path = segment_file(0, "log");
    let at = batch_bytes("one") + HEADER_BYTES as u64 + 8;
    let handle = storage.open(&path, OpenMode::ReadWrite).unwrap();
    handle.write_at(&[&[0xff]], at).unwrap();
    let storage = storage.process_crash();
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert!(matches!(solo.log.phase(), Phase::Failed(LogError::Corrupt { .. })), "{:?}", solo.log.phase());
    assert_eq!((solo.log.durable_offset(), slice_at(&solo.log, 2).is_ok()), (3, true));
    let storage = storage.power_loss(Survival::Nothing, 1);
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert_eq!(solo.log.durable_offset(), 3, "a reader has seen it");
}

#[test]
fn a_missing_segment_past_the_recovery_point_ends_the_log_there() {
    let values: Vec<String> = (0..4).map(wide).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let storage = crashed_with(&values);
    set_recovery_point(&storage, 0);
    let bytes = |base| storage.contents(&segment_file(base, "log")).unwrap();
    let (missing, later) = (segment_file(1, "log"), [bytes(2), bytes(3)]);
    storage.remove(&missing).unwrap();
    let solo = Solo::open(&storage, fsync()).unwrap();
    let cut_bytes = later.iter().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(solo.log.recovered, Some(Recovered { end_offset: 1, cut_bytes }));
    assert_eq!(names(&storage, ".log"), ["00000000000000000000.log"]);
    for (base, bytes) in [2, 3].into_iter().zip(later) {
        assert_eq!(storage.contents(&segment_file(base, "cut")), Some(bytes), "kept aside");
    }
    assert_eq!(names(&storage, "index"), ["00000000000000000000.index", "00000000000000000000.timeindex"]);
}

#[test]
fn a_missing_last_segment_below_the_recovery_point_is_corruption() {
    let values: Vec<String> = (0..3).map(wide).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    for storage in [crashed_with(&values), closed_with(&values)] {
        set_recovery_point(&storage, 3);
        storage.remove(&segment_file(2, "log")).unwrap();
        let solo = Solo::open(&storage, fsync()).unwrap();
        let Phase::Failed(error) = solo.log.phase() else { panic!("{:?}", solo.log.phase()) };
        assert!(error.to_string().contains("offsets up to 3 were durable"), "{error}");
        assert_eq!((solo.values().len(), solo.log.durable_offset()), (2, 2), "the rest is readable");
    }
}

#[test]
fn a_directory_without_the_segments_it_had_is_refused() {
    let storage = closed_with(&["one"]);
    storage.remove(&segment_file(0, "log")).unwrap();
    let Err(error) = Solo::open(&storage, fsync()) else { panic!("it opened") };
    assert_eq!(error.code(), "VARVE_LOG_CORRUPT");
    assert!(error.to_string().contains("holds no segment"), "{error}");
}

#[test]
fn indexes_that_are_missing_cut_or_garbage_are_rebuilt() {
    let values: Vec<String> = (0..9).map(|n| format!("{n:0>200}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let garbage: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(5),
        |bytes| bytes.fill(0),
        |bytes| bytes.fill(0xff),
        // Ascends, as an index does, and points between batches.
        |bytes| *bytes = [1u32, 7, 2, 300].map(u32::to_be_bytes).concat(),
    ];
    for (closed, kind) in [(true, ".index"), (true, ".timeindex"), (false, ".index"), (false, ".timeindex")] {
        for (n, spoil) in garbage.into_iter().enumerate() {
            let storage = if closed { closed_with(&values) } else { crashed_with(&values) };
            let sealed = segment_file(0, "index");
            assert!(!storage.contents(&sealed).unwrap().is_empty());
            for name in names(&storage, kind) {
                edit(&storage, &file(&name), spoil);
            }
            let marker = storage.contents(Path::new(MARKER));
            let solo = Solo::open(&storage, fsync()).unwrap();
            assert_eq!(solo.values(), values, "garbage {n}, closed {closed}");
            if let Some(marker) = marker {
                edit(&storage, Path::new(MARKER), |bytes| *bytes = marker);
            }
            drop(solo);
            let solo = Solo::open(&storage.process_crash(), fsync()).unwrap();
            // Backwards, so that no read can go on where another one ended.
            for offset in (0..9).rev() {
                let batch = slice_at(&solo.log, offset).unwrap();
                assert_eq!(BatchHeader::parse(&batch).unwrap().base_offset, offset, "garbage {n}");
            }
            assert!(matches!(solo.log.phase(), Phase::Open), "{:?}", solo.log.phase());
        }
    }
}

#[test]
fn an_index_without_a_segment_is_removed() {
    let storage = closed_with(&["one"]);
    for extension in ["index", "timeindex"] {
        edit(&storage, &segment_file(77, extension), |bytes| bytes.push(1));
    }
    Solo::open(&storage, fsync()).unwrap();
    assert_eq!(names(&storage, "index"), ["00000000000000000000.index", "00000000000000000000.timeindex"]);
}

#[test]
fn a_clean_reopening_reads_no_sealed_data() {
    let values: Vec<String> = (0..3).map(wide).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let storage = closed_with(&values);
    let sealed = segment_file(0, "log");
    edit(&storage, &sealed, |bytes| bytes[..HEADER_BYTES].fill(0));
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert!(matches!(solo.log.phase(), Phase::Open));
    assert_eq!((solo.log.recovered, solo.log.end_offset()), (None, 3));
    // What decodes it finds out, and the log is read-only from then on; what lies elsewhere can still be read.
    let error = slice_at(&solo.log, 0).unwrap_err();
    assert!(
        matches!(&error, LogError::Corrupt { file, position: 0, offset: 0, .. } if *file == sealed),
        "{error}"
    );
    assert_eq!(slice_at(&solo.log, 1).unwrap().len() as u64, batch_bytes(values[1]));
    assert_eq!(solo.append(batch_of(0, &[b"x"])).unwrap_err().code(), "VARVE_LOG_CORRUPT");
}

/// The removal of a marker whose fsync failed may be taken back by a power loss, after records were acknowledged.
#[test]
fn a_clean_marker_that_came_back_is_not_believed() {
    let storage = closed_with(&["one"]);
    let marker = storage.contents(Path::new(MARKER)).unwrap();
    let solo = Solo::open(&storage, fsync()).unwrap();
    solo.append_all(&["two"]);
    let storage = storage.power_loss(Survival::Nothing, 1);
    // A batch whose header reached the disk and whose record did not.
    let mut torn = batch_of(0, &[b"three"]);
    assign_offset(&mut torn, 2);
    torn[HEADER_BYTES..].fill(0);
    edit(&storage, &segment_file(0, "log"), |bytes| bytes.extend(&torn));
    edit(&storage, Path::new(MARKER), |bytes| *bytes = marker);
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert!(solo.directory.clean_shutdown, "it says so");
    assert!(matches!(solo.log.phase(), Phase::Open), "{:?}", solo.log.phase());
    assert_eq!(solo.log.recovered, Some(Recovered { end_offset: 2, cut_bytes: torn.len() as u64 }));
    assert_eq!(solo.values(), ["one", "two"]);
}

/// A recovery cut a segment, but the fsync that makes its removal durable failed. The next one is none the wiser.
#[test]
fn a_cut_segment_whose_name_comes_back_is_still_cut() {
    let values: Vec<String> = (0..2).map(wide).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let storage = crashed_with(&values);
    set_recovery_point(&storage, 0);
    // So that the log ends before its second segment.
    storage.open(&segment_file(0, "log"), OpenMode::ReadWrite).unwrap().write_at(&[&[9]], 30).unwrap();
    // The fork counts from one.
    let rehearsal = storage.fork();
    Solo::open(&rehearsal, fsync()).unwrap();
    let operations: Vec<String> =
        rehearsal.operations().iter().map(|operation| operation.to_string()).collect();
    let removal = operations.iter().position(|operation| operation.contains("remove")).unwrap();
    let synced =
        operations[removal..].iter().position(|operation| operation.contains("sync directory")).unwrap();
    storage.fail_at(storage.operation_count() + (removal + synced + 1) as u64, 5);
    assert!(Solo::open(&storage, fsync()).is_err());
    let storage = storage.process_crash();
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert_eq!(solo.log.end_offset(), 0);
    solo.append_all(&["new 0", "new 1", "new 2"]);
    solo.close();
    let storage = storage.power_loss(Survival::Nothing, 1);
    assert_eq!(names(&storage, ".log").len(), 2, "the name is back");
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert_eq!(solo.values(), ["new 0", "new 1", "new 2"]);
}

/// As one does that a compaction has left in the place of several. The segments behind it were removed, and a log that had
/// been found damaged had another end when it was opened again.
#[test]
fn a_segment_whose_header_claims_offsets_of_the_next_ones_takes_none_away() {
    let config = LogConfig { cleanup_policy: CleanupPolicy::Compact, ..fsync() };
    let (base_offset, last_offset_delta) = (7, 26);
    // Behind the recovery point it would be a log that ends here, in the first case of a batch that its checksum vouches for.
    let damage =
        [(base_offset, 1, 8), (base_offset, 0x80, 8), (last_offset_delta, 2, 8), (last_offset_delta, 2, 1)];
    for (at, bits, recovery_point) in damage {
        for closed in [false, true] {
            let storage = SimStorage::new(1);
            let solo = Solo::open(&storage, fsync()).unwrap();
            let value = wide(0);
            for _ in 0..4 {
                solo.append(batch_of(0, &[value.as_bytes(); 2])).unwrap();
            }
            solo.log.request_flush().unwrap();
            solo.drain();
            if closed {
                solo.close();
            }
            let storage = storage.process_crash();
            set_recovery_point(&storage, recovery_point);
            edit(&storage, &segment_file(0, "log"), |bytes| bytes[at] ^= bits);
            let files = || names(&storage, ".log").into_iter().map(|name| storage.contents(&file(&name)));
            let found: Vec<_> = files().collect();
            for opening in 1..=2 {
                let context = format!("{bits} at {at}, {recovery_point}, closed {closed}, opening {opening}");
                let solo = Solo::open(&storage, config).unwrap();
                assert_eq!((solo.log.start_offset(), solo.log.end_offset()), (0, 8), "{context}");
                assert_eq!(found.len(), 4);
                assert!(files().eq(found.iter().cloned()), "{context}");
                for offset in [2, 4, 6] {
                    let batch = slice_at(&solo.log, offset).unwrap();
                    assert_eq!(BatchHeader::parse(&batch).unwrap().base_offset, offset, "{context}");
                }
                solo.close();
            }
        }
    }
}

/// A recovery cut the tail, but the fsync of the shorter file failed. What is appended in its place may have the size of
/// what stood there, so that batches which were cut would follow it again.
#[test]
fn a_cut_tail_whose_fsync_failed_is_cut_again() {
    let storage = crashed_with(&["zero", "one!", "two!"]);
    let at = batch_bytes("zero") as usize + HEADER_BYTES + 8;
    edit(&storage, &segment_file(0, "log"), |bytes| bytes[at] ^= 1);
    let rehearsal = storage.fork();
    Solo::open(&rehearsal, fsync()).unwrap();
    let operations: Vec<String> =
        rehearsal.operations().iter().map(|operation| operation.to_string()).collect();
    let log = segment_file(0, "log").display().to_string();
    let synced = operations.iter().position(|operation| operation.ends_with(&format!("sync {log}"))).unwrap();
    storage.fail_at(storage.operation_count() + synced as u64 + 1, 5);
    assert!(Solo::open(&storage, fsync()).is_err());
    let storage = storage.process_crash();
    let solo = Solo::open(&storage, fsync()).unwrap();
    solo.append_all(&["new!"]);
    let storage = storage.power_loss(Survival::Nothing, 1);
    assert_eq!(Solo::open(&storage, fsync()).unwrap().values(), ["zero", "new!"]);
}

#[test]
fn a_log_that_was_deleted_leaves_no_recovery_point_to_its_successor() {
    let storage = closed_with(&["one", "two", "three"]);
    for name in names(&storage, "") {
        storage.remove(&file(&name)).unwrap();
    }
    storage.remove(&Path::new(DATA).join(LOGS[0])).unwrap();
    storage.sync_dir(Path::new(DATA)).unwrap();
    let solo = Solo::open(&storage, fsync()).unwrap();
    solo.append_all(&["new"]);
    let solo = Solo::open(&storage.process_crash(), fsync()).unwrap();
    assert!(matches!(solo.log.phase(), Phase::Open), "{:?}", solo.log.phase());
    assert_eq!(solo.values(), ["new"]);
}

#[test]
fn two_logs_of_similar_names_keep_their_own_recovery_points() {
    let storage = SimStorage::new(1);
    let open = |storage: &SimStorage, name: &str| {
        let directory = open_directory(storage).unwrap();
        let runner = Arc::new(simulation::SimRunner::default());
        let log = Log::open(directory.clone(), name, fsync(), runner.clone(), Box::new(|_| {})).unwrap();
        Solo { directory, log, runner }
    };
    let short = open(&storage, "orders");
    short.append_all(&["one"]);
    short.close();
    let long = open(&storage, "orders-0");
    long.append_all(&["one", "two"]);
    long.close();
    let storage = storage.process_crash();
    storage.remove(Path::new(MARKER)).unwrap();
    let short = open(&storage, "orders");
    assert!(matches!(short.log.phase(), Phase::Open), "{:?}", short.log.phase());
}

#[test]
fn extreme_offsets_in_a_header_end_the_log_and_nothing_else() {
    for base_offset in [-1, i64::MIN, i64::MAX, i64::MAX - 1, i64::from(i32::MAX) + 1, 1 << 40] {
        let storage = crashed_with(&["one", "two"]);
        let at = batch_bytes("one") as usize;
        edit(&storage, &segment_file(0, "log"), |bytes| {
            bytes[at..at + 8].copy_from_slice(&base_offset.to_be_bytes());
        });
        let solo = Solo::open(&storage, fsync()).unwrap();
        assert_eq!(solo.values(), ["one"], "base offset {base_offset}");
        assert_eq!(solo.append(batch_of(0, &[b"x"])).unwrap(), 1);
    }
}

#[test]
fn extreme_lengths_in_a_header_end_the_log_and_claim_no_memory() {
    for length in [-1, i32::MIN, 0, 48, i32::MAX] {
        let storage = crashed_with(&["one", "two"]);
        let at = batch_bytes("one") as usize + 8;
        edit(&storage, &segment_file(0, "log"), |bytes| {
            bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
        });
        let solo = Solo::open(&storage, fsync()).unwrap();
        assert_eq!(solo.values(), ["one"], "batch length {length}");
    }
}

#[test]
fn a_segment_at_the_end_of_all_offsets_takes_no_more() {
    let storage = closed_with(&[]);
    let last = i64::MAX - 3;
    storage.rename(&segment_file(0, "log"), &segment_file(last, "log")).unwrap();
    set_recovery_point(&storage, last);
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert_eq!(solo.append(batch_of(0, &[b"one", b"two"])).unwrap(), last);
    let error = solo.append(batch_of(0, &[b"three", b"four"])).unwrap_err();
    assert_eq!(error.code(), "VARVE_BATCH_INVALID");
    solo.drain();
    assert_eq!(solo.log.durable_offset(), last + 2);
}

#[test]
fn other_names_are_left_alone() {
    let storage = closed_with(&["one"]);
    let others =
        ["-0000000000000000001.log", "0.log", "+0000000000000000001.log", "99999999999999999999.log"];
    for name in others {
        edit(&storage, &file(name), |bytes| bytes.push(1));
    }
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert_eq!((solo.log.start_offset(), solo.values().len()), (0, 1));
    assert_eq!(names(&storage, ".log").len(), 1 + others.len());
}

#[test]
fn a_directory_in_a_segments_place_is_an_error_that_names_it() {
    let storage = closed_with(&["one"]);
    storage.create_dir(&segment_file(5, "log")).unwrap();
    let Err(error) = Solo::open(&storage, fsync()) else { panic!("it opened") };
    assert!(error.to_string().contains("00000000000000000005.log"), "{error}");
}

/// Looking for batches in a tail of many headers that each claim the rest of it would take hours on a large file.
#[test]
fn a_tail_full_of_likely_headers_is_kept_aside_without_reading_it_for_ever() {
    let storage = crashed_with(&["one"]);
    let mut fake = batch_of(0, &[b"one"])[..HEADER_BYTES].to_vec();
    fake[..8].copy_from_slice(&1i64.to_be_bytes());
    let copies = 20_000;
    edit(&storage, &segment_file(0, "log"), |bytes| {
        for left in (1..=copies).rev() {
            fake[8..12].copy_from_slice(&((left * HEADER_BYTES - 12) as i32).to_be_bytes());
            bytes.extend(&fake);
        }
    });
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert_eq!(solo.values(), ["one"]);
    assert_eq!(names(&storage, ".cut").len(), 1);
}

#[test]
fn a_sealed_lie_about_offsets_in_the_middle_is_found_by_their_order() {
    let storage = crashed_with(&["one", "two", "three"]);
    let at = (batch_bytes("one") + batch_bytes("two")) as usize;
    edit(&storage, &segment_file(0, "log"), |bytes| {
        bytes[at..at + 8].copy_from_slice(&0i64.to_be_bytes());
        seal(&mut bytes[at..]);
    });
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert_eq!(solo.values(), ["one", "two"]);
}

#[test]
fn a_lost_checkpoint_file_costs_a_scan_and_nothing_else() {
    let storage = closed_with(&["one", "two"]);
    edit(&storage, Path::new(RECOVERY_POINTS), |bytes| bytes.truncate(3));
    let storage_in_use: Arc<dyn Storage> = Arc::new(storage.clone());
    drop(DataDir::open(storage_in_use, Path::new(DATA), &identity()).unwrap());
    let solo = Solo::open(&storage, fsync()).unwrap();
    assert_eq!(solo.log.recovered, Some(Recovered { end_offset: 2, cut_bytes: 0 }));
    assert_eq!(solo.values(), ["one", "two"]);
}

#[test]
fn a_segment_that_has_grown_since_its_indexes_were_written_is_as_young_as_its_last_batch() {
    let storage = SimStorage::new(1);
    let solo = Solo::open(&storage, fsync()).unwrap();
    solo.append(batch_of(1000, &[b"old"])).unwrap();
    solo.close();
    let solo = Solo::open(&storage, fsync()).unwrap();
    solo.append(batch_of(2000, &[b"young"])).unwrap();
    // So that it is checkpointed where it ends, which is where it will be rolled.
    solo.runner.advance(Duration::from_secs(61));
    solo.drain();
    let mut next = batch_of(3000, &[&[b'n'; 880]]);
    while solo.log.append(&mut [&mut next]).taken == 0 {
        // The next segment is prepared; the flush of the one that is sealed does not get its turn.
        let (jobs, _) = solo.runner.waiting();
        solo.runner.execute_nth(jobs - 1);
        solo.runner.publish();
    }
    let storage = storage.process_crash();
    drop(solo);
    // The second time it is sealed and durable, and nobody looks at its batches any more.
    for _ in 0..2 {
        let solo = Solo::open(&storage, fsync()).unwrap();
        assert_eq!(solo.log.batch_for_time(1500, 0).unwrap(), Some(1));
        solo.close();
    }
}
