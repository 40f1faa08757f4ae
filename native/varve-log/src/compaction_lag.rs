//! How young records must not be to be compacted, and how old they may become before they are (Kafka's
//! `min.compaction.lag.ms` and `max.compaction.lag.ms`, KIP-354).

use crate::compaction::CompactionPlan;
use crate::error::Result;

/// Both in ms.
#[derive(Clone, Copy)]
pub(crate) struct Lag {
    pub min_ms: i64,
    pub max_ms: Option<i64>,
}

impl CompactionPlan {
    /// Leaves out what is too young, and says whether the rest is due. Reads indexes and headers, so it may wait for the
    /// disk.
    pub fn heed_lag(&mut self) -> Result<bool> {
        if self.lag.min_ms > 0 {
            self.leave_out_young()?;
        }
        Ok(self.is_due_by_ratio() || self.has_waited_too_long()?)
    }

    /// As in Kafka, by the largest time of each segment; what was compacted once is no more left out.
    fn leave_out_young(&mut self) -> Result<()> {
        let youngest_allowed = self.now_ms.saturating_sub(self.lag.min_ms);
        for n in 0..self.segments.len() {
            let segment = &self.segments[n];
            let is_dirty = self.segment_end(n) > self.first_dirty_offset;
            if is_dirty && segment.largest_timestamp()?.is_some_and(|largest| largest > youngest_allowed) {
                self.end_offset = segment.base_offset;
                self.first_dirty_offset = self.first_dirty_offset.min(self.end_offset);
                self.segments.truncate(n);
                break;
            }
        }
        Ok(())
    }

    fn has_waited_too_long(&self) -> Result<bool> {
        let Some(max_ms) = self.lag.max_ms else { return Ok(false) };
        for (n, segment) in self.segments.iter().enumerate() {
            if self.segment_end(n) <= self.first_dirty_offset {
                continue;
            }
            if segment.first_timestamp().is_none() {
                segment.activate()?;
            }
            let began = segment.first_timestamp().filter(|&timestamp| timestamp > 0);
            if began.is_some_and(|began| began < self.now_ms.saturating_sub(max_ms)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
