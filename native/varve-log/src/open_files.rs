//! Open files within a limit. Files open when first asked for; when there are more than the limit, those that were not
//! used lately are closed and opened again when needed. A file with writes that no fsync has covered stays open: the
//! kernel reports a failed write-back once per descriptor, and to none that was opened after it.

use std::collections::VecDeque;
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

    /// Notes a file that has been opened, and closes one of the others if they are too many.
    fn opened(&self, slot: &Arc<Slot>) {
        let mut files = self.files.lock().expect("never held across a panic");
        files.push_back(Arc::downgrade(slot));
        // If those are all in use there are more than the limit for a while.
        for _ in 0..CONSIDERED {
            if files.len() <= self.limit {
                return;
            }
            let Some(oldest) = files.pop_front() else { return };
            let Some(slot) = oldest.upgrade() else { continue };
            if !slot.close() {
                files.push_back(oldest);
            }
        }
    }
}

impl Slot {
    fn handle(&self) -> MutexGuard<'_, Handle> {
        self.handle.lock().expect("never held across a panic")
    }

    /// Closes the file unless it was used lately, is in use, or has writes to be synced; says whether it is closed.
    fn close(&self) -> bool {
        let Ok(mut handle) = self.handle.try_lock() else { return false };
        let recently = self.used.swap(false, Ordering::Relaxed);
        let in_use = handle.file.as_ref().is_some_and(|file| Arc::strong_count(file) > 1);
        if handle.file.is_some() && (recently || in_use || handle.writes > handle.synced) {
            return false;
        }
        handle.file = None;
        true
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
        self.open_into(&mut handle, OpenMode::Create, "create")?;
        handle.writes += 1;
        drop(handle);
        self.open_files.opened(&self.slot);
        Ok(())
    }

    /// The open file, for reading; with [`Access::Cached`] only if it is open.
    pub fn get(&self, access: Access) -> Result<Arc<dyn File>> {
        self.handle(access).map(|(file, _)| file)
    }

    /// Changes the file; it is not closed before an fsync that began afterwards.
    pub fn change(
        &self,
        action: &'static str,
        change: impl FnOnce(&dyn File) -> std::io::Result<()>,
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
        let (file, handle) = self.handle(Access::Blocking)?;
        let writes = handle.writes;
        drop(handle);
        file.sync_data().map_err(LogError::io("fsync", &self.path))?;
        let mut handle = self.slot.handle();
        handle.synced = handle.synced.max(writes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimStorage;

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
        let open = |files: &[LogFile]| files.iter().filter(|file| file.slot.handle().file.is_some()).count();
        assert!(open(&files) <= 4, "{}", open(&files));
        for file in &files {
            assert_eq!(file.get(Access::Blocking).unwrap().len().unwrap(), 0);
            assert!(is_open(file), "the one just used is not the one that is closed");
        }
    }

    #[test]
    fn a_file_with_writes_to_be_synced_stays_open_whatever_the_limit() {
        let (_sim, files) = files(1, 5);
        files.iter().for_each(|file| file.create().unwrap());
        assert!(files.iter().all(is_open));
        files.iter().for_each(|file| file.sync().unwrap());
        for file in &files {
            file.change("write", |file| file.write_at(&[b"x"], 0)).unwrap();
        }
        let open = || files.iter().filter(|file| file.slot.handle().file.is_some()).count();
        assert_eq!(open(), 5);
        files[..4].iter().for_each(|file| file.sync().unwrap());
        // Two rounds: the first finds all of them used lately.
        (0..2).for_each(|_| files[4].open_files.opened(&files[4].slot));
        assert!(open() < 5 && is_open(&files[4]));
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
