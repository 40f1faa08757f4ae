use std::path::PathBuf;
use std::sync::Arc;

use varve_log::{DataDir, Log, LogError, Phase, Result};

use crate::changes::Changes;
use crate::registry::{Environment, Lease, Registry, Share};

static DIRECTORIES: Registry<DataDir> = Registry::new();
static LOGS: Registry<SharedLog> = Registry::new();

impl Share for DataDir {
    fn desert(self: &Arc<Self>) -> Box<dyn Fn() -> bool + Send> {
        let weak = Arc::downgrade(self);
        Box::new(move || weak.strong_count() > 0)
    }
}

/// A log that environments of this process have open together.
pub struct SharedLog {
    pub log: Arc<Log>,
    pub changes: Arc<Changes>,
}

impl Share for SharedLog {
    fn desert(self: &Arc<Self>) -> Box<dyn Fn() -> bool + Send> {
        self.log.desert();
        let weak = Arc::downgrade(&self.log);
        Box::new(move || weak.strong_count() > 0)
    }
}

/// Joins the environments that have the data directory open, or opens it.
pub fn share_directory(
    path: PathBuf,
    environment: Environment,
    open: impl FnOnce() -> Result<Arc<DataDir>>,
) -> Result<Lease<DataDir>> {
    DIRECTORIES.open(path, environment, open)
}

/// An environment's share of a log, with the callback that tells it of changes.
pub struct LogShare {
    holding: Holding,
    _subscription: Subscription,
}

enum Holding {
    Shared(Lease<SharedLog>),
    /// A log that is only read takes nothing from anybody.
    Alone(Arc<SharedLog>),
}

impl Holding {
    fn shared(&self) -> &Arc<SharedLog> {
        match self {
            Self::Shared(lease) => &lease.value,
            Self::Alone(shared) => shared,
        }
    }
}

struct Subscription {
    changes: Arc<Changes>,
    environment: Environment,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.changes.unsubscribe(self.environment);
    }
}

fn open_shared(open: impl FnOnce(Arc<Changes>) -> Result<Arc<Log>>) -> Result<Arc<SharedLog>> {
    let changes = Arc::new(Changes::default());
    let log = open(changes.clone())?;
    Ok(Arc::new(SharedLog { log, changes }))
}

impl LogShare {
    fn new(holding: Holding, environment: Environment, changed: impl Fn() + Send + Sync + 'static) -> Self {
        let changes = holding.shared().changes.clone();
        changes.subscribe(environment, Box::new(changed));
        Self { holding, _subscription: Subscription { changes, environment } }
    }

    /// Joins the environments that have the log in `path` open, or opens it.
    pub fn open(
        path: PathBuf,
        environment: Environment,
        changed: impl Fn() + Send + Sync + 'static,
        open: impl FnOnce(Arc<Changes>) -> Result<Arc<Log>>,
    ) -> Result<Self> {
        let lease = LOGS.open(path, environment, || open_shared(open))?;
        Ok(Self::new(Holding::Shared(lease), environment, changed))
    }

    /// Opens a log for this environment alone.
    pub fn open_alone(
        environment: Environment,
        changed: impl Fn() + Send + Sync + 'static,
        open: impl FnOnce(Arc<Changes>) -> Result<Arc<Log>>,
    ) -> Result<Self> {
        Ok(Self::new(Holding::Alone(open_shared(open)?), environment, changed))
    }

    pub fn log(&self) -> &Arc<Log> {
        &self.holding.shared().log
    }

    pub fn changes(&self) -> &Arc<Changes> {
        &self.holding.shared().changes
    }

    /// Ends the share; the last one closes the log.
    pub fn close(self) -> Result<()> {
        let close = |shared: &Arc<SharedLog>| shared.log.close();
        match self.holding {
            Holding::Alone(shared) => close(&shared),
            Holding::Shared(lease) => lease.close(close, |shared| match shared.log.phase() {
                // What it appended may be lost, whoever else goes on to use the log.
                Phase::Failed(error @ LogError::Failed { .. }) => Err(error),
                _ => Ok(()),
            }),
        }
    }
}
