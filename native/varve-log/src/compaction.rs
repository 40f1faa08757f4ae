//! One compaction of a log, as work that can be done in pieces: a walk over what was not compacted yet finds the last
//! offset of each key, a second one over everything before writes the segments anew without what need not stay.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use varve_records::{BatchError, BatchHeader};

use crate::batch_reader::{Access, Step};
use crate::cleaned_segment::CleanedSegment;
use crate::cleaner::{Cleaner, KeySurvey, LastRecords};
use crate::compaction_lag::Lag;
use crate::error::{LogError, Result};
use crate::offset_map::OffsetMap;
use crate::segment::Segment;
use crate::storage::Storage;
use crate::transactions::AbortedTransaction;

/// What a compaction is made from and by what rules.
pub(crate) struct CompactionPlan {
    pub storage: Arc<dyn Storage>,
    pub dir: PathBuf,
    /// From the log's first one on, all sealed, durable and decided: no transaction in them is open.
    pub segments: Vec<Arc<Segment>>,
    /// Where the segment behind them starts.
    pub end_offset: i64,
    /// What lies before it was compacted together already.
    pub first_dirty_offset: i64,
    /// Those with a record or their marker in the segments.
    pub aborted: Vec<AbortedTransaction>,
    /// Of the producers that may write again.
    pub last_records: LastRecords,
    pub now_ms: i64,
    pub delete_retention_ms: i64,
    /// Neighbours that are not larger together become one segment.
    pub segment_bytes: u64,
    pub index_bytes: u64,
    pub index_interval_bytes: u64,
    pub max_keys: usize,
    pub lag: Lag,
    /// The share of what is new that makes it due; `None` where it is wanted now.
    pub min_dirty_ratio: Option<f64>,
}

pub(crate) struct Compaction {
    plan: CompactionPlan,
    walk: Walk,
    /// The next batch of the walk.
    at: Place,
    /// What is still to be written anew, neighbours that become one segment together. They move here from the plan, and
    /// from here to whoever commits what replaces them: a segment that is held by nobody has its descriptor closed.
    groups: VecDeque<Vec<Arc<Segment>>>,
    output: Option<CleanedSegment>,
    /// Bytes read and written so far.
    pub moved_bytes: u64,
}

enum Walk {
    Survey(KeySurvey),
    /// Everything before the offset will have been compacted.
    Clean(Cleaner, i64),
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// Of the plan's, or of the group's.
    segment: usize,
    position: u64,
}

impl Place {
    /// The place of the next batch, `position` being where the one before it ended in its segment.
    fn behind(self, segment: &Segment, position: u64) -> Place {
        match position >= segment.bytes() {
            true => Place { segment: self.segment + 1, position: 0 },
            false => Place { position, ..self },
        }
    }
}

pub(crate) enum Progress {
    /// There is more to do.
    Paused,
    /// These segments have been written anew; the result counts once it is committed.
    Written(Box<CleanedSegment>, Vec<Arc<Segment>>),
    /// Everything before this offset is compacted.
    Done(i64),
}

/// An index entry's bytes, of the larger index.
const INDEX_ENTRY_BYTES: u64 = 12;

impl CompactionPlan {
    pub(crate) fn segment_end(&self, n: usize) -> i64 {
        self.segments.get(n + 1).map_or(self.end_offset, |next| next.base_offset)
    }

    /// How much of the segments was not compacted, from 0 to 1.
    pub fn dirty_ratio(&self) -> f64 {
        let (mut all, mut dirty) = (0, 0);
        for (n, segment) in self.segments.iter().enumerate() {
            all += segment.bytes();
            dirty += if self.segment_end(n) > self.first_dirty_offset { segment.bytes() } else { 0 };
        }
        if all == 0 { 0.0 } else { dirty as f64 / all as f64 }
    }

    pub fn is_due_by_ratio(&self) -> bool {
        match (self.min_dirty_ratio, self.dirty_ratio()) {
            (None, _) => !self.segments.is_empty(),
            (Some(min), ratio) => ratio > 0.0 && ratio >= min,
        }
    }

    /// The segments that start before `up_to`, neighbours that fit into one together.
    fn groups(&self, up_to: i64) -> VecDeque<Vec<Arc<Segment>>> {
        let mut groups: VecDeque<Vec<Arc<Segment>>> = VecDeque::new();
        let (mut bytes, mut index_bytes) = (0, 0);
        for (n, segment) in self.segments.iter().enumerate().take_while(|(_, one)| one.base_offset < up_to) {
            let of_index = segment.bytes() / self.index_interval_bytes.max(1) * INDEX_ENTRY_BYTES;
            let fits = groups.back().is_some_and(|group| {
                bytes + segment.bytes() <= self.segment_bytes
                    && index_bytes + of_index <= self.index_bytes
                    && self.segment_end(n) - 1 - group[0].base_offset <= i64::from(i32::MAX)
            });
            match groups.back_mut() {
                Some(group) if fits => group.push(segment.clone()),
                _ => {
                    groups.push_back(vec![segment.clone()]);
                    (bytes, index_bytes) = (0, 0);
                }
            }
            (bytes, index_bytes) = (bytes + segment.bytes(), index_bytes + of_index);
        }
        groups
    }
}

