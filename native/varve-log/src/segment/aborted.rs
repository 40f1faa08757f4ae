//! The index of a segment's aborted transactions. Unlike the others it cannot be found out from the segment alone, and
//! without its file a segment counts as one without aborts.

use std::path::PathBuf;

use super::Segment;
use super::index_files::FileContent;
use crate::batch_reader::Access;
use crate::error::{LogError, Result};
use crate::transactions::AbortedTransaction;
use crate::txn_index::TransactionIndex;

impl Segment {
    pub fn txn_index_path(&self) -> PathBuf {
        self.path("txnindex")
    }

    /// Publishes the ends of transactions that have been written to the segment.
    pub fn publish_aborted(&self, aborted: impl IntoIterator<Item = AbortedTransaction>) {
        let mut content = self.content();
        if let Some(index) = &mut content.aborted {
            aborted.into_iter().for_each(|aborted| index.push(aborted));
        }
    }

    /// Runs `ask` on the index, which is read from its file when first needed; `None` when that cannot be one and must
    /// be rebuilt.
    pub fn with_aborted<T>(
        &self,
        access: Access,
        ask: impl FnOnce(&TransactionIndex) -> T,
    ) -> Result<Option<T>> {
        if let Some(index) = &self.content().aborted {
            return Ok(Some(ask(index)));
        }
        if access == Access::Cached {
            return Err(LogError::WouldBlock);
        }
        let index = match self.read_file(&self.txn_index_path())? {
            // Most segments have none.
            FileContent::Missing => Some(TransactionIndex::default()),
            FileContent::TooLong => None,
            FileContent::Bytes(bytes) => TransactionIndex::parse(self.base_offset, &bytes),
        };
        Ok(index.map(|index| ask(self.content().aborted.get_or_insert(index))))
    }

    /// Takes over an index that was rebuilt.
    pub fn restore_aborted(&self, index: TransactionIndex) {
        self.content().aborted.get_or_insert(index);
    }

    /// Writes the index of the aborted transactions, if there are any, and makes it durable. Returns whether it did:
    /// then its name may be new. Only for a segment that the next recovery would scan: a crash may leave half of it.
    pub fn write_aborted(&self) -> Result<bool> {
        let path = self.txn_index_path();
        let bytes = self.content().aborted.as_ref().map(TransactionIndex::to_bytes).unwrap_or_default();
        if bytes.is_empty() && !self.storage.exists(&path).map_err(LogError::io("look for", &path))? {
            return Ok(false);
        }
        self.write_file(&path, &bytes)?;
        Ok(true)
    }
}
