//! Faults of the disk on request, so that tests can meet them through the real addon.
//!
//! `VARVE_TEST_FAULT` is read once, when the first directory is opened; without it the disk is used as it is. It holds
//! rules separated by commas:
//!
//! - `sync_data:3`: the third call of `sync_data` fails with EIO; it is done on no other.
//! - `sync_data@.log:3`: the same, counting only files whose path ends in `.log`.
//! - `sync_data@.log:while=/tmp/gate`: each call waits as long as `/tmp/gate` exists.
//! - `write_at@.log:delay=10`: each call takes 10 ms longer.
//! - `sync_dir:pretend`: no call of `sync_dir`, or of `sync_data`, does anything, and each says that it is done.
//!
//! A file whose reads wait is not in memory either: `try_read_at` says so.
//!
//! Operations are `write_at`, `read_at`, `sync_data`, `set_len`, `open`, `rename`, `remove` and `sync_dir`, named as in
//! [`Storage`] and [`File`].
//!
//! `VARVE_TEST_THREADS` is how many threads do the waiting, so that a test knows which of them makes a system call.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use varve_log::storage::{File, LockGuard, OpenMode, Storage};
use varve_log::{DiskStorage, LogError};

const VARIABLE: &str = "VARVE_TEST_FAULT";
const THREADS: &str = "VARVE_TEST_THREADS";
const OPERATIONS: [&str; 8] =
    ["write_at", "read_at", "sync_data", "set_len", "open", "rename", "remove", "sync_dir"];

/// How many threads the environment asks for.
pub fn threads() -> Option<usize> {
    std::env::var(THREADS).ok()?.parse().ok().filter(|&threads| threads > 0)
}

/// The disk, with the faults that the environment asks for.
pub fn storage() -> varve_log::Result<Arc<dyn Storage>> {
    static STORAGE: OnceLock<Result<Arc<dyn Storage>, String>> = OnceLock::new();
    let storage = STORAGE.get_or_init(|| match std::env::var(VARIABLE) {
        Ok(rules) if !rules.is_empty() => Ok(Arc::new(FaultyDisk(Arc::new(parse(&rules)?)))),
        _ => Ok(Arc::new(DiskStorage)),
    });
    storage.clone().map_err(|rule| {
        let problem = io::Error::new(io::ErrorKind::InvalidInput, format!("there is no rule {rule}"));
        LogError::Io { action: "follow", path: VARIABLE.into(), source: Arc::new(problem) }
    })
}

fn parse(rules: &str) -> Result<Vec<Rule>, String> {
    rules.split(',').map(|rule| Rule::parse(rule).ok_or_else(|| rule.to_string())).collect()
}

struct Rule {
    operation: String,
    path_end: String,
    action: Action,
}

enum Action {
    /// Counts down; the call that reaches zero fails.
    Fail(AtomicU64),
    While(PathBuf),
    Delay(Duration),
    Pretend,
}

impl Rule {
    fn parse(rule: &str) -> Option<Self> {
        let (place, action) = rule.split_once(':')?;
        let (operation, path_end) = place.split_once('@').unwrap_or((place, ""));
        let action = match action.split_once('=') {
            Some(("while", gate)) => Action::While(gate.into()),
            Some(("delay", ms)) => Action::Delay(Duration::from_millis(ms.parse().ok()?)),
            Some(_) => return None,
            None if action == "pretend" => Action::Pretend,
            None => Action::Fail(AtomicU64::new(action.parse().ok().filter(|&nth| nth > 0)?)),
        };
        let can = operation.starts_with("sync_") || !matches!(action, Action::Pretend);
        let known = OPERATIONS.contains(&operation) && can;
        known.then(|| Self { operation: operation.into(), path_end: path_end.into(), action })
    }

    fn is_for(&self, operation: &str, path: &Path) -> bool {
        self.operation == operation && path.to_string_lossy().ends_with(&self.path_end)
    }

    /// Whether a call would wait now.
    fn holds(&self, operation: &str, path: &Path) -> bool {
        self.is_for(operation, path) && matches!(&self.action, Action::While(gate) if gate.exists())
    }

    fn meet(&self, operation: &str, path: &Path) -> io::Result<()> {
        if !self.is_for(operation, path) {
            return Ok(());
        }
        match &self.action {
            Action::Fail(rest) => {
                match rest.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
                    Ok(1) => Err(io::Error::from_raw_os_error(libc::EIO)),
                    _ => Ok(()),
                }
            }
            Action::Delay(delay) => {
                sleep(*delay);
                Ok(())
            }
            Action::Pretend => Ok(()),
            Action::While(gate) => {
                while gate.exists() {
                    sleep(Duration::from_millis(1));
                }
                Ok(())
            }
        }
    }
}

struct FaultyDisk(Arc<Vec<Rule>>);

fn meet(rules: &[Rule], operation: &str, path: &Path) -> io::Result<()> {
    rules.iter().try_for_each(|rule| rule.meet(operation, path))
}

fn pretends(rules: &[Rule], operation: &str, path: &Path) -> bool {
    rules.iter().any(|rule| matches!(rule.action, Action::Pretend) && rule.is_for(operation, path))
}

impl Storage for FaultyDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DiskStorage.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        DiskStorage.list(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        meet(&self.0, "is_dir", path)?;
        DiskStorage.is_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        meet(&self.0, "exists", path)?;
        DiskStorage.exists(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        meet(&self.0, "open", path)?;
        let file = DiskStorage.open(path, mode)?;
        Ok(Arc::new(FaultyFile { file, path: path.into(), rules: self.0.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        meet(&self.0, "rename", from)?;
        DiskStorage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        meet(&self.0, "remove", path)?;
        DiskStorage.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        meet(&self.0, "sync_dir", path)?;
        match pretends(&self.0, "sync_dir", path) {
            true => Ok(()),
            false => DiskStorage.sync_dir(path),
        }
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        DiskStorage.free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        DiskStorage.lock(path)
    }
}

struct FaultyFile {
    file: Arc<dyn File>,
    path: PathBuf,
    rules: Arc<Vec<Rule>>,
}

impl File for FaultyFile {
    fn write_at(&self, buffers: &[&[u8]], position: u64) -> io::Result<()> {
        meet(&self.rules, "write_at", &self.path)?;
        self.file.write_at(buffers, position)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        meet(&self.rules, "read_at", &self.path)?;
        self.file.read_at(buffer, position)
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if self.rules.iter().any(|rule| rule.holds("read_at", &self.path)) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.try_read_at(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        meet(&self.rules, "sync_data", &self.path)?;
        match pretends(&self.rules, "sync_data", &self.path) {
            true => Ok(()),
            false => self.file.sync_data(),
        }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        meet(&self.rules, "set_len", &self.path)?;
        self.file.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn allocate(&self, position: u64, bytes: u64) -> io::Result<()> {
        self.file.allocate(position, bytes)
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.file.descriptor()
    }
}