impl Compaction {
    pub fn new(plan: CompactionPlan) -> Self {
        let ends = (0..plan.segments.len()).map(|n| plan.segment_end(n));
        let clean = ends.take_while(|&end| end <= plan.first_dirty_offset).count();
        let map = OffsetMap::new(plan.max_keys, plan.first_dirty_offset - 1);
        let survey = KeySurvey::new(map, plan.aborted.clone(), plan.first_dirty_offset);
        Self {
            plan,
            walk: Walk::Survey(survey),
            at: Place { segment: clean, position: 0 },
            groups: VecDeque::new(),
            output: None,
            moved_bytes: 0,
        }
    }

    /// Goes on until about `budget` bytes were read and written, or until something is to be done by others. After an
    /// error it is of no use but to be discarded.
    pub fn advance(&mut self, budget: u64) -> Result<Progress> {
        let stop_at = self.moved_bytes.saturating_add(budget.max(1));
        if let Walk::Survey(survey) = &mut self.walk {
            while self.at.segment < self.plan.segments.len() && !survey.map.is_full() {
                let segment = &self.plan.segments[self.at.segment];
                let position = walk(segment, self.at.position, |header, batch, _| {
                    survey.add(header, batch)?;
                    self.moved_bytes += batch.len() as u64;
                    Ok(self.moved_bytes < stop_at && !survey.map.is_full())
                })?;
                self.at = self.at.behind(segment, position);
                if self.moved_bytes >= stop_at {
                    return Ok(Progress::Paused);
                }
            }
            let map = std::mem::replace(&mut survey.map, OffsetMap::new(0, 0));
            self.begin_cleaning(map);
        }
        let Walk::Clean(cleaner, up_to) = &mut self.walk else { unreachable!("begun above") };
        let Some(group) = self.groups.front() else { return Ok(Progress::Done(*up_to)) };
        if self.output.is_none() {
            let CompactionPlan { storage, dir, index_interval_bytes, .. } = &self.plan;
            let base_offset = group[0].base_offset;
            self.output = Some(CleanedSegment::create(storage, dir, base_offset, *index_interval_bytes)?);
            self.at = Place::default();
        }
        let output = self.output.as_mut().expect("created above");
        while let Some(segment) = group.get(self.at.segment) {
            if self.moved_bytes >= stop_at {
                return Ok(Progress::Paused);
            }
            let ends_group = self.at.segment + 1 == group.len();
            let position = walk(segment, self.at.position, |header, batch, is_last| {
                self.moved_bytes += batch.len() as u64;
                if let Some(kept) = cleaner.clean(header, batch, is_last && ends_group)? {
                    self.moved_bytes += kept.batch.len() as u64;
                    output.append(&kept.batch, kept.aborted)?;
                }
                Ok(self.moved_bytes < stop_at)
            })?;
            self.at = self.at.behind(segment, position);
        }
        output.finish()?;
        let group = self.groups.pop_front().expect("looked at above");
        let output = self.output.take().expect("finished above");
        Ok(Progress::Written(Box::new(output), group))
    }

    fn begin_cleaning(&mut self, map: OffsetMap) {
        let CompactionPlan { now_ms, delete_retention_ms, .. } = self.plan;
        let up_to = map.latest_offset + 1;
        let aborted = std::mem::take(&mut self.plan.aborted);
        let last_records = std::mem::take(&mut self.plan.last_records);
        let cleaner = Cleaner::new(map, aborted, last_records, now_ms, delete_retention_ms);
        self.groups = self.plan.groups(up_to);
        self.plan.segments.clear();
        self.walk = Walk::Clean(cleaner, up_to);
    }

    /// The segments that are still to be written anew.
    pub fn remaining(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.plan.segments.iter().chain(self.groups.iter().flatten())
    }

    /// Removes what was written and does not count.
    pub fn discard(self) -> Result<()> {
        self.output.map_or(Ok(()), CleanedSegment::discard)
    }
}

/// Steps over the batches of a segment, each with its bytes and whether it is the last one, until one asks to stop.
/// Returns where it stopped.
fn walk(
    segment: &Segment,
    from: u64,
    mut step: impl FnMut(&BatchHeader, &[u8], bool) -> Result<bool>,
) -> Result<u64> {
    let end = segment.bytes();
    let mut reader = segment.reader(Access::Blocking, from, end)?;
    loop {
        let (position, offset, detail) = match reader.next_whole()? {
            (Step::End, _) => return Ok(end),
            (Step::Bad { position, offset, detail }, _) => (position, offset, detail),
            (Step::Batch(header, position), batch) => {
                let next = position + header.total_bytes();
                match step(&header, batch, next >= end) {
                    Ok(true) => continue,
                    Ok(false) => return Ok(next),
                    // What it holds was looked at before it was stored.
                    Err(LogError::Batch(BatchError::Invalid(detail))) => {
                        (position, header.base_offset, detail)
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        return Err(LogError::Corrupt { file: segment.log_path(), position, offset, detail });
    }
}
