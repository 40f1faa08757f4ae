//! Open files within a limit. Files open when first asked for; when there are more than the limit, those that were not
//! used lately are closed and opened again when needed. The kernel reports a failed write-back once per descriptor, and to none
//! that was opened after it: a file with writes that no fsync has covered is fsynced before it is closed. Should that fail,
//! the next fsync that its log asks for is the one that says so.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use crate::batch_reader::Access;
use crate::disk::descriptor_limit;
use crate::error::{LogError, Result};
use crate::storage::{File, OpenMode, Storage};

/// What is left to sockets and whatever else the process opens.
const RESERVED_SHARE: u64 = 2;
const MOST_FILES: u64 = 1 << 20;
/// How many files are looked at when another one opens. More than one, so that a surplus is made up for.
const CONSIDERED: usize = 16;

/// The open files of any number of logs.
pub struct OpenFiles {
    limit: usize,
    files: Mutex<VecDeque<Weak<Slot>>>,
}

/// A file that is open or closed.
pub struct LogFile {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    open_files: Arc<OpenFiles>,
    slot: Arc<Slot>,
}

#[derive(Default)]
struct Slot {
    handle: Mutex<Handle>,
    /// How an fsync has failed: no later one may say that all is well. Held by whoever makes one, since of two at a time
    /// the kernel would tell either.
    failed: Mutex<Option<Arc<io::Error>>>,
    /// Since it was last considered for closing.
    used: AtomicBool,
}

#[derive(Default)]
struct Handle {
    file: Option<Arc<dyn File>>,
    /// Writes so far, and those of them that an fsync has covered.
    writes: u64,
    synced: u64,
}

/// What became of a file that was to be closed.
enum Closing {
    Closed,
    /// It was used lately, or is in use.
    Used,
    Unsynced,
}

impl OpenFiles {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, files: Mutex::default() })
    }

    /// Those of this process: half of the files that it may have open.
    pub fn of_process() -> Arc<Self> {
        static OPEN_FILES: OnceLock<Arc<OpenFiles>> = OnceLock::new();
        let limit = || descriptor_limit().unwrap_or(MOST_FILES).min(MOST_FILES) / RESERVED_SHARE;
        OPEN_FILES.get_or_init(|| Self::new(limit() as usize)).clone()
    }

    fn files(&self) -> MutexGuard<'_, VecDeque<Weak<Slot>>> {
        self.files.lock().expect("never held across a panic")
    }

    /// Notes a file that has been opened, and closes some of the others if they are too many, which may wait for the disk.
    fn opened(&self, slot: &Arc<Slot>) {
        let mut files = self.files();
        files.push_back(Arc::downgrade(slot));
        // If those are all in use there are more than the limit for a while.
        for _ in 0..CONSIDERED {
            if files.len() <= self.limit {
                return;
            }
            let Some(oldest) = files.pop_front() else { return };
            let Some(slot) = oldest.upgrade() else { continue };
            let mut closing = slot.close();
            if matches!(closing, Closing::Unsynced) {
                // Those of logs that are gone do not count, and none is made to wait for them.
                files.retain(|slot| slot.strong_count() > 0);
                if files.len() >= self.limit {
                    drop(files);
                    slot.sync_to_close();
                    closing = slot.close();
                    files = self.files();
                }
            }
            if !matches!(closing, Closing::Closed) {
                files.push_back(oldest);
            }
        }
    }
}

impl Slot {
    fn handle(&self) -> MutexGuard<'_, Handle> {
        self.handle.lock().expect("never held across a panic")
    }

    /// Closes the file unless it was used lately, is in use, or has writes to be synced.
    fn close(&self) -> Closing {
        let Ok(mut handle) = self.handle.try_lock() else { return Closing::Used };
        let recently = self.used.swap(false, Ordering::Relaxed);
        let in_use = handle.file.as_ref().is_some_and(|file| Arc::strong_count(file) > 1);
        if handle.file.is_some() && (recently || in_use) {
            return Closing::Used;
        }
        if handle.file.is_some() && handle.writes > handle.synced {
            return Closing::Unsynced;
        }
        handle.file = None;
        Closing::Closed
    }

    /// Makes what was written so far durable. `file` is the open one, which is not closed meanwhile.
    fn sync(&self, file: &Arc<dyn File>) -> std::result::Result<(), Arc<io::Error>> {
        let mut failed = self.failed.lock().expect("never held across a panic");
        if let Some(error) = &*failed {
            return Err(error.clone());
        }
        let writes = self.handle().writes;
        if let Err(error) = file.sync_data() {
            return Err(failed.insert(Arc::new(error)).clone());
        }
        self.handle().synced = writes;
        Ok(())
    }

    /// Syncs the file if it is open, so that it can be closed. A failure is for its log to tell.
    fn sync_to_close(&self) {
        let file = self.handle().file.clone();
        if let Some(Err(_)) = file.map(|file| self.sync(&file)) {
            let mut handle = self.handle();
            // Nothing can be saved by keeping it open.
            handle.synced = handle.writes;
        }
    }
}

