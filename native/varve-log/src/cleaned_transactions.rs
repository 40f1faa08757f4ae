use std::collections::{BTreeSet, HashMap};

use varve_records::{BatchHeader, EndTransactionMarker};

use crate::transactions::AbortedTransaction;

/// Tells, while a compaction walks the batches of a log in order, which of them belong to aborted transactions and which
/// markers have no batch left that needs them.
pub(crate) struct CleanedTransactions {
    /// Aborted transactions that no batch has reached, by first offset, the next one last.
    ahead: Vec<AbortedTransaction>,
    /// By producer id.
    ongoing_aborted: HashMap<i64, OngoingAbort>,
    /// Producer ids with a batch of a transaction that, for all that is known, commits.
    ongoing_committed: BTreeSet<i64>,
}

struct OngoingAbort {
    transaction: AbortedTransaction,
    has_batches: bool,
}

/// What becomes of a batch on account of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its transaction does not decide.
    Open,
    /// Records of an aborted transaction, which nobody reads.
    Aborted,
    /// A marker whose transaction has no batch left.
    MarkerOfNothing,
    /// An abort marker whose batches go in this very pass: it stays until the next one.
    MarkerOfAborted(AbortedTransaction),
}

impl CleanedTransactions {
    /// `aborted` are those with a record or their marker in what is walked.
    pub fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { ahead: aborted, ongoing_aborted: HashMap::new(), ongoing_committed: BTreeSet::new() }
    }

    /// Steps over a batch; of a control batch `batch` must be all the bytes.
    pub fn step(&mut self, header: &BatchHeader, batch: &[u8]) -> Fate {
        while let Some(next) = self.ahead.pop_if(|next| next.first_offset <= header.last_offset()) {
            let ongoing = OngoingAbort { transaction: next, has_batches: false };
            self.ongoing_aborted.insert(next.producer_id, ongoing);
        }
        if header.is_control() {
            return self.step_marker(header, batch);
        }
        if !header.is_transactional() {
            return Fate::Open;
        }
        match self.ongoing_aborted.get_mut(&header.producer_id) {
            Some(abort) => {
                abort.has_batches = true;
                Fate::Aborted
            }
            None => {
                self.ongoing_committed.insert(header.producer_id);
                Fate::Open
            }
        }
    }

    fn step_marker(&mut self, header: &BatchHeader, batch: &[u8]) -> Fate {
        if header.records_count == 0 {
            // It has been emptied before.
            return Fate::MarkerOfNothing;
        }
        match EndTransactionMarker::parse(batch) {
            Some(marker) if marker.committed => match self.ongoing_committed.remove(&header.producer_id) {
                true => Fate::Open,
                false => Fate::MarkerOfNothing,
            },
            Some(_) => match self.ongoing_aborted.remove(&header.producer_id) {
                Some(abort) if abort.has_batches => Fate::MarkerOfAborted(abort.transaction),
                Some(_) => Fate::MarkerOfNothing,
                // Its batches, if there were any, were not known to be aborted: they need it.
                None if self.ongoing_committed.remove(&header.producer_id) => Fate::Open,
                None => Fate::MarkerOfNothing,
            },
            // Of another kind: nothing here says when it has served.
            None => Fate::Open,
        }
    }
}
