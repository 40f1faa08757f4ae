//! Which leader epoch wrote which offsets: Kafka's leader epoch cache (KIP-101, KIP-279) and its file.

use std::path::Path;

use crate::checkpoint::{read_file, replace_name};
use crate::error::{LogError, Result};
use crate::log::{Log, Phase};
use crate::storage::Storage;

pub const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";

/// Epochs and the offsets from which they were written, both ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<(i32, i64)>,
}

/// Where an epoch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch asked for, or the largest below it that the log has seen.
    pub epoch: i32,
    /// The offset behind its last record.
    pub end_offset: i64,
}

impl LeaderEpochs {
    /// Reads the log's checkpoint; `None` when there is none, or what is there is none.
    pub fn read(storage: &dyn Storage, dir: &Path) -> Result<Option<Self>> {
        Ok(read_file(storage, dir, LEADER_EPOCHS)?.and_then(|text| Self::parse(&text)))
    }

    /// Replaces the log's checkpoint; its name is durable after the directory's fsync.
    pub fn write(&self, storage: &dyn Storage, dir: &Path) -> Result<()> {
        replace_name(storage, dir, LEADER_EPOCHS, self.format().as_bytes())
    }

    /// The text form of Kafka's `LeaderEpochCheckpointFile`: version, count, then `epoch startOffset` a line.
    fn format(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for (epoch, start) in &self.entries {
            text.push_str(&format!("{epoch} {start}\n"));
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != "0" {
            return None;
        }
        let count: usize = lines.next()?.parse().ok()?;
        let mut epochs = Self::default();
        for line in lines.by_ref().take(count) {
            let (epoch, start) = line.split_once(' ')?;
            let (epoch, start) = (epoch.parse().ok()?, start.parse().ok()?);
            let ascends = epochs.entries.last().is_none_or(|&(last, from)| epoch > last && start >= from);
            if !ascends {
                return None;
            }
            epochs.entries.push((epoch, start));
        }
        (epochs.entries.len() == count).then_some(epochs)
    }

    /// The epochs and where each starts, ascending.
    pub fn entries(&self) -> &[(i32, i64)] {
        &self.entries
    }

    /// The largest epoch so far.
    pub fn latest(&self) -> Option<i32> {
        self.entries.last().map(|&(epoch, _)| epoch)
    }

    /// Notes that `epoch` writes from `start_offset` on; says whether that was news. An epoch that wrote nothing is
    /// forgotten when a larger one starts at the same offset.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        if epoch < 0 || self.latest().is_some_and(|latest| latest >= epoch) {
            return false;
        }
        while self.entries.last().is_some_and(|&(_, start)| start >= start_offset) {
            self.entries.pop();
        }
        self.entries.push((epoch, start_offset));
        true
    }

    /// The end of `epoch` in a log that ends at `log_end`; `None` for an epoch larger than any the log has seen. For one
    /// that it skipped the largest smaller one is answered, for one before its first the start of the first (KIP-279).
    pub fn end_of(&self, epoch: i32, log_end: i64) -> Option<EpochEnd> {
        if epoch < 0 {
            return None;
        }
        let behind = self.entries.partition_point(|&(known, _)| known <= epoch);
        let Some(&(_, next_start)) = self.entries.get(behind) else {
            return (self.latest() == Some(epoch)).then_some(EpochEnd { epoch, end_offset: log_end });
        };
        let found = behind.checked_sub(1).map_or(epoch, |i| self.entries[i].0);
        Some(EpochEnd { epoch: found, end_offset: next_start })
    }

    /// The epoch that wrote `offset`, as far as known.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        let behind = self.entries.partition_point(|&(_, start)| start <= offset);
        behind.checked_sub(1).map(|i| self.entries[i].0)
    }

    /// The offset from which `epoch` wrote.
    pub fn start_of(&self, epoch: i32) -> Option<i64> {
        let found = self.entries.binary_search_by_key(&epoch, |&(known, _)| known);
        found.ok().map(|i| self.entries[i].1)
    }

    /// Forgets what starts at or behind the end of a log that was cut; says whether anything did.
    pub fn truncate_to(&mut self, end_offset: i64) -> bool {
        let kept = self.entries.partition_point(|&(_, start)| start < end_offset);
        let changed = kept < self.entries.len();
        self.entries.truncate(kept);
        changed
    }

    /// Forgets what lies before the log's start; the epoch that wrote the first record left starts there.
    pub fn delete_before(&mut self, start_offset: i64) -> bool {
        let behind = self.entries.partition_point(|&(_, start)| start <= start_offset);
        let Some(first) = behind.checked_sub(1) else { return false };
        if self.entries[first].1 == start_offset && first == 0 {
            return false;
        }
        self.entries.drain(..first);
        self.entries[0].1 = start_offset;
        true
    }
}