impl LogFile {
    pub fn new(storage: &Arc<dyn Storage>, open_files: &Arc<OpenFiles>, path: PathBuf) -> Self {
        let (storage, open_files) = (storage.clone(), open_files.clone());
        Self { path, storage, open_files, slot: Arc::default() }
    }

    /// A file that is open, and may have had another name when it was opened. It has the one at `path` by the time when
    /// `file` is let go of, before which it is not closed.
    pub fn opened(
        storage: &Arc<dyn Storage>,
        open_files: &Arc<OpenFiles>,
        path: PathBuf,
        file: &Arc<dyn File>,
    ) -> Self {
        let opened = Self::new(storage, open_files, path);
        opened.slot.handle().file = Some(file.clone());
        open_files.opened(&opened.slot);
        opened
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the file, or empties it.
    pub fn create(&self) -> Result<()> {
        let mut handle = self.slot.handle();
        // No write: there are no bytes that could fail to be written back.
        self.open_into(&mut handle, OpenMode::Create, "create")?;
        drop(handle);
        self.open_files.opened(&self.slot);
        Ok(())
    }

    /// The open file; with [`Access::Cached`] only if it is open, because to open it may wait for others to be closed. It stays
    /// open until it is let go of.
    pub fn get(&self, access: Access) -> Result<Arc<dyn File>> {
        self.handle(access).map(|(file, _)| file)
    }

    /// Changes the file; it is not closed before an fsync that began afterwards, or has failed.
    pub fn change(
        &self,
        action: &'static str,
        change: impl FnOnce(&dyn File) -> io::Result<()>,
    ) -> Result<()> {
        let file = self.get(Access::Blocking)?;
        let changed = change(file.as_ref());
        // Behind the change: an fsync under way may not cover it. Until here the file was in use.
        self.slot.handle().writes += 1;
        changed.map_err(LogError::io(action, &self.path))
    }

    fn handle(&self, access: Access) -> Result<(Arc<dyn File>, MutexGuard<'_, Handle>)> {
        self.slot.used.store(true, Ordering::Relaxed);
        let mut handle = self.slot.handle();
        if let Some(file) = &handle.file {
            return Ok((file.clone(), handle));
        }
        if access == Access::Cached {
            return Err(LogError::WouldBlock);
        }
        let file = self.open_into(&mut handle, OpenMode::ReadWrite, "open")?;
        drop(handle);
        self.open_files.opened(&self.slot);
        Ok((file, self.slot.handle()))
    }

    fn open_into(&self, handle: &mut Handle, mode: OpenMode, action: &'static str) -> Result<Arc<dyn File>> {
        let file = self.storage.open(&self.path, mode).map_err(LogError::io(action, &self.path))?;
        handle.file = Some(file.clone());
        Ok(file)
    }

    /// Makes what was written so far durable.
    pub fn sync(&self) -> Result<()> {
        let file = self.get(Access::Blocking)?;
        let refused = |source| LogError::Io { action: "fsync", path: self.path.clone(), source };
        self.slot.sync(&file).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{OperationKind, SimStorage, Survival};

    fn files(limit: usize, count: usize) -> (SimStorage, Vec<LogFile>) {
        let sim = SimStorage::new(1);
        let storage: Arc<dyn Storage> = Arc::new(sim.clone());
        let open_files = OpenFiles::new(limit);
        let files = (0..count).map(|n| LogFile::new(&storage, &open_files, format!("/{n}").into())).collect();
        (sim, files)
    }

    fn is_open(file: &LogFile) -> bool {
        file.get(Access::Cached).is_ok()
    }

    #[test]
    fn the_ones_not_used_lately_are_closed_and_open_again_when_asked_for() {
        let (_sim, files) = files(3, 10);
        for file in &files {
            file.create().unwrap();
            file.sync().unwrap();
        }
        assert!(open(&files) <= 4, "{}", open(&files));
        for file in &files {
            assert_eq!(file.get(Access::Blocking).unwrap().len().unwrap(), 0);
            assert!(is_open(file), "the one just used is not the one that is closed");
        }
    }

    fn write(file: &LogFile) {
        file.change("write", |file| file.write_at(&[b"x"], 0)).unwrap();
    }

    fn open(files: &[LogFile]) -> usize {
        files.iter().filter(|file| file.slot.handle().file.is_some()).count()
    }

    fn syncs(sim: &SimStorage) -> usize {
        sim.operations().iter().filter(|operation| operation.kind == OperationKind::SyncData).count()
    }

    #[test]
    fn files_that_were_only_created_are_closed_without_an_fsync() {
        let (sim, files) = files(3, 10);
        files.iter().for_each(|file| file.create().unwrap());
        assert!(open(&files) <= 4, "{}", open(&files));
        assert_eq!(syncs(&sim), 0);
    }

    #[test]
    fn a_file_with_writes_to_be_synced_is_synced_before_it_is_closed() {
        let (sim, files) = files(3, 20);
        for file in &files {
            file.create().unwrap();
            write(file);
        }
        // Two rounds: the first finds all of them used lately.
        (0..2).for_each(|_| files[19].open_files.opened(&files[19].slot));
        assert!(open(&files) <= 4, "{}", open(&files));
        let closed: Vec<_> = files.iter().filter(|file| file.slot.handle().file.is_none()).collect();
        assert!(syncs(&sim) >= closed.len());
        sim.sync_dir("/".as_ref()).unwrap();
        let left = sim.power_loss(Survival::Nothing, 1);
        closed.iter().for_each(|file| assert_eq!(left.contents(file.path()), Some(b"x".to_vec())));
    }

    #[test]
    fn nothing_is_synced_for_the_sake_of_files_whose_logs_are_gone() {
        let (sim, files) = files(3, 3);
        for file in &files[..2] {
            file.create().unwrap();
            write(file);
            file.slot.used.store(false, Ordering::Relaxed);
        }
        let LogFile { open_files, storage, .. } = &files[0];
        for n in 0..8 {
            let gone = LogFile::new(storage, open_files, format!("/gone {n}").into());
            open_files.files().push_back(Arc::downgrade(&gone.slot));
        }
        files[2].create().unwrap();
        assert_eq!((syncs(&sim), open(&files)), (0, 3));
    }

    #[test]
    fn a_failed_fsync_is_told_to_whoever_syncs_that_file_next_and_to_nobody_else() {
        let (sim, files) = files(1, 3);
        files.iter().for_each(|file| file.create().unwrap());
        write(&files[0]);
        sim.fail_at(sim.operation_count() + 1, 5);
        files[0].slot.used.store(false, Ordering::Relaxed);
        // Room is made for this one.
        assert_eq!(files[1].get(Access::Blocking).unwrap().len().unwrap(), 0);
        assert_eq!((syncs(&sim), is_open(&files[0])), (1, false));
        for _ in 0..2 {
            let error = files[0].sync().unwrap_err();
            assert_eq!((error.os_error(), syncs(&sim)), (Some(5), 1), "{error}");
        }
        write(&files[0]);
        assert_eq!(files[0].sync().unwrap_err().os_error(), Some(5));
        files[1..].iter().for_each(|file| file.sync().unwrap());
    }

    #[test]
    fn a_file_that_is_being_read_stays_open() {
        let (_sim, files) = files(1, 3);
        files.iter().for_each(|file| file.create().unwrap());
        files.iter().for_each(|file| file.sync().unwrap());
        let held = files[0].get(Access::Blocking).unwrap();
        (0..4).for_each(|_| files[2].open_files.opened(&files[2].slot));
        assert!(is_open(&files[0]));
        drop(held);
    }
}
