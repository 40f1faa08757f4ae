use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::registry::Environment;

type Callback = Box<dyn Fn() + Send + Sync>;

/// Who is told that a log has changed: callbacks into the environments that have it open, and threads of JavaScript that
/// block until it has, whose event loops no callback ever gets to.
#[derive(Default)]
pub struct Changes {
    callbacks: Mutex<Vec<(Environment, Callback)>>,
    write_watchers: AtomicI64,
    count: Mutex<u64>,
    one_more: Condvar,
}

impl Changes {
    fn callbacks(&self) -> MutexGuard<'_, Vec<(Environment, Callback)>> {
        self.callbacks.lock().expect("never held across a panic")
    }

    pub fn subscribe(&self, environment: Environment, callback: Callback) {
        self.callbacks().push((environment, callback));
    }

    pub fn watch_writes(&self, one_more: bool) {
        self.write_watchers.fetch_add(if one_more { 1 } else { -1 }, Ordering::Relaxed);
    }

    pub fn writes_are_watched(&self) -> bool {
        self.write_watchers.load(Ordering::Relaxed) > 0
    }

    /// From here on nothing of the environment is called any more.
    pub fn unsubscribe(&self, environment: Environment) {
        self.callbacks().retain(|(each, _)| *each != environment);
    }

    /// The log's listener calls this after every change.
    pub fn tell(&self) {
        *self.count.lock().expect("never held across a panic") += 1;
        self.one_more.notify_all();
        self.callbacks().iter().for_each(|(_, callback)| callback());
    }

    /// Tells all environments but one, which knows: of an append that counts as soon as it is written, or whose
    /// writing somebody watches.
    pub fn tell_others(&self, environment: Environment) {
        let callbacks = self.callbacks();
        callbacks.iter().filter(|(each, _)| *each != environment).for_each(|(_, callback)| callback());
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
