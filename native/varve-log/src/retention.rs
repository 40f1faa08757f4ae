//! What a log need not retain: Kafka's `retention.ms` and `retention.bytes`, by whole segments from the oldest on.

use std::sync::Arc;

use crate::error::Result;
use crate::log::State;
use crate::log_config::LogConfig;
use crate::segment::Segment;

/// Everything that decides which segments have expired.
pub(crate) struct Expiry {
    /// All of them; the last one is active.
    segments: Vec<Arc<Segment>>,
    start_offset: i64,
    retention_ms: Option<i64>,
    retention_bytes: Option<u64>,
    now_ms: i64,
}

pub(crate) struct Expired {
    /// Where the log starts once they are gone.
    pub start_offset: i64,
    /// The active segment, by its base offset, if it has expired with all the others: it can only go once it is sealed.
    pub roll: Option<i64>,
}

impl Expiry {
    pub(crate) fn new(state: &State, config: &LogConfig, now_ms: i64) -> Self {
        let deletes = config.cleanup_policy.deletes();
        Self {
            segments: state.segments.clone(),
            start_offset: state.start_offset,
            retention_ms: config.retention_ms.filter(|_| deletes),
            retention_bytes: config.retention_bytes.filter(|_| deletes),
            now_ms,
        }
    }

    /// Reads time indexes, so it may wait for the disk.
    pub(crate) fn find(&self) -> Result<Expired> {
        let mut gone =
            self.segments[1..].iter().take_while(|next| next.base_offset <= self.start_offset).count();
        let total: u64 = self.segments[gone..].iter().map(|segment| segment.bytes()).sum();
        let mut surplus = self.retention_bytes.map_or(0, |retained| total.saturating_sub(retained));
        while let Some(segment) = self.segments.get(gone) {
            let bytes = segment.bytes();
            if bytes == 0 || (bytes > surplus && !self.is_too_old(segment)?) {
                break;
            }
            surplus = surplus.saturating_sub(bytes);
            gone += 1;
        }
        let sealed = self.segments.len() - 1;
        let active_base = self.segments[sealed].base_offset;
        let start_offset = self.segments[gone.min(sealed)].base_offset.max(self.start_offset);
        Ok(Expired { start_offset, roll: (gone > sealed).then_some(active_base) })
    }

    /// A segment whose batches carry no time never is.
    fn is_too_old(&self, segment: &Segment) -> Result<bool> {
        let Some(retained) = self.retention_ms else { return Ok(false) };
        let youngest = segment.largest_timestamp()?;
        Ok(youngest.is_some_and(|youngest| self.now_ms.saturating_sub(youngest) > retained))
    }
}
