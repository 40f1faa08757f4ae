//! When a log wants to be woken, to look at what nobody asks it for.

use std::sync::Arc;
use std::time::Duration;

use crate::log::{Log, State};

/// Kafka's `producer.id.expiration.check.interval.ms`.
const EXPIRY_CHECK: Duration = Duration::from_secs(600);

impl Log {
    /// Asks the runner to be woken at `due`, unless it is going to be earlier anyway.
    pub(crate) fn wake_at(self: &Arc<Self>, state: &mut State, due: Duration) {
        if state.wake_at.is_none_or(|at| due < at) {
            state.wake_at = Some(due);
            self.runner.wake_after(due.saturating_sub(self.runner.now()), Arc::downgrade(self));
        }
    }

    pub(crate) fn schedule_retention(self: &Arc<Self>, state: &mut State) {
        let config = self.config();
        let Some(every) = config.retention_check_ms.filter(|_| config.retains_limited()) else { return };
        let due = self.runner.now() + Duration::from_millis(every);
        state.retention_due = Some(due);
        self.wake_at(state, due);
    }

    pub(crate) fn schedule_compaction(self: &Arc<Self>, state: &mut State) {
        let config = self.config();
        let Some(every) = config.compaction_check_ms.filter(|_| config.cleanup_policy.compacts()) else {
            return;
        };
        let due = self.runner.now() + Duration::from_millis(every);
        state.compaction_due = Some(due);
        self.wake_at(state, due);
    }

    pub(crate) fn schedule_producer_expiry(self: &Arc<Self>, state: &mut State) {
        if state.producers_due.is_some() || state.producers.is_empty() {
            return;
        }
        let due = self.runner.now() + EXPIRY_CHECK;
        state.producers_due = Some(due);
        self.wake_at(state, due);
    }
}
