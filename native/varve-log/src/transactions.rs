use std::collections::BTreeMap;

/// A transaction that ended with an abort: readers of committed records leave out what its producer wrote between the
/// two offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Of the abort marker.
    pub last_offset: i64,
    /// The first offset that was still undecided once this transaction had ended.
    pub last_stable_offset: i64,
}

/// A transaction that has got its marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Of the marker.
    pub last_offset: i64,
    pub aborted: bool,
}

/// The transactions of a log that hold back its last stable offset: those without a marker, and those whose marker may
/// still be lost because it is not below the high watermark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    /// Producer ids by first offset.
    ongoing: BTreeMap<i64, i64>,
    /// Offsets of the markers by first offset.
    unreplicated: BTreeMap<i64, i64>,
}

impl Transactions {
    pub fn begin(&mut self, producer_id: i64, first_offset: i64) {
        self.ongoing.insert(first_offset, producer_id);
    }

    /// Ends a transaction. If it was aborted, the entry for the transaction index.
    pub fn complete(&mut self, completed: CompletedTransaction) -> Option<AbortedTransaction> {
        let CompletedTransaction { producer_id, first_offset, last_offset, aborted } = completed;
        self.ongoing.remove(&first_offset);
        self.unreplicated.insert(first_offset, last_offset);
        let last_stable_offset = self.ongoing.keys().next().copied().unwrap_or(last_offset + 1);
        aborted.then_some(AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset })
    }

    /// The first offset of a transaction that is undecided for a reader who sees up to `high_watermark`.
    pub fn first_unstable_offset(&self, high_watermark: i64) -> Option<i64> {
        let ongoing = self.ongoing.keys().next().copied();
        let mut unreplicated = self.unreplicated.iter().filter(|&(_, &marker)| marker >= high_watermark);
        match (ongoing, unreplicated.next().map(|(&first_offset, _)| first_offset)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Forgets the markers below `offset`, where none can be lost any more.
    pub fn forget_before(&mut self, offset: i64) {
        self.unreplicated.retain(|_, &mut marker| marker >= offset);
    }
}
