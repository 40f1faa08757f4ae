//! A directory with anything in it, as a crash, another program or a failing disk may leave one: opening it does not
//! panic, what it gives to read is whole, and a log that opens can be appended to, truncated, deleted from, compacted,
//! closed and opened again.
#![no_main]

use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use varve_log::runner::{Job, Runner};
use varve_log::sim::SimStorage;
use varve_log::storage::{OpenMode, Storage};
use varve_log::{
    Access, Answer, CleanupPolicy, DataDir, Identity, Log, LogConfig, LogError, Phase, SliceRequest,
};
use varve_records::{BatchBuilder, BatchHeader};

const DATA: &str = "/data";
const LOG: &str = "orders-0";
/// Where segments of the image begin.
const BASES: [i64; 4] = [0, 5, 24, i64::MAX - 3];
const EXTENSIONS: [&str; 8] =
    ["log", "index", "timeindex", "txnindex", "snapshot", "log.renew", "cut", "log.swap"];

#[derive(Default)]
struct Jobs(Mutex<Vec<Job>>);

impl Runner for Jobs {
    fn submit(&self, job: Job) {
        self.0.lock().expect("one thread").push(job);
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wall_clock_ms(&self) -> i64 {
        1_700_000_000_000
    }

    /// No time passes.
    fn wake_after(&self, _: Duration, _: Weak<Log>) {}
}

impl Jobs {
    fn run(&self) {
        loop {
            let job = self.0.lock().expect("one thread").pop();
            let Some(job) = job else { return };
            job.execute().publish();
        }
    }
}

fuzz_target!(|image: &[u8]| {
    let Some((&[how, flags, point], rest)) = image.split_first_chunk() else { return };
    let (changes, files) = rest.split_at(usize::from(how & 7).min(rest.len()));
    let Some(storage) = storage_of(flags, point, files) else { return };
    let config = config(how);
    let Ok(left) = use_log(&storage, config, Some(changes)) else { return };
    let again = use_log(&storage, config, None).expect("it was closed in order");
    assert_eq!((left.start, left.end, left.bytes.len()), (again.start, again.end, again.bytes.len()));
    assert!(left.bytes == again.bytes, "a clean stop changes nothing");
});

/// What hash maps take their keys from. With others every time, the same seed of a run would not lead to the same inputs.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(bytes: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: it is called as libc's is, which it stands in for.
    unsafe { bytes.write_bytes(7, length) };
    length as isize
}

/// What is left to read of a log.
struct Left {
    start: i64,
    end: i64,
    bytes: Vec<u8>,
}

/// Three bits for how many changes there are; the rest how the log is cleaned, and whether its segments are small.
fn config(how: u8) -> LogConfig {
    LogConfig {
        cleanup_policy: match how >> 3 & 3 {
            0 => CleanupPolicy::Compact,
            1 => CleanupPolicy::CompactAndDelete,
            _ => CleanupPolicy::Delete,
        },
        segment_bytes: if how >> 5 & 1 == 0 { 200 } else { 1 << 20 },
        retention_bytes: (how >> 6 & 1 == 0).then_some(300),
        retention_ms: (how >> 7 & 1 == 0).then_some(1),
        delete_retention_ms: 0,
        ..LogConfig::default()
    }
}

/// Files: a byte for extension and base offset, two for the length, content.
fn storage_of(flags: u8, point: u8, mut rest: &[u8]) -> Option<SimStorage> {
    let storage = SimStorage::new(1);
    let dir = Path::new(DATA).join(LOG);
    storage.create_dir(&dir).ok()?;
    if flags & 1 != 0 {
        let text = format!("0\n1\norders 0 {point}\n");
        write(&storage, &Path::new(DATA).join("recovery-point-offset-checkpoint"), text.as_bytes());
    }
    if flags & 2 != 0 {
        write(&storage, &Path::new(DATA).join(".kafka_cleanshutdown"), b"{}");
    }
    while let Some((&[kind, high, low], content)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(content.len());
        let name = match kind & 31 {
            31 => "leader-epoch-checkpoint".to_string(),
            kind => format!("{:020}.{}", BASES[usize::from(kind >> 3)], EXTENSIONS[usize::from(kind & 7)]),
        };
        write(&storage, &dir.join(name), &content[..length]);
        rest = &content[length..];
    }
    Some(storage)
}

