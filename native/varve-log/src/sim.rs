//! The disk's simulated twin. It keeps two images of every file and directory: the live one, which everybody reads,
//! and the durable one, which a power loss leaves. What lies between them is kept as pending changes, and a power loss
//! decides by seed which of those survive. So a test can run the engine once to count its operations, then once more
//! for each of them with a crash there, and look at what recovery makes of every disk that could have been left.
//!
//! The simulation promises no more than POSIX does: the durability of a file says nothing about its name, that of a
//! name nothing about the file's bytes, and that of a directory's names nothing about the directory's own.

mod file_image;
mod names;
mod open_file;
mod operation;
mod rng;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::{File, LockGuard, OpenMode, Storage, if_there};
use file_image::FileImage;
use names::{Inode, Names, Place};
use open_file::SimFile;
use operation::{OperationLog, Verdict, simulated_crash};

pub use operation::{Operation, OperationKind, is_simulated_crash};
pub use rng::SimRng;

/// What a power loss spares of the changes that no sync has made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// None of them: only what was synced is left.
    Nothing,
    /// All of them, as if the machine had just finished writing.
    Everything,
    /// Any of the writes, lengths and names, without regard to the order in which they were made, except that the
    /// changes of one name keep theirs.
    Subset,
    /// As [`Survival::Subset`] for names. Of the writes each 512-byte sector is old or new, whatever the others are,
    /// and the length is old, new or between. A sector is never anything that was not written there: rewriting the
    /// bytes that a sector has durably cannot lose them.
    Torn,
}

impl Survival {
    /// Every way, for tests that try each.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Everything, Self::Subset, Self::Torn];
}

/// A file system in memory that loses, tears and refuses what a real one may. Clones share one file system, as
/// processes share a machine.
#[derive(Clone)]
pub struct SimStorage {
    state: Arc<Mutex<State>>,
}

struct State {
    names: Names,
    files: BTreeMap<Inode, FileImage>,
    locks: BTreeSet<Vec<String>>,
    log: OperationLog,
    capacity: Option<u64>,
    rng: SimRng,
}

impl SimStorage {
    /// An empty, healthy file system. The seed decides how much of a failed or crashed operation takes effect.
    pub fn new(seed: u64) -> Self {
        Self::start(Names::new(), BTreeMap::new(), None, SimRng::new(seed))
    }

    fn start(names: Names, files: BTreeMap<Inode, FileImage>, capacity: Option<u64>, rng: SimRng) -> Self {
        let log = OperationLog::default();
        let state = State { names, files, locks: BTreeSet::new(), log, capacity, rng };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Everything that was done since the start and changed or synced something, in order, including what failed. A
    /// call that was refused for a plain reason, such as a missing file, is no operation: nothing can go wrong in it.
    pub fn operations(&self) -> Vec<Operation> {
        self.state().log.operations.clone()
    }

    /// How many [`SimStorage::operations`] there were: the highest number worth crashing at.
    pub fn operation_count(&self) -> u64 {
        self.state().log.count()
    }

    /// The operation with this number, the first one being 1, and all calls after it fail with an error for which
    /// [`is_simulated_crash`] holds. The crashing operation may have taken effect, a write partly, but nothing of it
    /// is synced. A number that has passed crashes the next operation.
    pub fn crash_at(&self, number: u64) {
        self.state().log.crash_at = Some(number);
    }

    /// Only the operation with this number fails, with the operating system's error `errno`. A failed write may have
    /// been applied partly, from its start. A failed sync loses what it was to make durable: it stays readable, but
    /// no later sync makes it durable unless it is written (or, for names, done) again.
    pub fn fail_at(&self, number: u64, errno: i32) {
        self.state().log.failures.insert(number, errno);
    }

    /// Every path that somebody has asked about since the start ([`Storage::exists`], [`Storage::is_dir`]), in order.
    pub fn looks(&self) -> Vec<PathBuf> {
        self.state().log.looks.clone()
    }

    /// Only the look with this number, the first one being 1, fails with the operating system's error `errno`.
    pub fn fail_look_at(&self, number: usize, errno: i32) {
        self.state().log.failing_look = Some((number, errno));
    }

    /// Limits the sum of all files' lengths, counting removed files until their last handle is closed, and holes as if
    /// they were filled. A write beyond it is applied as far as it fits and fails with ENOSPC. The limit is the
    /// disk's, so it outlives restarts; `None` lifts it.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Drops the file from memory, so that `try_read_at` would block until a `read_at` has fetched the bytes again.
    /// Bytes whose sync failed exist only in memory: after this, readers find what the disk has instead.
    ///
    /// # Panics
    /// When there is no file at `path`, because the test then tests nothing.
    pub fn evict(&self, path: &Path) {
        let mut state = self.state();
        let inode = state.names.find(path).ok();
        match inode.and_then(|inode| state.files.get_mut(&inode)) {
            Some(file) => file.evict(),
            None => panic!("evict: there is no file {}", path.display()),
        }
    }

    /// [`SimStorage::evict`] for every file, also those that are open but have no name any more.
    pub fn evict_all(&self) {
        self.state().files.values_mut().for_each(FileImage::evict);
    }

    /// The bytes of the file at `path` as a reader would see them, for a test to look at: works after a crash and
    /// warms nothing. `None` when there is no such file.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.names.find(path).ok()?;
        state.files.get(&inode).map(|file| file.contents().to_vec())
    }

