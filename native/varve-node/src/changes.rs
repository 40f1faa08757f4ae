use std::sync::{Condvar, Mutex};

/// Wakes threads of JavaScript that block until a log has changed. Whoever calls back to JavaScript instead has to wait for
/// its event loop, which a blocked thread never gets to.
#[derive(Default)]
pub struct Changes {
    count: Mutex<u64>,
    one_more: Condvar,
}

impl Changes {
    /// The log's listener calls this after every change.
    pub fn tell(&self) {
        *self.count.lock().expect("never held across a panic") += 1;
        self.one_more.notify_all();
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
