use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::changed_logs::ChangedLogs;
use crate::registry::Environment;

/// Who is told that a log has changed: the environments that have it open, and threads of JavaScript that block until it
/// has, whose event loops no call ever gets to.
#[derive(Default)]
pub struct Changes {
    subscribers: Mutex<Vec<Subscriber>>,
    write_watchers: AtomicI64,
    count: Mutex<u64>,
    one_more: Condvar,
}

/// An environment that has the log open, and the number that it knows the log by.
pub struct Subscriber {
    pub environment: Environment,
    pub changed_logs: Arc<ChangedLogs>,
    pub number: u32,
}

impl Subscriber {
    fn tell(&self) {
        self.changed_logs.note(self.number);
    }
}

impl Changes {
    fn subscribers(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        self.subscribers.lock().expect("never held across a panic")
    }

    pub fn subscribe(&self, subscriber: Subscriber) {
        self.subscribers().push(subscriber);
    }

    pub fn watch_writes(&self, one_more: bool) {
        self.write_watchers.fetch_add(if one_more { 1 } else { -1 }, Ordering::Relaxed);
    }

    pub fn writes_are_watched(&self) -> bool {
        self.write_watchers.load(Ordering::Relaxed) > 0
    }

    /// From here on the environment is told nothing any more.
    pub fn unsubscribe(&self, environment: Environment) {
        self.subscribers().retain(|each| each.environment != environment);
    }

    /// The log's listener calls this after every change.
    pub fn tell(&self) {
        *self.count.lock().expect("never held across a panic") += 1;
        self.one_more.notify_all();
        self.subscribers().iter().for_each(Subscriber::tell);
    }

    /// Tells all environments but one, which knows: of an append that counts as soon as it is written, or whose
    /// writing somebody watches.
    pub fn tell_others(&self, environment: Environment) {
        self.subscribers().iter().filter(|each| each.environment != environment).for_each(Subscriber::tell);
    }

    /// Blocks until `condition` holds, which is asked now and after every change.
    pub fn wait_until(&self, condition: impl Fn() -> bool) {
        loop {
            let seen = *self.count.lock().expect("never held across a panic");
            if condition() {
                return;
            }
            let count = self.count.lock().expect("never held across a panic");
            drop(self.one_more.wait_while(count, |count| *count == seen).expect("never held across a panic"));
        }
    }
}
