use std::path::PathBuf;
use std::sync::Arc;

use varve_log::runner::Runner;
use varve_log::{ClosingTurn, DataDir, Listener, Log, LogConfig, LogError, Phase, Result, Wanted};

use crate::changes::{Changes, Subscriber};
use crate::registry::{Claim, Environment, Lease, Registry, Share};

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

/// An environment's share of a log, which tells it of changes.
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
    fn new(holding: Holding, subscriber: Subscriber) -> Self {
        let (changes, environment) = (holding.shared().changes.clone(), subscriber.environment);
        changes.subscribe(subscriber);
        Self { holding, _subscription: Subscription { changes, environment } }
    }

    /// Joins the environments that have the logs open, or opens those that none has.
    pub fn open_all(
        directory: &Arc<DataDir>,
        wanted: Vec<(String, LogConfig, Subscriber)>,
        runner: &Arc<dyn Runner>,
        threads: usize,
    ) -> Vec<Result<Self>> {
        let mut shares: Vec<Option<Result<Self>>> = wanted.iter().map(|_| None).collect();
        let mut vacant = Vec::new();
        let mut ordered: Vec<_> = wanted.into_iter().enumerate().collect();
        ordered.sort_by(|(_, (one, ..)), (_, (other, ..))| one.cmp(other));
        for (index, (name, config, subscriber)) in ordered {
            match LOGS.claim(directory.log_dir(&name), subscriber.environment) {
                Err(error) => shares[index] = Some(Err(error)),
                Ok(Claim::Joined(lease)) => {
                    shares[index] = Some(Ok(Self::new(Holding::Shared(lease), subscriber)));
                }
                Ok(Claim::Vacant(place)) => vacant.push((index, place, name, config, subscriber)),
            }
        }
        // In the order in which they were asked for.
        vacant.sort_by_key(|(index, ..)| *index);
        let mut opening = Vec::with_capacity(vacant.len());
        let mut places = Vec::with_capacity(vacant.len());
        for (index, place, name, config, subscriber) in vacant {
            let changes = Arc::new(Changes::default());
            let listener: Listener = Box::new({
                let changes = changes.clone();
                move |_| changes.tell()
            });
            opening.push(Wanted { name, config, listener });
            places.push((index, place, changes, subscriber));
        }
        let opened = Log::open_all(directory, opening, runner, threads);
        for ((index, place, changes, subscriber), log) in places.into_iter().zip(opened) {
            shares[index] = Some(log.map(|log| {
                let lease = place.fill(Arc::new(SharedLog { log, changes }));
                Self::new(Holding::Shared(lease), subscriber)
            }));
        }
        shares.into_iter().map(|share| share.expect("each was joined, opened or refused")).collect()
    }

    /// Opens a log for this environment alone.
    pub fn open_alone(
        subscriber: Subscriber,
        open: impl FnOnce(Arc<Changes>) -> Result<Arc<Log>>,
    ) -> Result<Self> {
        Ok(Self::new(Holding::Alone(open_shared(open)?), subscriber))
    }

    pub fn log(&self) -> &Arc<Log> {
        &self.holding.shared().log
    }

    pub fn changes(&self) -> &Arc<Changes> {
        &self.holding.shared().changes
    }

    /// Ends the share; the last one closes the log.
    pub fn close(self, turn: ClosingTurn) -> Result<()> {
        self.end(|log| log.close_in_turn(turn))
    }

    /// Ends the share; the last one closes the log without a flush.
    pub fn discard(self) -> Result<()> {
        self.end(|log| {
            log.discard();
            Ok(())
        })
    }

    fn end(self, close: impl FnOnce(&Log) -> Result<()>) -> Result<()> {
        let close = |shared: &Arc<SharedLog>| close(&shared.log);
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
