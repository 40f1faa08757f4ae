use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use napi::bindgen_prelude::{AsyncTask, Function};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use varve_log::repair::repair;
use varve_log::runner::ThreadRunner;
use varve_log::{
    CleanupPolicy, DataDir, Durability, Identity, Listener, Log, LogConfig, Preallocate, TimestampType,
};

use varve_records::{BatchValidation, Codec};

use crate::failure::task;
use crate::fault::{storage, threads};
use crate::inspect::{NativeProgress, Repair};
use crate::log::NativeLog;
use crate::registry::{Lease, real_path};
use crate::shared_log::{LogShare, share_directory};

/// Flushes of separate files scale up to about this many threads; idle ones cost nothing.
const THREADS: usize = 8;

fn runner() -> Arc<ThreadRunner> {
    static RUNNER: OnceLock<Arc<ThreadRunner>> = OnceLock::new();
    RUNNER.get_or_init(|| ThreadRunner::new(threads().unwrap_or(THREADS))).clone()
}

/// Who a data directory belongs to; see `Identity` of the engine.
#[napi(object)]
pub struct DirectoryIdentity {
    pub cluster_id: Option<String>,
    pub node_id: Option<i32>,
    pub new_cluster_id: String,
    pub new_directory_id: String,
}

#[napi(object)]
pub struct NativeLogConfig {
    /// Whether an acknowledgement waits for an fsync.
    pub fsync: bool,
    pub segment_bytes: f64,
    pub segment_ms: Option<f64>,
    pub index_interval_bytes: f64,
    pub segment_index_bytes: f64,
    pub max_batch_bytes: f64,
    /// Whether the records of a batch are looked at before it is stored, not its header and checksum alone.
    pub validate_records: bool,
    /// The number of a codec; without one batches keep theirs.
    pub compression: Option<u32>,
    /// Whether records have the time of their append, not their producer's.
    pub log_append_time: bool,
    pub flush_interval_ms: Option<f64>,
    pub flush_interval_bytes: Option<f64>,
    pub compacts: bool,
    pub deletes: bool,
    pub min_cleanable_dirty_ratio: f64,
    pub delete_retention_ms: f64,
    pub compaction_bytes_per_second: Option<f64>,
    pub compaction_check_ms: Option<f64>,
    pub retention_ms: Option<f64>,
    pub retention_bytes: Option<f64>,
    pub retention_check_ms: Option<f64>,
    /// `off`, `blocks` or `zeros`.
    pub preallocate: String,
    pub low_disk_bytes: Option<f64>,
    pub producer_id_expiration_ms: Option<f64>,
}

