//! What takes batches out of a segment, or the segment away.

use std::io;
use std::path::Path;

use super::Segment;
use crate::batch_reader::{Access, Step};
use crate::error::{LogError, Result};
use crate::txn_index::TransactionIndex;

impl Segment {
    /// Where the batches end that lie wholly before `offset`, as position and offset.
    pub fn cut_at(&self, offset: i64) -> Result<(u64, i64)> {
        let bytes = self.bytes();
        let position = match self.locate(offset, bytes, Access::Blocking)? {
            Some((_, position)) => position,
            None => bytes,
        };
        Ok((position, self.end_offset_at(position)?))
    }

    /// The offset behind the last batch before `end`, where a batch ends.
    fn end_offset_at(&self, end: u64) -> Result<i64> {
        let before = end.saturating_sub(1);
        let from = self.with_indexes(Access::Blocking, |all| all.offsets.batch_start_before(before))?;
        let mut reader = self.reader(Access::Blocking, from.min(end), end)?;
        let mut end_offset = self.base_offset;
        loop {
            match reader.next_header()? {
                Step::Batch(header, _) => end_offset = header.next_offset(),
                Step::End => return Ok(end_offset),
                Step::Bad { position, offset, detail } => {
                    return Err(LogError::Corrupt { file: self.log_path(), position, offset, detail });
                }
            }
        }
    }

    /// Durably takes everything behind `position` out of the files. The segment that goes on there; slices of this one
    /// that end before it stay readable.
    pub fn shortened(&self, position: u64) -> Result<Self> {
        self.set_len(position)?;
        self.sync()?;
        let end_offset = self.end_offset_at(position)?;
        let mut indexes = self.with_indexes(Access::Blocking, |all| all.up_to(position, end_offset))?;
        let shortened = Self::at(&self.storage, &self.dir, self.base_offset, position);
        let from = indexes.offsets.last_position();
        let mut reader = shortened.reader(Access::Blocking, from, position)?;
        while let Step::Batch(header, _) = reader.next_header()? {
            indexes.note_max(&header);
        }
        let mut aborted = self.with_aborted(Access::Blocking, TransactionIndex::clone)?.unwrap_or_default();
        aborted.truncate_to(end_offset);
        shortened.restore(position, indexes, aborted);
        shortened.write_indexes()?;
        shortened.write_aborted()?;
        shortened.activate()?;
        Ok(shortened)
    }

    /// Durably takes everything out of the `.log` file.
    pub fn empty(&self) -> Result<()> {
        self.set_len(0)?;
        self.sync()
    }

    /// Removes the segment's files, the `.log` last: as long as it is there the others belong to something.
    pub fn remove_files(&self) -> Result<()> {
        self.remove_indexes()?;
        self.remove(&self.log_path())
    }

    /// Removes what belongs to the `.log` file.
    pub fn remove_indexes(&self) -> Result<()> {
        [self.index_path(), self.time_index_path(), self.txn_index_path()]
            .iter()
            .try_for_each(|path| self.remove(path))
    }

    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        match self.storage.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(LogError::io("remove", path)),
        }
    }
}
