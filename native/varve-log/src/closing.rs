//! The way from open to closed: everything durable, and what the next open would have to find out left in files.

use crate::error::{LogError, Result};
use crate::log::{Log, Phase};

impl Log {
    /// Ends a compaction that is under way, which would keep the log open until all of it is done: nobody is left who
    /// could close it.
    pub fn desert(&self) {
        self.state().maintenance.close();
    }

    /// Flushes, makes the recovery point durable and closes. Waits for jobs under way, and for the disk.
    pub fn close(&self) -> Result<()> {
        let mut state = self.state();
        state.maintenance.close();
        while state.jobs > 0 || matches!(state.phase, Phase::Closing) {
            state = self.idle.wait(state).expect("the log's lock is never held across a panic");
        }
        let closed = LogError::Closed { dir: self.dir.clone() };
        let compacting = state.maintenance.take_compaction();
        let abandoned = state.maintenance.abandon(&closed);
        let result = match &state.phase {
            Phase::Closed => Ok(()),
            phase @ (Phase::Failed(_) | Phase::ReadOnly) => {
                // A corrupt log lost nothing by closing; a failed one may have, and says so once more.
                let result = match phase {
                    Phase::Failed(error @ LogError::Failed { .. }) => Err(error.clone()),
                    _ => Ok(()),
                };
                state.end();
                drop(state);
                result
            }
            Phase::Open
            | Phase::Rolling
            | Phase::Allocating
            | Phase::Writing
            | Phase::Truncating
            | Phase::Preparing
            | Phase::Closing => {
                state.phase = Phase::Closing;
                let unchanged = state.is_unchanged();
                let plan = state.flush_plan(true);
                let end_offset = state.end_offset;
                let (checkpoint, active) = (state.checkpoint_at(end_offset), state.active().clone());
                let lacks_snapshot = state.lacks_snapshot();
                let knows_producers = !state.producers.is_empty();
                drop(state);
                let finish = || {
                    let mut new_names = knows_producers && lacks_snapshot;
                    if !unchanged {
                        active.trim()?;
                        plan.execute(self)?;
                        active.write_indexes()?;
                        new_names |= active.write_aborted()?;
                    }
                    if lacks_snapshot {
                        self.write_snapshot(end_offset)?;
                    }
                    if new_names {
                        self.sync_names()?;
                    }
                    if unchanged { Ok(()) } else { checkpoint.execute(self) }
                };
                let result = finish();
                let mut state = self.state();
                if result.is_ok() {
                    let end = state.end_mark();
                    self.stats.became_durable(end.offset - state.flushed.offset);
                    state.flushed = end;
                    self.count_acknowledged(&mut state);
                    self.directory.log_closed_cleanly(&self.name);
                }
                state.end();
                result.map_err(|cause| self.failed(cause))
            }
        };
        // What it could not remove now is removed when the log is opened.
        drop(compacting.map(|compacting| compacting.discard()));
        self.idle.notify_all();
        abandoned.tell();
        (self.listener)(self);
        result
    }
}
