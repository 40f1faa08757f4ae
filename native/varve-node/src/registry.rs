//! What the environments of this process, its main thread and its workers, have open together: a directory has one lock
//! and a log one writer, however many of them use it. Each holds a [`Lease`]; the last one closes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use varve_log::{LogError, Result};

/// An environment of JavaScript has a thread of its own, whose id no other thread ever gets.
pub type Environment = ThreadId;

/// How long somebody who opens waits for the threads of an environment that ended without closing.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What environments can share.
pub trait Share: Send + Sync + 'static {
    /// Called when no environment has it any more, none of which has closed it. Tells whether anybody has it still.
    fn desert(self: &Arc<Self>) -> Box<dyn Fn() -> bool + Send>;
}

pub struct Registry<T: Share> {
    slots: Mutex<BTreeMap<PathBuf, Slot<T>>>,
    changed: Condvar,
}

enum Slot<T> {
    /// Somebody opens or closes it, for whom all others wait.
    Busy,
    Open {
        value: Arc<T>,
        users: Vec<Environment>,
    },
    /// Its environments ended without closing it; threads of theirs may still have it for a moment.
    Left(Box<dyn Fn() -> bool + Send>),
}

/// An environment's share. Dropped without [`Lease::close`], as when a worker is terminated, it leaves what it shares to
/// the others, and to nobody if there are none.
pub struct Lease<T: Share> {
    registry: &'static Registry<T>,
    key: PathBuf,
    environment: Environment,
    pub value: Arc<T>,
    is_over: bool,
}

impl<T: Share> Registry<T> {
    pub const fn new() -> Self {
        Self { slots: Mutex::new(BTreeMap::new()), changed: Condvar::new() }
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Slot<T>>> {
        self.slots.lock().expect("never held across a panic")
    }

    /// Joins those who have it open, or opens it. Waits for whoever opens or closes it now.
    pub fn open(
        &'static self,
        key: PathBuf,
        environment: Environment,
        open: impl FnOnce() -> Result<Arc<T>>,
    ) -> Result<Lease<T>> {
        match self.claim(key, environment)? {
            Claim::Joined(lease) => Ok(lease),
            Claim::Vacant(place) => Ok(place.fill(open()?)),
        }
    }

    /// Joins those who have it open, or keeps all others waiting until it is open. Who claims several does so in the order
    /// of their keys: two could else wait for each other.
    pub fn claim(&'static self, key: PathBuf, environment: Environment) -> Result<Claim<T>> {
        let deadline = Instant::now() + PATIENCE;
        let mut slots = self.slots();
        loop {
            let wait = match slots.get_mut(&key) {
                None => break,
                Some(Slot::Busy) => PATIENCE,
                Some(Slot::Left(remains)) if remains() && Instant::now() < deadline => LOOK_AGAIN,
                Some(Slot::Left(_)) => break,
                Some(Slot::Open { users, .. }) if users.contains(&environment) => {
                    return Err(LogError::Locked { dir: key });
                }
                Some(Slot::Open { value, users }) => {
                    users.push(environment);
                    let value = value.clone();
                    return Ok(Claim::Joined(Lease {
                        registry: self,
                        key,
                        environment,
                        value,
                        is_over: false,
                    }));
                }
            };
            slots = self.changed.wait_timeout(slots, wait).expect("never held across a panic").0;
        }
        slots.insert(key.clone(), Slot::Busy);
        Ok(Claim::Vacant(Place { busy: Busy { registry: self, key, is_filled: false }, environment }))
    }

    /// Takes the environment off the list; true when it was the last.
    fn leave(slots: &mut BTreeMap<PathBuf, Slot<T>>, key: &Path, environment: Environment) -> bool {
        match slots.get_mut(key) {
            Some(Slot::Open { users, .. }) => {
                users.retain(|user| *user != environment);
                users.is_empty()
            }
            _ => false,
        }
    }
}

/// What became of a wish to have something open.
pub enum Claim<T: Share> {
    Joined(Lease<T>),
    Vacant(Place<T>),
}

/// The right to open something. Dropped without [`Place::fill`], it is the next one's.
pub struct Place<T: Share> {
    busy: Busy<T>,
    environment: Environment,
}

impl<T: Share> Place<T> {
    pub fn fill(mut self, value: Arc<T>) -> Lease<T> {
        let Busy { registry, ref key, ref mut is_filled } = self.busy;
        *is_filled = true;
        let (key, environment) = (key.clone(), self.environment);
        registry.slots().insert(key.clone(), Slot::Open { value: value.clone(), users: vec![environment] });
        registry.changed.notify_all();
        Lease { registry, key, environment, value, is_over: false }
    }
}

/// Frees the slot at the end of opening and closing, whatever comes in between.
struct Busy<T: Share> {
    registry: &'static Registry<T>,
    key: PathBuf,
    is_filled: bool,
}

impl<T: Share> Drop for Busy<T> {
    fn drop(&mut self) {
        if !self.is_filled {
            self.registry.slots().remove(&self.key);
            self.registry.changed.notify_all();
        }
    }
}

impl<T: Share> Lease<T> {
    /// Ends the share: `last` closes what nobody else has, `others` answers where somebody has.
    pub fn close(
        mut self,
        last: impl FnOnce(&Arc<T>) -> Result<()>,
        others: impl FnOnce(&Arc<T>) -> Result<()>,
    ) -> Result<()> {
        self.is_over = true;
        let mut slots = self.registry.slots();
        if !Registry::leave(&mut slots, &self.key, self.environment) {
            drop(slots);
            return others(&self.value);
        }
        slots.insert(self.key.clone(), Slot::Busy);
        drop(slots);
        let busy = Busy { registry: self.registry, key: self.key.clone(), is_filled: false };
        let result = last(&self.value);
        drop(busy);
        result
    }
}

impl<T: Share> Drop for Lease<T> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut slots = self.registry.slots();
        if Registry::leave(&mut slots, &self.key, self.environment) {
            slots.insert(self.key.clone(), Slot::Left(self.value.desert()));
        }
        drop(slots);
        self.registry.changed.notify_all();
    }
}

/// One name for a path, whatever links lead to it and whether it is there yet.
pub fn real_path(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent != Path::new("") => real_path(parent).join(name),
        _ => path.to_path_buf(),
    }
}