impl From<NativeLogConfig> for LogConfig {
    fn from(config: NativeLogConfig) -> Self {
        Self {
            durability: if config.fsync { Durability::Fsync } else { Durability::Os },
            segment_bytes: config.segment_bytes as u64,
            segment_ms: config.segment_ms.map(|ms| ms as i64),
            index_interval_bytes: config.index_interval_bytes as u64,
            index_bytes: config.segment_index_bytes as u64,
            max_batch_bytes: config.max_batch_bytes as u64,
            batch_validation: match config.validate_records {
                true => BatchValidation::Full,
                false => BatchValidation::Header,
            },
            compression: config.compression.and_then(|number| Codec::of(number as u16)),
            timestamp_type: match config.log_append_time {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            flush_interval_ms: config.flush_interval_ms.map(|ms| ms as u64),
            flush_interval_bytes: config.flush_interval_bytes.map(|bytes| bytes as u64),
            cleanup_policy: match (config.compacts, config.deletes) {
                (false, _) => CleanupPolicy::Delete,
                (true, false) => CleanupPolicy::Compact,
                (true, true) => CleanupPolicy::CompactAndDelete,
            },
            min_cleanable_dirty_ratio: config.min_cleanable_dirty_ratio,
            delete_retention_ms: config.delete_retention_ms as i64,
            compaction_bytes_per_second: config.compaction_bytes_per_second.map(|bytes| bytes as u64),
            compaction_check_ms: config.compaction_check_ms.map(|ms| ms as u64),
            retention_ms: config.retention_ms.map(|ms| ms as i64),
            retention_bytes: config.retention_bytes.map(|bytes| bytes as u64),
            retention_check_ms: config.retention_check_ms.map(|ms| ms as u64),
            preallocate: match config.preallocate.as_str() {
                "zeros" => Preallocate::Zeros,
                "blocks" => Preallocate::Blocks,
                _ => Preallocate::Off,
            },
            low_disk_bytes: config.low_disk_bytes.map(|bytes| bytes as u64),
            producer_id_expiration_ms: config.producer_id_expiration_ms.map_or(i64::MAX, |ms| ms as i64),
        }
    }
}

/// A locked data directory.
#[napi]
pub struct NativeDirectory {
    inner: Arc<DataDir>,
    lease: Mutex<Option<Lease<DataDir>>>,
}

impl NativeDirectory {
    fn new(lease: Lease<DataDir>) -> Self {
        Self { inner: lease.value.clone(), lease: Mutex::new(Some(lease)) }
    }
}

task!(OpenDirectory, Lease<DataDir>, NativeDirectory, NativeDirectory::new);
task!(OpenLog, LogShare, NativeLog, NativeLog::new);
task!(ListLogs, Vec<String>, Vec<String>, |names| names);
task!(Finish, (), (), |()| ());

/// Creates what is missing, locks the directory and removes its clean marker; where another environment of the process has
/// done that, the directory is shared with it.
#[napi(catch_unwind)]
pub fn open_directory(path: String, identity: DirectoryIdentity) -> AsyncTask<OpenDirectory> {
    let identity = Identity {
        cluster_id: identity.cluster_id,
        node_id: identity.node_id,
        new_cluster_id: identity.new_cluster_id,
        new_directory_id: identity.new_directory_id,
    };
    let environment = thread::current().id();
    AsyncTask::new(OpenDirectory(Box::new(move || {
        let path = PathBuf::from(path);
        let open = || DataDir::open(storage()?, &path, &identity);
        share_directory(real_path(&path), environment, open)
    })))
}

/// Calls JavaScript from any thread, on the event loop of its environment and without keeping that alive.
fn callback(changed: Function<'_, (), ()>) -> napi::Result<impl Fn() + Send + Sync + use<>> {
    let changed =
        changed.build_threadsafe_function::<()>().weak::<true>().callee_handled::<false>().build()?;
    Ok(move || {
        // An environment that is ending takes no more calls, and needs none.
        let _ = changed.call((), ThreadsafeFunctionCallMode::NonBlocking);
    })
}

/// Opens a log to be read as it is, without a lock and without a change.
#[napi(catch_unwind)]
pub fn open_log_read_only(
    path: String,
    name: String,
    config: NativeLogConfig,
    changed: Function<'_, (), ()>,
) -> napi::Result<AsyncTask<OpenLog>> {
    let changed = callback(changed)?;
    let environment = thread::current().id();
    Ok(AsyncTask::new(OpenLog(Box::new(move || {
        let (path, config) = (PathBuf::from(path), config.into());
        LogShare::open_alone(environment, changed, |changes| {
            let listener: Listener = Box::new(move |_| changes.tell());
            Log::open_read_only(storage()?, &path, &name, config, runner(), listener)
        })
    }))))
}

#[napi]
impl NativeDirectory {
    #[napi(getter, catch_unwind)]
    pub fn cluster_id(&self) -> String {
        self.inner.cluster_id.clone()
    }

    #[napi(getter, catch_unwind)]
    pub fn node_id(&self) -> i32 {
        self.inner.node_id
    }

    #[napi(getter, catch_unwind)]
    pub fn directory_id(&self) -> String {
        self.inner.directory_id.clone()
    }

    #[napi(getter, catch_unwind)]
    pub fn clean_shutdown(&self) -> bool {
        self.inner.clean_shutdown
    }

    /// Names of the sub-directories that hold a log.
    #[napi(catch_unwind)]
    pub fn logs(&self) -> AsyncTask<ListLogs> {
        let inner = self.inner.clone();
        AsyncTask::new(ListLogs(Box::new(move || inner.logs())))
    }

    /// Opens or creates a log; the empty name is the directory itself. `changed` is called after everything that
    /// somebody may wait for: more is durable, the log rolled, failed or closed.
    #[napi(catch_unwind)]
    pub fn open_log(
        &self,
        name: String,
        config: NativeLogConfig,
        changed: Function<'_, (), ()>,
    ) -> napi::Result<AsyncTask<OpenLog>> {
        let changed = callback(changed)?;
        let directory = self.inner.clone();
        let environment = thread::current().id();
        Ok(AsyncTask::new(OpenLog(Box::new(move || {
            let path = directory.log_dir(&name);
            LogShare::open(path, environment, changed, |changes| {
                let listener: Listener = Box::new(move |_| changes.tell());
                Log::open(directory, &name, config.into(), runner(), listener)
            })
        }))))
    }

    /// Repairs what an inspection of a log finds and a repair can put right. The log must not be open.
    #[napi(catch_unwind)]
    pub fn repair_log(&self, name: String, progress: &NativeProgress) -> AsyncTask<Repair> {
        let (inner, progress) = (self.inner.clone(), progress.inner.clone());
        AsyncTask::new(Repair(Box::new(move || repair(&inner, &name, &progress))))
    }

    /// Writes the clean marker if every log closed cleanly, and lets go of the lock; with the last environment that has the
    /// directory open.
    #[napi(catch_unwind)]
    pub fn close(&self) -> AsyncTask<Finish> {
        let lease = self.lease.lock().expect("never held across a panic").take();
        AsyncTask::new(Finish(Box::new(move || match lease {
            Some(lease) => lease.close(|directory| directory.close(), |_| Ok(())),
            None => Ok(()),
        })))
    }
}