    /// How many files are open and have lost their name: their space and a descriptor each stay in use.
    pub fn open_without_name(&self) -> usize {
        let state = self.state();
        let named = state.names.live_inodes();
        state.files.iter().filter(|(inode, file)| file.handles > 0 && !named.contains(inode)).count()
    }

    /// Ends this storage, all calls on it and its handles fail from now on, and starts the one that is found after the
    /// power came back: what survived is durable, nothing is in memory, locks are free, counts and planned faults
    /// start anew. May be called again on the same storage with another survival or seed.
    pub fn power_loss(&self, survival: Survival, seed: u64) -> SimStorage {
        let mut state = self.state();
        state.log.crashed = true;
        let mut rng = SimRng::new(seed);
        let names = state.names.after_power_loss(survival, &mut rng);
        let files = names
            .live_inodes()
            .into_iter()
            .filter_map(|inode| Some((inode, state.files.get(&inode)?.after_power_loss(survival, &mut rng))))
            .collect();
        Self::start(names, files, state.capacity, rng)
    }

    /// Ends this storage as [`SimStorage::power_loss`] does, but only the process died: the new storage has all that
    /// the page cache had, and what was pending still is, so that a later power loss can take it.
    pub fn process_crash(&self) -> SimStorage {
        // Under one lock: a call that another thread makes in between would succeed and be lost all the same.
        let mut state = self.state();
        state.log.crashed = true;
        state.fork()
    }

    /// What [`SimStorage::process_crash`] would return now, while this storage goes on: for looking, in the middle of
    /// a run, at what a crash or a power loss at this moment would leave.
    pub fn fork(&self) -> SimStorage {
        self.state().fork()
    }

    /// A panic elsewhere says more about a failing test than a poisoned lock would.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.log.crashed { Err(simulated_crash()) } else { Ok(state) }
    }
}

impl State {
    fn fork(&self) -> SimStorage {
        let reachable = self.names.reachable_inodes();
        let mut files = self.files.clone();
        files.retain(|inode, _| reachable.contains(inode));
        files.values_mut().for_each(|file| file.handles = 0);
        SimStorage::start(self.names.clone(), files, self.capacity, self.rng.clone())
    }

    fn file(&mut self, inode: Inode) -> &mut FileImage {
        self.files.get_mut(&inode).expect("an open file is kept")
    }

    /// Issues an operation that takes effect whole or not at all; when it is the crashing one, either may be.
    fn attempt<T>(
        &mut self,
        kind: OperationKind,
        path: &Path,
        apply: impl FnOnce(&mut Self) -> T,
    ) -> io::Result<T> {
        match self.log.issue(kind, path) {
            Verdict::Succeed => Ok(apply(self)),
            Verdict::Fail(error) => Err(error),
            Verdict::Crash => {
                if self.rng.chance(1, 2) {
                    apply(self);
                }
                Err(simulated_crash())
            }
        }
    }

    /// How much of `length` bytes an operation cut short got done: nothing, everything, or any part.
    fn done_of(&mut self, length: u64) -> u64 {
        match self.rng.below(4) {
            0 => 0,
            1 => length,
            _ => self.rng.below(length + 1),
        }
    }

