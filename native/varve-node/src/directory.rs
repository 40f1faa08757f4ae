use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use napi::Either;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use varve_log::repair::repair;
use varve_log::runner::{Runner, ThreadRunner};
use varve_log::storage::Storage;
use varve_log::turned_runner::TurnedRunner;
use varve_log::{DataDir, Identity, Listener, Log, UnsyncedStorage, replace_file};

use crate::changed_logs::NativeChangedLogs;
use crate::changes::Subscriber;
use crate::disk_threads::threads_of;
use crate::failure::{Failure, task};
use crate::fault::storage;
use crate::inspect::{NativeProgress, Repair};
use crate::log::NativeLog;
use crate::log_config::NativeLogConfig;
use crate::registry::{Lease, real_path};
use crate::shared_log::{LogShare, share_directory};

/// Who a data directory belongs to; see `Identity` of the engine.
#[napi(object)]
pub struct DirectoryIdentity {
    pub cluster_id: Option<String>,
    pub node_id: Option<i32>,
    pub new_cluster_id: String,
    pub new_directory_id: String,
}

/// What a data directory is for, where that is not the usual.
#[napi(object)]
pub struct DirectoryUse {
    /// Its bytes need not outlive the power.
    pub is_volatile: bool,
    /// What its clock shows until it is turned, in milliseconds since 1970; otherwise it has the machine's time.
    pub time_ms: Option<i64>,
}

/// A locked data directory.
#[napi]
pub struct NativeDirectory {
    inner: Arc<DataDir>,
    lease: Mutex<Option<Lease<DataDir>>>,
    threads: Arc<ThreadRunner>,
    clock: Option<Arc<TurnedRunner>>,
}

/// A directory that is open, with the threads of its disk.
pub struct Opened {
    lease: Lease<DataDir>,
    threads: Arc<ThreadRunner>,
    clock: Option<Arc<TurnedRunner>>,
}

impl NativeDirectory {
    fn new(Opened { lease, threads, clock }: Opened) -> Self {
        Self { inner: lease.value.clone(), lease: Mutex::new(Some(lease)), threads, clock }
    }

    fn runner(&self) -> Arc<dyn Runner> {
        match &self.clock {
            Some(turned) => turned.clone(),
            None => self.threads.clone(),
        }
    }
}

task!(OpenDirectory, Opened, NativeDirectory, NativeDirectory::new);
task!(OpenLog, LogShare, NativeLog, NativeLog::new);
task!(OpenLogs, Vec<varve_log::Result<LogShare>>, Vec<Either<NativeLog, Failure>>, |shares: Vec<_>| {
    shares.into_iter().map(opened).collect::<Vec<_>>()
});
task!(ListLogs, Vec<String>, Vec<String>, |names| names);
task!(Finish, (), (), |()| ());

/// A log that is to be opened.
#[napi(object)]
pub struct NativeWanted {
    pub name: String,
    pub config: NativeLogConfig,
    /// What the environment calls it.
    pub number: u32,
}

/// So many threads open logs that were asked for together; more would only wait for the same disk.
const OPENING_THREADS: usize = 4;

fn opened(share: varve_log::Result<LogShare>) -> Either<NativeLog, Failure> {
    match share {
        Ok(share) => Either::A(NativeLog::new(share)),
        Err(error) => Either::B(error.into()),
    }
}

/// Creates what is missing, locks the directory and removes its clean marker; where another environment of the process has
/// done that, the directory is shared with it.
#[napi(catch_unwind)]
pub fn open_directory(
    path: String,
    identity: DirectoryIdentity,
    DirectoryUse { is_volatile, time_ms }: DirectoryUse,
) -> AsyncTask<OpenDirectory> {
    let identity = Identity {
        cluster_id: identity.cluster_id,
        node_id: identity.node_id,
        new_cluster_id: identity.new_cluster_id,
        new_directory_id: identity.new_directory_id,
    };
    let environment = thread::current().id();
    AsyncTask::new(OpenDirectory(Box::new(move || {
        let path = PathBuf::from(path);
        let open = || {
            let disk = storage()?;
            let disk: Arc<dyn Storage> = if is_volatile { Arc::new(UnsyncedStorage(disk)) } else { disk };
            DataDir::open(disk, &path, &identity)
        };
        let lease = share_directory(real_path(&path), environment, open)?;
        let threads = threads_of(&path);
        let clock = time_ms.map(|now| Arc::new(TurnedRunner::new(threads.clone(), now)));
        Ok(Opened { lease, threads, clock })
    })))
}

/// The calling environment, and how it is to be told of a log.
fn subscriber(changed_logs: &NativeChangedLogs, number: u32) -> Subscriber {
    Subscriber { environment: thread::current().id(), changed_logs: changed_logs.inner.clone(), number }
}

/// Replaces the `partition.metadata` of a partition's directory, so that a crash leaves either none or a whole one.
#[napi(catch_unwind)]
pub fn write_partition_metadata(dir: String, content: String, durable: bool) -> AsyncTask<Finish> {
    AsyncTask::new(Finish(Box::new(move || {
        let disk = storage()?;
        let disk: Arc<dyn Storage> = if durable { disk } else { Arc::new(UnsyncedStorage(disk)) };
        replace_file(disk.as_ref(), Path::new(&dir), "partition.metadata", content.as_bytes())
    })))
}

/// Opens a log to be read as it is, without a lock and without a change.
#[napi(catch_unwind)]
pub fn open_log_read_only(
    path: String,
    name: String,
    config: NativeLogConfig,
    changed_logs: &NativeChangedLogs,
    number: u32,
) -> AsyncTask<OpenLog> {
    let subscriber = subscriber(changed_logs, number);
    AsyncTask::new(OpenLog(Box::new(move || {
        let (path, config) = (PathBuf::from(path), config.into());
        LogShare::open_alone(subscriber, |changes| {
            let listener: Listener = Box::new(move |_| changes.tell());
            Log::open_read_only(storage()?, &path, &name, config, threads_of(&path), listener)
        })
    })))
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

    /// Opens or creates logs; the empty name is the directory itself. The environment is told, by their numbers, of
    /// everything that somebody may wait for: more is durable, the log rolled, failed or closed.
    #[napi(catch_unwind)]
    pub fn open_logs(
        &self,
        wanted: Vec<NativeWanted>,
        changed_logs: &NativeChangedLogs,
    ) -> AsyncTask<OpenLogs> {
        let (directory, runner) = (self.inner.clone(), self.runner());
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|NativeWanted { name, config, number }| {
                (name, config.into(), subscriber(changed_logs, number))
            })
            .collect();
        AsyncTask::new(OpenLogs(Box::new(move || {
            Ok(LogShare::open_all(&directory, wanted, &runner, OPENING_THREADS))
        })))
    }

    /// Sets the time of a directory that was opened with one, and resolves when its logs have done what was due by then.
    #[napi(catch_unwind)]
    pub fn turn_clock_to(&self, time_ms: i64) -> AsyncTask<Finish> {
        let clock = self.clock.clone();
        AsyncTask::new(Finish(Box::new(move || {
            if let Some(clock) = clock {
                clock.turn_to(time_ms);
            }
            Ok(())
        })))
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
