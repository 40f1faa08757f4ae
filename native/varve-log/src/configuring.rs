//! Changing how a log is written and kept while it is open.

use std::sync::Arc;

use crate::error::Result;
use crate::log::{Log, State};
use crate::log_config::{Durability, LogConfig};

impl Log {
    /// What is in force now.
    pub fn config(&self) -> Arc<LogConfig> {
        self.config.read().expect("never held across a panic").clone()
    }

    pub(crate) fn is_in_force(&self, config: &Arc<LogConfig>) -> bool {
        Arc::ptr_eq(config, &self.config.read().expect("never held across a panic"))
    }

    /// Changes the configuration: for every append that is written from now on, and for what the log looks at from time to
    /// time from the next look on. What readers have seen they go on to see: under [`Durability::Fsync`] instead of
    /// [`Durability::Os`] a flush of it is asked for, and only later appends wait for theirs.
    pub fn configure(self: &Arc<Self>, change: impl FnOnce(&mut LogConfig)) -> Result<()> {
        let mut state = self.state();
        if !state.phase.takes_writes() {
            return Err(self.refusal(&state.phase));
        }
        let before = self.config();
        let mut config = *before;
        change(&mut config);
        let config = config.within_limits()?;
        let seen = self.visible(&state);
        *self.config.write().expect("never held across a panic") = Arc::new(config);
        if config.durability == Durability::Fsync && before.durability == Durability::Os {
            state.seen = seen;
            state.flush_wanted = state.end_offset;
        }
        self.count_acknowledged(&mut state);
        self.reschedule(&mut state, &before);
        let work = [self.plan_measure(&mut state, 0), state.plan_flush()];
        self.hand_out(state, work.into_iter().flatten());
        // Appends may have become visible, and those that were looked at under what was in force are offered again.
        (self.listener)(self);
        Ok(())
    }

    /// Alarms stay where nothing of theirs has changed, so that changing other things all the time puts nothing off.
    fn reschedule(self: &Arc<Self>, state: &mut State, before: &LogConfig) {
        let config = self.config();
        let retention = |config: &LogConfig| config.retention_check_ms.filter(|_| config.retains_limited());
        if retention(&config) != retention(before) {
            state.retention_due = None;
            self.schedule_retention(state);
        }
        let compaction =
            |config: &LogConfig| config.compaction_check_ms.filter(|_| config.cleanup_policy.compacts());
        if compaction(&config) != compaction(before) {
            state.compaction_due = None;
            self.schedule_compaction(state);
        }
        if config.producer_id_expiration_ms != before.producer_id_expiration_ms {
            self.expire_producers(state);
        }
        if config.flush_interval_ms != before.flush_interval_ms {
            state.flush_due = None;
        }
        if config.durability == Durability::Os {
            self.want_flush_in_time(state);
        }
        if config.low_disk_bytes != before.low_disk_bytes {
            self.move_low_disk_mark(state);
        }
    }
}