    /// The greatest length that the capacity lets a file have.
    fn length_limit(&self, inode: Inode) -> u64 {
        let Some(capacity) = self.capacity else { return u64::MAX };
        let named = self.names.live_inodes();
        let used: u64 = self
            .files
            .iter()
            .filter(|(inode, file)| file.handles > 0 || named.contains(inode))
            .map(|(_, file)| file.len())
            .sum();
        self.files[&inode].len() + capacity.saturating_sub(used)
    }

    fn create(&mut self, place: Place, path: &Path) -> Inode {
        let inode = self.names.create_file(place);
        self.files.insert(inode, FileImage::new(path.to_path_buf()));
        inode
    }

    /// Forgets files that nobody can reach any more, whatever happens.
    fn forget_unreachable(&mut self) {
        let reachable = self.names.reachable_inodes();
        self.files.retain(|inode, file| file.handles > 0 || reachable.contains(inode));
    }
}

impl Storage for SimStorage {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.running()?;
        let missing = state.names.missing_directories(path)?.len();
        if missing == 0 {
            return Ok(());
        }
        let verdict = state.log.issue(OperationKind::CreateDir, path);
        let levels = match verdict {
            Verdict::Succeed => missing,
            Verdict::Fail(_) => 0,
            Verdict::Crash => state.done_of(missing as u64) as usize,
        };
        state.names.create_directories(path, levels)?;
        verdict.into_result()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut guard = self.running()?;
        let state = &mut *guard;
        let mut names = state.names.list(state.names.find_directory(path)?);
        // Nobody may rely on an order, so none is given that could be relied on.
        state.rng.shuffle(&mut names);
        Ok(names)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.running()?;
        state.log.look(path)?;
        Ok(if_there(state.names.find_directory(path))?.is_some())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.running()?;
        state.log.look(path)?;
        Ok(if_there(state.names.find(path))?.is_some())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.running()?;
        let place = state.names.place(path)?;
        let found = state.names.at(&place);
        if found.is_some_and(|inode| state.names.is_directory(inode)) {
            return Err(names::error(io::ErrorKind::IsADirectory, path, "is a directory"));
        }
        let inode = match (found, mode) {
            (None, OpenMode::Create) => {
                state.attempt(OperationKind::Create, path, |state| state.create(place, path))?
            }
            (None, _) => return Err(names::not_found(path)),
            (Some(inode), OpenMode::Create) => {
                state.attempt(OperationKind::Create, path, |state| state.file(inode).set_len(0))?;
                inode
            }
            (Some(inode), _) => inode,
        };
        state.file(inode).handles += 1;
        Ok(Arc::new(SimFile::new(self.clone(), inode, mode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.running()?;
        let (source, target) = (state.names.place(from)?, state.names.place(to)?);
        let inode = state.names.check_rename(&source, &target, from)?;
        if state.names.at(&target) == Some(inode) {
            return Ok(());
        }
        state.attempt(OperationKind::Rename { to: to.to_path_buf() }, from, |state| {
            state.names.rename(inode, source, target);
            if let Some(file) = state.files.get_mut(&inode) {
                file.path = to.to_path_buf();
            }
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.running()?;
        let place = state.names.place(path)?;
        let inode = state.names.check_remove(&place, path)?;
        state.attempt(OperationKind::Remove, path, |state| state.names.remove(inode, place))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.running()?;
        let directory = state.names.find_directory(path)?;
        let verdict = state.log.issue(OperationKind::SyncDir, path);
        match verdict {
            Verdict::Succeed => state.names.sync(directory),
            Verdict::Fail(_) => state.names.fail_sync(directory),
            Verdict::Crash => {}
        }
        state.forget_unreachable();
        verdict.into_result()
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.running()?;
        let used: u64 = state.files.values().map(FileImage::len).sum();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used)))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let mut state = self.running()?;
        let key = names::parts(path)?;
        if state.locks.contains(&key) {
            return Ok(None);
        }
        let place = state.names.place(path)?;
        match state.names.at(&place) {
            Some(inode) if state.names.is_directory(inode) => {
                return Err(names::error(io::ErrorKind::IsADirectory, path, "is a directory"));
            }
            Some(_) => {}
            None => {
                state.attempt(OperationKind::Create, path, |state| state.create(place, path))?;
            }
        }
        state.locks.insert(key.clone());
        Ok(Some(Box::new(SimLock { storage: self.clone(), key })))
    }
}

/// Holds the lock on a path until it is dropped.
struct SimLock {
    storage: SimStorage,
    key: Vec<String>,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.storage.state().locks.remove(&self.key);
    }
}
