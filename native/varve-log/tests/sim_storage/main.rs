//! A crash test is worth what its simulated disk is worth. If the simulation made a file's name durable along with its
//! bytes, an engine that forgets to sync the directory of a new segment would pass every crash test and lose
//! acknowledged records at the first real power cut. And a simulation that is too cruel sends people after losses that
//! no disk has. So every rule of the simulation is stated here, in both directions: what must be lost at times, and
//! what must never be.

mod crash;
mod failure;
mod live_image;
mod locks;
mod operations;
mod page_cache;
mod power_loss_of_bytes;
mod power_loss_of_names;
mod randomness;
mod restart;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use varve_log::sim::{OperationKind, SimRng, SimStorage, Survival, is_simulated_crash};
use varve_log::storage::{File, OpenMode, Storage};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const SECTOR: usize = 512;

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn create(storage: &SimStorage, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = storage.open(path(name), OpenMode::Create).unwrap();
    file.write_at(&[bytes], 0).unwrap();
    file
}

/// A storage with the directory `/d`, itself durable.
fn with_directory() -> SimStorage {
    let storage = SimStorage::new(1);
    storage.create_dir(path("/d")).unwrap();
    storage.sync_dir(path("/")).unwrap();
    storage
}

/// A storage with the durable file `/d/f`, and an open handle on it.
fn with_file(bytes: &[u8]) -> (SimStorage, Arc<dyn File>) {
    let storage = with_directory();
    let file = create(&storage, "/d/f", bytes);
    file.sync_data().unwrap();
    storage.sync_dir(path("/d")).unwrap();
    (storage, file)
}

fn durable(storage: &SimStorage, name: &str) -> Option<Vec<u8>> {
    storage.fork().power_loss(Survival::Nothing, 0).contents(path(name))
}

fn read(file: &dyn File, position: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![0xee; length];
    let count = file.read_at(&mut buffer, position).unwrap();
    buffer.truncate(count);
    buffer
}

/// Everything that any of 400 power losses leaves of the file `/d/f`.
fn outcomes(storage: &SimStorage, survival: Survival) -> BTreeSet<Option<Vec<u8>>> {
    let storage = storage.fork();
    (0..400).map(|seed| storage.power_loss(survival, seed).contents(path("/d/f"))).collect()
}

/// Every listing of `/d` that any of 400 power losses leaves.
fn listings(storage: &SimStorage) -> BTreeSet<Vec<String>> {
    let storage = storage.fork();
    (0..400).map(|seed| listing(&storage.power_loss(Survival::Subset, seed), "/d")).collect()
}

fn listing(storage: &SimStorage, directory: &str) -> Vec<String> {
    let mut names = storage.list(path(directory)).unwrap_or_default();
    names.sort();
    names
}

fn sectors(fill: &[u8]) -> Vec<u8> {
    fill.iter().flat_map(|byte| [*byte; SECTOR]).collect()
}
