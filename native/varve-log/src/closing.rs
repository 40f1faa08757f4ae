//! The way from open to closed: everything durable, and what the next open would have to find out left in files.

use crate::compacting::Compacting;
use crate::data_dir::ClosingTurn;
use crate::error::{LogError, Result};
use crate::log::{Log, Phase, State};
use crate::maintenance::Told;
use crate::sync::MutexGuard;

impl Log {
    /// Ends a compaction that is under way, which would keep the log open until all of it is done: nobody is left who
    /// could close it.
    pub fn desert(&self) {
        self.state().maintenance.close();
    }

    /// Flushes and closes. Waits for jobs under way, and for the disk.
    pub fn close(&self) -> Result<()> {
        self.close_in_turn(self.begin_closing())
    }

    /// Asks for a close, to come at once or on another thread: of all that have been asked for in a data directory, the
    /// last one makes the recovery points durable.
    pub fn begin_closing(&self) -> ClosingTurn {
        self.directory.begin_closing()
    }

    /// See [`Log::close`].
    pub fn close_in_turn(&self, turn: ClosingTurn) -> Result<()> {
        let (mut state, ended) = self.begin_end();
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
                    if !unchanged {
                        checkpoint.prepare(self)?;
                        turn.note_recovery_point(&self.name, end_offset);
                    }
                    Ok(())
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
                result
            }
        };
        let result = result.and(turn.end()).map_err(|cause| match cause {
            failed @ LogError::Failed { .. } => failed,
            cause => self.failed(cause),
        });
        ended.tell(self);
        result
    }

    /// Closes without a flush: for a log whose directory is about to be removed. Waits for jobs under way.
    pub fn discard(&self) {
        let (mut state, ended) = self.begin_end();
        if !matches!(state.phase, Phase::Closed) {
            self.directory.log_discarded(&self.name);
            state.end();
        }
        drop(state);
        ended.tell(self);
    }

    /// Waits until nothing is under way, and gives up what waits for its turn.
    fn begin_end(&self) -> (MutexGuard<'_, State>, Ended) {
        let mut state = self.state();
        state.maintenance.close();
        while state.jobs > 0 || matches!(state.phase, Phase::Closing) {
            state = self.idle.wait(state).expect("the log's lock is never held across a panic");
        }
        let closed = LogError::Closed { dir: self.dir.clone() };
        let compacting = state.maintenance.take_compaction();
        let abandoned = state.maintenance.abandon(&closed);
        (state, Ended { compacting, abandoned })
    }
}

/// What remains to be done when a log has ended.
struct Ended {
    compacting: Option<Box<Compacting>>,
    abandoned: Told,
}

impl Ended {
    fn tell(self, log: &Log) {
        // What it could not remove now is removed when the log is opened.
        drop(self.compacting.map(|compacting| compacting.discard()));
        log.idle.notify_all();
        self.abandoned.tell();
        (log.listener)(log);
    }
}
