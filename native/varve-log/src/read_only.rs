//! Opening a log to read it as it is, without a lock and without a change: the recovery happens in memory.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::read_file;
use crate::data_dir::{DataDir, Identity, RECOVERY_POINTS, START_OFFSETS};
use crate::error::{LogError, Result};
use crate::log::{Listener, Log, Phase};
use crate::log_config::LogConfig;
use crate::read_only_storage::ReadOnlyStorage;
use crate::runner::Runner;
use crate::segment::offset_in;
use crate::storage::Storage;

/// How often it is tried to open a log that another process changes meanwhile.
const ATTEMPTS: u32 = 5;

impl Log {
    /// Opens the log `name` of the data directory at `path`, the empty name for the directory itself, to be read up to
    /// where its last whole batch ends now. Nothing is created, locked, repaired or written, whoever else has it open.
    /// What such a process appends later is not seen; of what it deletes or cuts off meanwhile, reads may fail.
    pub fn open_read_only(
        storage: Arc<dyn Storage>,
        path: &Path,
        name: &str,
        config: LogConfig,
        runner: Arc<dyn Runner>,
        listener: Listener,
    ) -> Result<Arc<Self>> {
        let listener: Arc<dyn Fn(&Self) + Send + Sync> = Arc::from(listener);
        let mut before = look(storage.as_ref(), path, name)?;
        for attempt in 1.. {
            let listener = listener.clone();
            let listener: Listener = Box::new(move |log| listener(log));
            let opened = open_once(&storage, path, name, config, runner.clone(), listener);
            let now = look(storage.as_ref(), path, name)?;
            let sound = matches!(&opened, Ok(log) if matches!(log.phase(), Phase::ReadOnly));
            // What is missing, or looks damaged, may have been taken away between two looks.
            if sound || now == before || attempt == ATTEMPTS {
                return opened;
            }
            before = now;
        }
        unreachable!("the last attempt returns")
    }
}

fn open_once(
    storage: &Arc<dyn Storage>,
    path: &Path,
    name: &str,
    config: LogConfig,
    runner: Arc<dyn Runner>,
    listener: Listener,
) -> Result<Arc<Log>> {
    let view = Arc::new(ReadOnlyStorage::new(storage.clone()));
    let directory = DataDir::open(view, path, &Identity::default())?;
    let log = Log::open(directory, name, config, runner, listener)?;
    let mut state = log.state();
    if matches!(state.phase, Phase::Open) {
        state.phase = Phase::ReadOnly;
    }
    drop(state);
    Ok(log)
}

/// What the opening of a log begins with, to be compared.
type Look = (Vec<String>, Option<String>, Option<String>);

fn look(storage: &dyn Storage, path: &Path, name: &str) -> Result<Look> {
    let dir = if name.is_empty() { path.to_path_buf() } else { path.join(name) };
    let mut names = storage.list(&dir).map_err(LogError::io("read the log", &dir))?;
    // A crash may have left one under the name that a recovery or a compaction gave it.
    let is_segment = |name: &String| {
        let stem = name.trim_end_matches(".renew").trim_end_matches(".swap");
        offset_in(stem, ".log").is_some()
    };
    if !names.iter().any(is_segment) {
        let source =
            io::Error::new(io::ErrorKind::NotFound, "it has no segment, such as 00000000000000000000.log");
        return Err(LogError::io("read the log", &dir)(source));
    }
    names.sort_unstable();
    Ok((names, read_file(storage, path, RECOVERY_POINTS)?, read_file(storage, path, START_OFFSETS)?))
}
