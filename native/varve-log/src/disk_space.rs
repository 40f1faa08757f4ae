//! The low-disk mark: appends are refused while there is still room for checkpoints, rolls and deletions, rather than
//! when the disk is full and nothing goes any more.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{LogError, Result};
use crate::log::{Log, State};
use crate::runner::Work;

/// The disk is looked at again after so many bytes, and so often while it is appended to.
const MEASURE_BYTES: u64 = 16 << 20;
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// What is known of the room on a log's disk.
#[derive(Default)]
pub(crate) struct Space {
    /// Free bytes when they were fewer than the mark, the last time somebody looked.
    low: Option<u64>,
    measuring: bool,
    measured_at: Duration,
    bytes_since: u64,
}

impl Log {
    /// Free bytes of the log's disk.
    pub(crate) fn measure_space(&self) -> Result<u64> {
        self.directory.storage.free_bytes(&self.dir).map_err(LogError::io("measure the space of", &self.dir))
    }

    /// Takes a measurement. While it is too low the log wakes to look again.
    pub(crate) fn measured(self: &Arc<Self>, state: &mut State, free: u64) {
        let low = self.config().low_disk_bytes.is_some_and(|mark| free < mark);
        let now = self.runner.now();
        state.space = Space { low: low.then_some(free), measured_at: now, ..Space::default() };
        if low {
            let due = now + MEASURE_EVERY;
            state.space_due = Some(due);
            self.wake_at(state, due);
        }
    }

    /// Goes by another mark: by what is known of the room now, and by a look at the disk as soon as there is an append.
    pub(crate) fn move_low_disk_mark(&self, state: &mut State) {
        let mark = self.config().low_disk_bytes;
        state.space.low = state.space.low.filter(|&free| mark.is_some_and(|mark| free < mark));
        state.space.bytes_since = MEASURE_BYTES;
    }

    /// Why nothing is appended now, if the disk is too full for it.
    pub(crate) fn low_disk(&self, state: &State) -> Option<LogError> {
        let (free, mark) = (state.space.low?, self.config().low_disk_bytes?);
        Some(LogError::LowDisk { dir: self.dir.clone(), free, mark })
    }

    /// A look at the disk, if one is due after so many more bytes.
    pub(crate) fn plan_measure(&self, state: &mut State, appended: u64) -> Option<Work> {
        self.config().low_disk_bytes?;
        let space = &mut state.space;
        space.bytes_since += appended;
        let elapsed = self.runner.now().saturating_sub(space.measured_at);
        let due = space.bytes_since >= MEASURE_BYTES || elapsed >= MEASURE_EVERY;
        if !due || space.measuring {
            return None;
        }
        space.measuring = true;
        Some(Work::MeasureSpace)
    }
}
