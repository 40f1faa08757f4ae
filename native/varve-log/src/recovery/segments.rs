//! The segments of a log that opens: what its directory holds, without what an earlier crash left there or brought back.

use std::sync::Arc;

use super::Opening;
use crate::cleaned_segment::recover_compaction;
use crate::error::{LogError, Result};
use crate::segment::{Segment, offset_in};
use crate::storage::OpenMode;

impl Opening<'_> {
    /// The segments in order of their offsets. Files of an earlier crash that belong to none are removed.
    pub(super) fn find_segments(&self) -> Result<Vec<Arc<Segment>>> {
        let mut names = self.storage.list(self.dir).map_err(LogError::io("list", self.dir))?;
        if recover_compaction(self.storage, self.dir, &names)? {
            names = self.storage.list(self.dir).map_err(LogError::io("list", self.dir))?;
        }
        let mut segments = self.without_emptied(self.named(&names)?)?;
        let Some(last) = segments.last() else { return Ok(segments) };
        if self.compacts && !self.ends_as_closed(last)? {
            segments = self.without_replaced(segments)?;
        }
        for name in &names {
            let mut orphan = [".index", ".timeindex", ".txnindex"]
                .iter()
                .filter_map(|extension| offset_in(name, extension));
            if orphan.any(|base| segments.binary_search_by_key(&base, |segment| segment.base_offset).is_err())
            {
                self.remove(&self.dir.join(name))?;
            }
        }
        // Those in front of the log start offset were about to be removed.
        let deleted =
            segments.iter().skip(1).take_while(|next| next.base_offset <= self.start_offset).count();
        self.remember_producers(&segments, deleted)?;
        segments.drain(..deleted).try_for_each(|segment| segment.remove_files())?;
        Ok(segments)
    }

    /// Whether the log was closed with everything flushed, and its last segment ends where it did then. The marker alone is
    /// not believed.
    pub(super) fn ends_as_closed(&self, last: &Segment) -> Result<bool> {
        match self.recovery_point {
            Some(recovery_point) if self.clean => Ok(last.end_offset()? == Some(recovery_point)),
            _ => Ok(false),
        }
    }

    fn named(&self, names: &[String]) -> Result<Vec<Arc<Segment>>> {
        let mut bases: Vec<i64> = names.iter().filter_map(|name| offset_in(name, ".log")).collect();
        for name in names {
            // A recovery was interrupted between the two renames of `renew_name`.
            if let Some(base_offset) = offset_in(name, ".log.renew").filter(|base| !bases.contains(base)) {
                let (from, to) = (self.dir.join(name), self.dir.join(name.trim_end_matches(".renew")));
                self.storage.rename(&from, &to).map_err(LogError::io("rename", &from))?;
                bases.push(base_offset);
            }
        }
        bases.sort_unstable();
        let segment = |base_offset| {
            let path = self.dir.join(format!("{base_offset:020}.log"));
            let file = self.storage.open(&path, OpenMode::Read).map_err(LogError::io("open", &path))?;
            let bytes = file.len().map_err(LogError::io("read", &path))?;
            Ok(Arc::new(Segment::at(self.storage, self.dir, base_offset, bytes)))
        };
        bases.into_iter().map(segment).collect()
    }

    /// Without those that were cut off and whose names came back. Such a one is empty: others follow it, or the one before
    /// it has grown past it. The first segment tells where the log starts and stays.
    fn without_emptied(&self, segments: Vec<Arc<Segment>>) -> Result<Vec<Arc<Segment>>> {
        let last = segments.last().map(|segment| segment.base_offset);
        let mut kept: Vec<Arc<Segment>> = Vec::with_capacity(segments.len());
        for segment in segments {
            let base_offset = segment.base_offset;
            let is_emptied = match kept.last() {
                Some(before) if segment.bytes() == 0 => {
                    Some(base_offset) != last || before.reaches(base_offset)?
                }
                _ => false,
            };
            if is_emptied {
                self.remove(&segment.log_path())?;
            } else {
                kept.push(segment);
            }
        }
        Ok(kept)
    }

    /// Without those that a compaction has replaced and whose names came back. What has taken their place goes up to the
    /// end of the last one, or beyond, and never into the log's last segment. Where a damaged header claims more offsets
    /// than it has, that is hardly ever so: its checksum does not match, or, for its base offset has none, the end is
    /// another.
    fn without_replaced(&self, segments: Vec<Arc<Segment>>) -> Result<Vec<Arc<Segment>>> {
        let mut kept: Vec<Arc<Segment>> = Vec::with_capacity(segments.len());
        let mut rest = segments.as_slice();
        while let [segment, behind @ ..] = rest {
            kept.push(segment.clone());
            let end = segment.end_offset()?.unwrap_or(segment.base_offset);
            let covered = behind.iter().take_while(|next| next.base_offset < end).count();
            let (covered, others) = behind.split_at(covered);
            rest = behind;
            if let Some(last) = covered.last()
                && !others.is_empty()
                && last.end_offset()?.is_some_and(|last_end| last_end <= end)
                && segment.reaches(end - 1)?
            {
                covered.iter().try_for_each(|replaced| self.remove(&replaced.log_path()))?;
                rest = others;
            }
        }
        Ok(kept)
    }
}
