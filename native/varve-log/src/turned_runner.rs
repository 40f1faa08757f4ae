//! Time that stands still until somebody turns it: for whoever wants to see at once what days would bring, as tests do.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::log::Log;
use crate::runner::{Job, Runner};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Lets another runner do the jobs, and tells logs the time that [`TurnedRunner::turn_to`] has set.
pub struct TurnedRunner {
    jobs: Arc<dyn Runner>,
    turned: Arc<Turned>,
}

struct Turned {
    state: Mutex<State>,
    idle: Condvar,
}

struct State {
    began_ms: i64,
    now_ms: i64,
    /// Logs to be woken, by when; the number tells apart those of one moment.
    alarms: BTreeMap<(Duration, u64), Weak<Log>>,
    numbers: u64,
    under_way: usize,
}

impl State {
    fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms.abs_diff(self.began_ms))
    }
}

impl Turned {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("never held across a panic")
    }
}

/// Counts a job until its log has been told of what it did.
struct UnderWay(Arc<Turned>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= 1;
        if state.under_way == 0 {
            self.0.idle.notify_all();
        }
    }
}

impl TurnedRunner {
    /// `now_ms` is what the clock shows, in milliseconds since 1970.
    pub fn new(jobs: Arc<dyn Runner>, now_ms: i64) -> Self {
        let state = State { began_ms: now_ms, now_ms, alarms: BTreeMap::new(), numbers: 0, under_way: 0 };
        Self { jobs, turned: Arc::new(Turned { state: Mutex::new(state), idle: Condvar::new() }) }
    }

    /// Sets the time, never back, wakes the logs that have waited for it, and returns when nothing is left to be done.
    pub fn turn_to(&self, now_ms: i64) {
        let mut state = self.turned.state();
        state.now_ms = state.now_ms.max(now_ms);
        loop {
            let now = state.now();
            if state.alarms.first_key_value().is_some_and(|(&(at, _), _)| at <= now) {
                let (_, log) = state.alarms.pop_first().expect("looked at above");
                drop(state);
                if let Some(log) = log.upgrade() {
                    log.wake();
                }
                state = self.turned.state();
            } else if state.under_way > 0 {
                state = self.turned.idle.wait(state).expect("never held across a panic");
            } else {
                return;
            }
        }
    }
}

impl Runner for TurnedRunner {
    fn submit(&self, job: Job) {
        self.turned.state().under_way += 1;
        self.jobs.submit(job.keeping(UnderWay(self.turned.clone())));
    }

    fn wake_after(&self, delay: Duration, log: Weak<Log>) {
        let mut state = self.turned.state();
        // Beyond what a clock can hold is never.
        let Some(at) = state.now().checked_add(delay) else { return };
        state.numbers += 1;
        let number = state.numbers;
        state.alarms.insert((at, number), log);
    }

    fn now(&self) -> Duration {
        self.turned.state().now()
    }

    fn wall_clock_ms(&self) -> i64 {
        self.turned.state().now_ms
    }
}
