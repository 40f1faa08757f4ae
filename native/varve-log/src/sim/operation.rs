//! What the storage was asked to do, and the two ways in which an operation can be made to go wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One operation that changed or synced something. Its number is what [`super::SimStorage::crash_at`] and
/// [`super::SimStorage::fail_at`] take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Counted from 1, since the storage was created or restarted.
    pub number: u64,
    /// What was asked for.
    pub kind: OperationKind,
    /// The file or directory; for an open file the name that it was last given.
    pub path: PathBuf,
}

/// What an [`Operation`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// A file was created, or an existing one emptied, by opening or locking it.
    Create,
    /// A directory, with its missing parents, was created.
    CreateDir,
    /// A file or directory was renamed.
    Rename {
        /// The new path; a file that was there is replaced.
        to: PathBuf,
    },
    /// A file or empty directory was removed.
    Remove,
    /// The names in a directory were made durable.
    SyncDir,
    /// Bytes were written.
    Write {
        /// Where the first byte went.
        position: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// The length was set.
    SetLen {
        /// The new length.
        bytes: u64,
    },
    /// Bytes and length were made durable.
    SyncData,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, kind, path } = self;
        let path = path.display();
        match kind {
            OperationKind::Create => write!(f, "{number}: create {path}"),
            OperationKind::CreateDir => write!(f, "{number}: create directory {path}"),
            OperationKind::Rename { to } => write!(f, "{number}: rename {path} to {}", to.display()),
            OperationKind::Remove => write!(f, "{number}: remove {path}"),
            OperationKind::SyncDir => write!(f, "{number}: sync directory {path}"),
            OperationKind::Write { position, bytes } => {
                write!(f, "{number}: write {bytes} bytes at {position} of {path}")
            }
            OperationKind::SetLen { bytes } => write!(f, "{number}: set length of {path} to {bytes}"),
            OperationKind::SyncData => write!(f, "{number}: sync {path}"),
        }
    }
}

/// The inner error of every call that a simulated crash cut off.
#[derive(Debug)]
struct SimulatedCrash;

impl fmt::Display for SimulatedCrash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated machine has crashed")
    }
}

impl std::error::Error for SimulatedCrash {}

pub(super) fn simulated_crash() -> io::Error {
    io::Error::other(SimulatedCrash)
}

/// Whether `error` comes from a crash of the simulation, and so says nothing about the code under test.
pub fn is_simulated_crash(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<SimulatedCrash>())
}

/// What is to become of one operation.
pub(super) enum Verdict {
    Succeed,
    Fail(io::Error),
    Crash,
}

impl Verdict {
    pub(super) fn into_result(self) -> io::Result<()> {
        match self {
            Self::Succeed => Ok(()),
            Self::Fail(error) => Err(error),
            Self::Crash => Err(simulated_crash()),
        }
    }
}

/// The record of what was done, and the plan of what is to go wrong.
#[derive(Default)]
pub(super) struct OperationLog {
    pub operations: Vec<Operation>,
    pub crash_at: Option<u64>,
    pub failures: BTreeMap<u64, i32>,
    pub crashed: bool,
    pub looks: Vec<PathBuf>,
    pub failing_look: Option<(usize, i32)>,
}

impl OperationLog {
    pub fn count(&self) -> u64 {
        self.operations.len() as u64
    }

    /// Records that somebody looks for `path`, which changes nothing and may fail all the same.
    pub fn look(&mut self, path: &Path) -> io::Result<()> {
        self.looks.push(path.to_path_buf());
        match self.failing_look {
            Some((number, errno)) if number == self.looks.len() => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }

    /// Counts and records one operation and says how it ends.
    pub fn issue(&mut self, kind: OperationKind, path: &Path) -> Verdict {
        let number = self.count() + 1;
        self.operations.push(Operation { number, kind, path: path.to_path_buf() });
        if self.crash_at.is_some_and(|at| number >= at) {
            self.crashed = true;
            return Verdict::Crash;
        }
        match self.failures.remove(&number) {
            Some(errno) => Verdict::Fail(io::Error::from_raw_os_error(errno)),
            None => Verdict::Succeed,
        }
    }
}