fn write(storage: &SimStorage, path: &Path, content: &[u8]) {
    let file = storage.open(path, OpenMode::Create).expect("the disk is simulated");
    file.write_at(&[content], 0).expect("the disk is simulated");
    file.sync_data().expect("the disk is simulated");
    storage.sync_dir(path.parent().expect("every file lies in one")).expect("the disk is simulated");
}

/// Opens the log, reads it, changes it if it takes that, and closes it.
fn use_log(storage: &SimStorage, config: LogConfig, changes: Option<&[u8]>) -> Result<Left, LogError> {
    let identity = Identity {
        new_cluster_id: "cluster".into(),
        new_directory_id: "directory".into(),
        ..Identity::default()
    };
    let directory = DataDir::open(Arc::new(storage.clone()), Path::new(DATA), &identity)?;
    let jobs = Arc::new(Jobs::default());
    let log = Log::open(directory.clone(), LOG, config, jobs.clone(), Box::new(|_| {}))?;
    read(&log)?;
    if let Some(changes) = changes {
        append(&log, &jobs);
        for &change in changes {
            self::change(&log, &jobs, change);
            append(&log, &jobs);
        }
    }
    jobs.run();
    let left = Left { start: log.start_offset(), end: log.end_offset(), bytes: read(&log)? };
    log.batch_for_time(1_700_000_000_000, log.start_offset())?;
    log.close()?;
    directory.close()?;
    Ok(left)
}

fn append(log: &Arc<Log>, jobs: &Jobs) {
    let mut builder = BatchBuilder::new(1_700_000_000_000);
    builder.push(Some(b"key"), Some(b"value"), &[]);
    let mut batch = builder.build();
    // A roll, which the last offsets of a segment ask for, makes it wait.
    while log.append(&mut [&mut batch]).taken == 0 {
        jobs.run();
    }
}

/// Two bits for the kind of change, six for how far into the log it reaches. It may find that the log is damaged.
fn change(log: &Arc<Log>, jobs: &Jobs, change: u8) {
    log.request_flush().ok();
    jobs.run();
    let (start, end) = (log.start_offset(), log.end_offset());
    let into = i128::from(end - start) * i128::from(change >> 2) / 63;
    let offset = start + into as i64;
    let answered = Arc::new(Mutex::new(None));
    let told = answered.clone();
    let answer: Answer = Box::new(move |answer| *told.lock().expect("one thread") = Some(answer));
    match change & 3 {
        0 => log.truncate_to(offset, answer),
        1 => log.delete_before(offset, answer),
        2 => log.apply_retention(answer),
        _ => log.compact(answer),
    }
    jobs.run();
    let answer = answered.lock().expect("one thread").take().expect("nothing is left to wait for");
    assert!(log.start_offset() >= start, "the start never goes back");
    let Ok(reached) = answer else { return };
    match change & 3 {
        0 => assert!(reached <= offset && log.end_offset() == reached, "{reached} is the end of {offset}"),
        1 => assert!(reached >= offset && log.start_offset() == reached, "{reached} is behind {offset}"),
        _ => assert!(log.end_offset() == end, "the end stays"),
    }
    if matches!(log.phase(), Phase::Open) {
        read(log).expect("a change leaves a log that can be read");
    }
}

/// Everything that readers may see.
fn read(log: &Log) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::new();
    let mut from = log.start_offset();
    loop {
        let request = SliceRequest { from, up_to: i64::MAX, max_bytes: 1, min_one_batch: true };
        let slice = log.slice(request, Access::Blocking)?;
        if slice.bytes == 0 {
            return Ok(bytes);
        }
        let mut part = vec![0; slice.bytes as usize];
        slice.read(&mut part, 0, Access::Blocking)?;
        let header = BatchHeader::parse(&part).expect("slices hold whole batches");
        assert_eq!(header.total_bytes(), part.len() as u64);
        assert!(slice.next_offset > from, "a reader gets on");
        bytes.extend(part);
        from = slice.next_offset;
    }
}
