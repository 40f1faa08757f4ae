//! A directory with anything in it, as a crash, another program or a failing disk may leave one: opening it does not
//! panic, what it gives to read is whole, and a log that opens can be appended to, closed and opened again.
#![no_main]

use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use varve_log::runner::{Job, Runner};
use varve_log::sim::SimStorage;
use varve_log::storage::{OpenMode, Storage};
use varve_log::{Access, DataDir, Identity, Log, LogConfig, LogError, SliceRequest};
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
    let Some(storage) = storage_of(image) else { return };
    let Ok((end, bytes)) = use_log(&storage, true) else { return };
    let (again_end, again_bytes) = use_log(&storage, false).expect("it was closed in order");
    assert_eq!((end, bytes.len()), (again_end, again_bytes.len()));
    assert!(bytes == again_bytes, "a clean stop changes nothing");
});

/// One byte of flags and a recovery point, then files: a byte for extension and base offset, two for the length, content.
fn storage_of(image: &[u8]) -> Option<SimStorage> {
    let storage = SimStorage::new(1);
    let dir = Path::new(DATA).join(LOG);
    storage.create_dir(&dir).ok()?;
    let (&[flags, point], mut rest) = image.split_first_chunk()?;
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

/// Opens the log, reads it, appends to it if it takes that, and closes it. Returns its end and its bytes.
fn use_log(storage: &SimStorage, append: bool) -> Result<(i64, Vec<u8>), LogError> {
    let identity = Identity {
        new_cluster_id: "cluster".into(),
        new_directory_id: "directory".into(),
        ..Identity::default()
    };
    let directory = DataDir::open(Arc::new(storage.clone()), Path::new(DATA), &identity)?;
    let jobs = Arc::new(Jobs::default());
    let log = Log::open(directory.clone(), LOG, LogConfig::default(), jobs.clone(), Box::new(|_| {}))?;
    read(&log)?;
    if append {
        let mut builder = BatchBuilder::new(1_700_000_000_000);
        builder.push(Some(b"key"), Some(b"value"), &[]);
        let mut batch = builder.build();
        // A roll, which the last offsets of a segment ask for, makes it wait.
        while log.append(&mut [&mut batch]).taken == 0 {
            jobs.run();
        }
    }
    jobs.run();
    let found = (log.end_offset(), read(&log)?);
    log.batch_for_time(1_700_000_000_000)?;
    log.close()?;
    directory.close()?;
    Ok(found)
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
