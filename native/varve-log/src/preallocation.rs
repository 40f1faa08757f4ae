//! Room ahead of a log's end. A file that grows must have blocks found for it and its length journaled by every fsync;
//! blocks that are there already cost neither. The step grows with the log's rate, and a small log has none.

use std::sync::Arc;
use std::time::Duration;

use crate::log::{Log, Phase, State};
use crate::runner::Work;
use crate::segment::Segment;

/// What is prepared ahead of the end of the active segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preallocate {
    Off,
    /// Blocks behind the end of the file, which keeps its length.
    Blocks,
    /// Zeros, so that the length stays as well; appends wait while they are written. A tail of them is the log's end.
    Zeros,
}

const LEAST_STEP: u64 = 1 << 20;
const LARGEST_STEP: u64 = 16 << 20;
/// A step that is used up faster than this doubles, one that lasts ten times longer halves.
const STEP_SHOULD_LAST: Duration = Duration::from_secs(1);

/// How far the active segment has been prepared.
pub(crate) struct Allocation {
    segment_base: i64,
    up_to: u64,
    step: u64,
    stepped_at: Duration,
    running: bool,
    /// The file system refused once.
    refused: bool,
}

impl Default for Allocation {
    fn default() -> Self {
        let stepped_at = Duration::ZERO;
        Self { segment_base: -1, up_to: 0, step: LEAST_STEP, stepped_at, running: false, refused: false }
    }
}

/// Room for a segment, to be made on a thread.
pub struct AllocationPlan {
    segment: Arc<Segment>,
    from: u64,
    up_to: u64,
    zeros: bool,
}

impl AllocationPlan {
    /// Whether there was room. Where there is none, or no such thing on this file system, appends go on without.
    pub(crate) fn execute(&self) -> bool {
        self.segment.allocate(self.from, self.up_to, self.zeros)
    }
}

impl Log {
    /// The next step ahead of the end, if it is time for one.
    pub(crate) fn plan_allocation(&self, state: &mut State) -> Option<Work> {
        let config = self.config();
        let zeros = config.preallocate == Preallocate::Zeros;
        let active = state.active().clone();
        let bytes = active.bytes();
        let is_small = state.segments.len() == 1 && bytes < LEAST_STEP;
        let off = config.preallocate == Preallocate::Off || state.allocation.refused;
        if off || is_small || state.allocation.running || !state.phase.takes_writes() {
            return None;
        }
        let allocation = &mut state.allocation;
        if allocation.segment_base != active.base_offset {
            (allocation.segment_base, allocation.up_to) = (active.base_offset, 0);
        }
        // Zeros must not be written where an append may be writing: they are made while appends wait.
        let in_turn = zeros == matches!(state.phase, Phase::Allocating);
        let has_room = !zeros && allocation.up_to >= bytes + allocation.step / 2;
        if !in_turn || has_room {
            return None;
        }
        allocation.adapt(self.runner.now());
        let from = allocation.up_to.max(bytes);
        let up_to = (from + allocation.step).min(config.segment_bytes);
        if up_to <= from {
            return None;
        }
        allocation.running = true;
        Some(Work::Allocate(AllocationPlan { segment: active, from, up_to, zeros }))
    }

    /// Whether an append that ends at `end` has to wait for zeros to be written in front of it.
    pub(crate) fn lacks_zeros(&self, state: &State, end: u64) -> bool {
        let config = self.config();
        let Allocation { segment_base, up_to, refused, .. } = state.allocation;
        let active = state.active();
        let is_small = state.segments.len() == 1 && active.bytes() < LEAST_STEP;
        let wanted = config.preallocate == Preallocate::Zeros && !is_small && !refused;
        // Beyond the segment's size nothing is prepared: a batch may be larger than that.
        wanted && end <= config.segment_bytes && (segment_base != active.base_offset || up_to < end)
    }
}

impl Allocation {
    /// The active segment has been cut, and what lay behind its end with it.
    pub(crate) fn forget(&mut self) {
        self.segment_base = -1;
    }

    fn adapt(&mut self, now: Duration) {
        let lasted = now.saturating_sub(self.stepped_at);
        self.stepped_at = now;
        if lasted < STEP_SHOULD_LAST {
            self.step = (self.step * 2).min(LARGEST_STEP);
        } else if lasted > 10 * STEP_SHOULD_LAST {
            self.step = (self.step / 2).max(LEAST_STEP);
        }
    }

    /// Takes the outcome of a step.
    pub(crate) fn allocated(&mut self, plan: &AllocationPlan, done: bool) {
        self.running = false;
        self.refused |= !done;
        if plan.segment.base_offset == self.segment_base {
            self.up_to = self.up_to.max(plan.up_to);
        }
    }
}
