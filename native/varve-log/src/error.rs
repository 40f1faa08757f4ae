use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use varve_records::BatchError;

use crate::disk::descriptor_limit;

use crate::producer_state::ProducerError;

/// Everything that can go wrong in a log. [`LogError::code`] is stable; the message says what happened, where, and
/// what to do.
#[derive(Clone, Debug)]
pub enum LogError {
    /// The operating system refused an operation.
    Io { action: &'static str, path: PathBuf, source: Arc<io::Error> },
    /// A write or an fsync failed earlier: the log takes no more writes until it is opened again.
    Failed { dir: PathBuf, cause: Arc<LogError> },
    /// Bytes that were durable once do not parse any more: the log can only be read.
    Corrupt { file: PathBuf, position: u64, offset: i64, detail: String },
    /// The log was opened to be read only.
    ReadOnly { dir: PathBuf },
    /// The log was closed.
    Closed { dir: PathBuf },
    /// Another process, or another log of this one, holds the directory.
    Locked { dir: PathBuf },
    /// The directory cannot be created or written.
    NotWritable { dir: PathBuf, source: Arc<io::Error> },
    /// `meta.properties` names another cluster or node than asked for, or cannot be understood.
    MetaMismatch { file: PathBuf, detail: String },
    /// The offset is not in the log.
    OffsetOutOfRange { dir: PathBuf, offset: i64, start: i64, end: i64 },
    /// The disk has less room than the log's low-disk mark asks for; nothing of the append is stored.
    LowDisk { dir: PathBuf, free: u64, mark: u64 },
    /// The bytes were cut off by a truncation of the log.
    Truncated { file: PathBuf },
    /// A leader epoch below one that batches of the log have.
    EpochFenced { dir: PathBuf, epoch: i32, latest: i32 },
    /// The batch was refused; nothing of it is stored.
    Batch(BatchError),
    /// What the batch's producer has written before, or is not allowed any more, refuses the batch; nothing of it is
    /// stored.
    Producer { dir: PathBuf, error: ProducerError },
    /// Settings that contradict each other; nothing of them counts.
    InvalidOption(&'static str),
    /// The answer is on disk and not in memory; ask again on a thread that may wait.
    WouldBlock,
}

pub type Result<T> = std::result::Result<T, LogError>;

impl LogError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            if source.kind() == io::ErrorKind::WouldBlock {
                return Self::WouldBlock;
            }
            Self::Io { action, path: path.to_path_buf(), source: Arc::new(source) }
        }
    }

    /// The stable code, as TypeScript's `VarveError.code` has it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "VARVE_IO",
            Self::Failed { .. } => "VARVE_LOG_FAILED",
            Self::Corrupt { .. } => "VARVE_LOG_CORRUPT",
            Self::ReadOnly { .. } => "VARVE_READ_ONLY",
            Self::Closed { .. } => "VARVE_LOG_CLOSED",
            Self::Locked { .. } => "VARVE_LOCKED",
            Self::NotWritable { .. } => "VARVE_NOT_WRITABLE",
            Self::MetaMismatch { .. } => "VARVE_META_MISMATCH",
            Self::OffsetOutOfRange { .. } => "VARVE_OFFSET_OUT_OF_RANGE",
            Self::LowDisk { .. } => "VARVE_LOW_DISK",
            Self::Truncated { .. } => "VARVE_TRUNCATED",
            Self::EpochFenced { .. } => "VARVE_EPOCH_FENCED",
            Self::Batch(BatchError::Corrupt(_)) => "VARVE_BATCH_CORRUPT",
            Self::Batch(BatchError::Magic(_)) => "VARVE_BATCH_MAGIC",
            Self::Batch(BatchError::Invalid(_)) => "VARVE_BATCH_INVALID",
            Self::Batch(BatchError::TooLarge { .. } | BatchError::TooLargeCompressed { .. }) => {
                "VARVE_BATCH_TOO_LARGE"
            }
            Self::Batch(BatchError::Timestamp { .. }) => "VARVE_INVALID_TIMESTAMP",
            Self::InvalidOption(_) => "VARVE_INVALID_OPTION",
            Self::Producer { error, .. } => match error {
                ProducerError::OutOfOrderSequence { .. } => "VARVE_OUT_OF_ORDER_SEQUENCE",
                ProducerError::Fenced { .. } => "VARVE_PRODUCER_FENCED",
                ProducerError::CoordinatorFenced { .. } => "VARVE_TRANSACTION_COORDINATOR_FENCED",
                ProducerError::NotInTransaction { .. } => "VARVE_INVALID_TXN_STATE",
            },
            Self::WouldBlock => "VARVE_WOULD_BLOCK",
        }
    }

    /// The operating system's error number behind this error, if there is one.
    pub fn os_error(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } | Self::NotWritable { source, .. } => source.raw_os_error(),
            Self::Failed { cause, .. } => cause.os_error(),
            _ => None,
        }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, path, source } => {
                write!(f, "could not {action} {}: {source}", path.display())?;
                match (source.raw_os_error(), descriptor_limit()) {
                    (Some(libc::EMFILE), Some(limit)) => write!(
                        f,
                        ". This process may have {limit} files open; raise that (ulimit -n), or close something"
                    ),
                    _ => Ok(()),
                }
            }
            Self::Failed { dir, cause } => write!(
                f,
                "the log {} takes no more writes: {cause}. Durable records stay readable; open it again to recover",
                dir.display()
            ),
            Self::Corrupt { file, position, offset, detail } => write!(
                f,
                "{} is corrupt at byte {position}, offset {offset}: {detail}. The log is read-only; restore the file, \
                 or repair what can be (varve inspect --repair)",
                file.display()
            ),
            Self::ReadOnly { dir } => write!(
                f,
                "the log {} was opened to be read only; open it without that to change it",
                dir.display()
            ),
            Self::Closed { dir } => write!(f, "the log {} is closed; open it again", dir.display()),
            Self::Locked { dir } => write!(
                f,
                "the directory {} is in use by another process or another log of this one; close that first or \
                 choose another directory. A log can be read meanwhile (readOnly)",
                dir.display()
            ),
            Self::NotWritable { dir, source } if source.kind() == io::ErrorKind::AlreadyExists => {
                write!(f, "{} is a file; a directory is wanted here: choose another path", dir.display())
            }
            Self::NotWritable { dir, source } => write!(
                f,
                "the directory {} cannot be written: {source}. Choose another or change its permissions",
                dir.display()
            ),
            Self::MetaMismatch { file, detail } => write!(f, "{}: {detail}", file.display()),
            Self::OffsetOutOfRange { dir, offset, start, end } => write!(
                f,
                "offset {offset} is not in the log {}, which holds {start} up to but not including {end}",
                dir.display()
            ),
            Self::LowDisk { dir, free, mark } => write!(
                f,
                "the disk of {} has {free} free bytes, fewer than the mark of {mark} (lowDiskBytes); free some and \
                 append again",
                dir.display()
            ),
            Self::Truncated { file } => write!(
                f,
                "what was read of {} has been cut off by a truncation; read again from an offset that the log has",
                file.display()
            ),
            Self::EpochFenced { dir, epoch, latest } => write!(
                f,
                "the log {} has batches of leader epoch {latest}; epoch {epoch} is over, go on with a later one",
                dir.display()
            ),
            Self::Batch(error) => error.fmt(f),
            Self::Producer { dir, error } => write!(f, "the log {} refuses {error}", dir.display()),
            Self::InvalidOption(problem) => problem.fmt(f),
            Self::WouldBlock => write!(f, "the bytes are not in memory"),
        }
    }
}

impl std::error::Error for LogError {}

impl From<BatchError> for LogError {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}
