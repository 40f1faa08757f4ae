//! The threads that wait for disks: some for each disk, so that one that hangs keeps nobody waiting who uses another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use varve_log::runner::ThreadRunner;

use crate::fault::threads;

/// Flushes of separate files scale up to about this many threads; idle ones cost nothing.
const THREADS: usize = 8;

/// Those of the disk that a directory lies on, for all logs of the process there.
pub fn threads_of(directory: &Path) -> Arc<ThreadRunner> {
    static OF_DISKS: Mutex<BTreeMap<u64, Arc<ThreadRunner>>> = Mutex::new(BTreeMap::new());
    let disk = disk_of(directory);
    let mut of_disks = OF_DISKS.lock().expect("never held across a panic");
    of_disks.entry(disk).or_insert_with(|| ThreadRunner::new(threads().unwrap_or(THREADS))).clone()
}

/// Its number. Those that cannot be told apart share one.
#[cfg(unix)]
fn disk_of(directory: &Path) -> u64 {
    std::fs::metadata(directory).map_or(0, |found| std::os::unix::fs::MetadataExt::dev(&found))
}

#[cfg(not(unix))]
fn disk_of(_directory: &Path) -> u64 {
    0
}