impl Log {
    pub fn leader_epoch(&self) -> i32 {
        self.state().leader_epoch
    }

    /// The epoch that appended batches carry from now on. It never falls below one that batches of the log have.
    pub fn set_leader_epoch(&self, epoch: i32) -> Result<()> {
        let mut state = self.state();
        match state.epochs.latest() {
            _ if matches!(state.phase, Phase::ReadOnly) => Err(self.refusal(&state.phase)),
            Some(latest) if epoch < latest => {
                Err(LogError::EpochFenced { dir: self.dir.clone(), epoch, latest })
            }
            _ => {
                state.leader_epoch = epoch;
                Ok(())
            }
        }
    }

    /// Where a leader epoch ends in this log; `None` for one larger than any it knows (KIP-101, KIP-279).
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        let state = self.state();
        let mut epochs = state.epochs.clone();
        epochs.assign(state.leader_epoch, state.end_offset);
        epochs.end_of(epoch, state.end_offset)
    }

    /// The leader epoch that wrote `offset`, as far as the log knows.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.state().epochs.epoch_at(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::{EpochEnd, LeaderEpochs};

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        LeaderEpochs { entries: entries.to_vec() }
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_starts() {
        let known = epochs(&[(2, 10), (4, 20), (7, 30)]);
        let end = |epoch| known.end_of(epoch, 45).map(|EpochEnd { epoch, end_offset }| (epoch, end_offset));
        assert_eq!(end(7), Some((7, 45)), "the current one at the log's end");
        assert_eq!(end(4), Some((4, 30)));
        assert_eq!(end(5), Some((4, 30)), "one that it skipped: the largest smaller one");
        assert_eq!(end(1), Some((1, 10)), "one before its first: the start of the first");
        assert_eq!(end(8), None, "larger than any");
        assert_eq!((end(-1), epochs(&[]).end_of(0, 45)), (None, None));
    }

    #[test]
    fn only_a_larger_epoch_is_news_and_one_that_wrote_nothing_is_forgotten() {
        let mut known = LeaderEpochs::default();
        assert!(known.assign(0, 0) && known.assign(3, 10));
        assert!(!known.assign(3, 12) && !known.assign(2, 12) && !known.assign(-1, 12));
        assert!(known.assign(5, 10));
        assert_eq!(known, epochs(&[(0, 0), (5, 10)]));
        assert_eq!([9, 10].map(|offset| known.epoch_at(offset)), [Some(0), Some(5)]);
    }

    #[test]
    fn is_cut_at_both_ends() {
        let mut known = epochs(&[(0, 0), (3, 10), (5, 20)]);
        assert!(!known.truncate_to(21) && known.truncate_to(20));
        assert_eq!(known, epochs(&[(0, 0), (3, 10)]));
        assert!(known.delete_before(4));
        assert_eq!(known, epochs(&[(0, 4), (3, 10)]));
        assert!(known.delete_before(15) && !known.delete_before(15));
        assert_eq!(known, epochs(&[(3, 15)]));
        assert!(known.truncate_to(15));
        assert_eq!(known, epochs(&[]));
    }

    #[test]
    fn reads_its_own_text_and_refuses_what_is_cut_off_or_descends() {
        let known = epochs(&[(0, 0), (3, 10)]);
        assert_eq!(known.format(), "0\n2\n0 0\n3 10\n");
        assert_eq!(LeaderEpochs::parse(&known.format()), Some(known));
        for text in ["", "0\n", "0\n2\n0 0\n", "1\n0\n", "0\n2\n3 10\n0 20\n", "0\n1\nx 0\n"] {
            assert_eq!(LeaderEpochs::parse(text), None, "{text:?}");
        }
    }
}
