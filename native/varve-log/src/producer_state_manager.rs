//! The producers of a log and their transactions, as Kafka's class of this name keeps them: changed by every batch with
//! a producer id, and implied by the log alone, so that a recovery finds the same state.

use std::collections::{BTreeMap, HashMap};

use varve_records::{BatchError, BatchHeader, EndTransactionMarker, NO_SEQUENCE};

use crate::producer_state::{BatchMetadata, ProducerError, ProducerState};
use crate::transactions::{AbortedTransaction, CompletedTransaction, Transactions};

#[derive(Clone, Debug, Default)]
pub struct ProducerStateManager {
    producers: BTreeMap<i64, ProducerState>,
    transactions: Transactions,
    /// Whether any has been forgotten since the log was opened.
    forgot: bool,
}

/// Batches that are about to be written. Later ones are checked against earlier ones, and none of them counts before
/// [`ProducerStateManager::commit`]: a write that fails must not end a transaction.
#[derive(Default)]
pub struct ProducerAppend {
    changed: HashMap<i64, ProducerState>,
    steps: Vec<Step>,
}

enum Step {
    Began { producer_id: i64, first_offset: i64 },
    Completed(CompletedTransaction),
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be appended; a control batch with the marker that it holds.
    Append(Option<EndTransactionMarker>),
    /// It was appended before, there.
    Duplicate(BatchMetadata),
}

/// Why a batch with a producer id was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It contradicts itself.
    Batch(BatchError),
    /// It contradicts what the producer has written.
    Producer(ProducerError),
}

impl ProducerStateManager {
    /// The producers that a snapshot knows.
    pub fn from_snapshot(producers: impl IntoIterator<Item = ProducerState>) -> Self {
        let mut manager = Self::default();
        for producer in producers {
            if let Some(first_offset) = producer.current_txn_first_offset {
                manager.transactions.begin(producer.producer_id, first_offset);
            }
            manager.producers.insert(producer.producer_id, producer);
        }
        manager
    }

    /// In the order of their ids.
    pub fn producers(&self) -> impl ExactSizeIterator<Item = &ProducerState> {
        self.producers.values()
    }

    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Whether any producer has been forgotten since the log was opened.
    pub fn forgot(&self) -> bool {
        self.forgot
    }

    /// Takes a batch of the log into account without checking it. Of a control batch, `marker` is what it holds; none
    /// when compaction has emptied it. If the batch ends a transaction with an abort, the entry for the index.
    pub fn replay(
        &mut self,
        header: &BatchHeader,
        marker: Option<&EndTransactionMarker>,
    ) -> Option<AbortedTransaction> {
        if !header.has_producer_id() {
            return None;
        }
        let mut append = ProducerAppend::default();
        append.add(self, header, marker);
        self.commit(append).pop()
    }

    /// Takes over what has been written. Returns the aborted transactions for the index, in the order of their markers.
    pub fn commit(&mut self, append: ProducerAppend) -> Vec<AbortedTransaction> {
        self.producers.extend(append.changed);
        let mut aborted = Vec::new();
        for step in append.steps {
            match step {
                Step::Began { producer_id, first_offset } => {
                    self.transactions.begin(producer_id, first_offset);
                }
                Step::Completed(completed) => aborted.extend(self.transactions.complete(completed)),
            }
        }
        aborted
    }

    /// Up to where a reader of committed records may see, who sees others up to `high_watermark`: what lies before it is
    /// decided for good. A transaction whose first records were deleted counts from the log's start on.
    pub fn last_stable_offset(&self, high_watermark: i64, log_start_offset: i64) -> i64 {
        let unstable = self.transactions.first_unstable_offset(high_watermark);
        unstable.map_or(high_watermark, |offset| offset.max(log_start_offset).min(high_watermark))
    }

    /// Forgets the ended transactions whose marker lies before `offset`: the high watermark, or the log's start.
    /// Producers stay when their batches are deleted (KIP-360).
    pub fn remove_before(&mut self, offset: i64) {
        self.transactions.forget_before(offset);
    }

    /// Forgets the producers without an open transaction that have written nothing for `expiration_ms`
    /// (`producer.id.expiration.ms`), by the timestamps of their batches, as Kafka does.
    pub fn remove_expired(&mut self, now_ms: i64, expiration_ms: i64) {
        let before = self.producers.len();
        self.producers.retain(|_, producer| {
            let idle = now_ms.saturating_sub(producer.last_timestamp);
            producer.current_txn_first_offset.is_some() || idle < expiration_ms
        });
        self.forgot |= self.producers.len() < before;
    }
}

impl ProducerAppend {
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }

    /// What is to be done with a batch with a producer id behind the ones added so far. `forgets_none`: see
    /// [`ProducerState::check_batch`].
    pub fn check(
        &self,
        manager: &ProducerStateManager,
        header: &BatchHeader,
        batch: &[u8],
        forgets_none: bool,
    ) -> Result<Verdict, Refusal> {
        let unknown = ProducerState::unknown(header.producer_id);
        let state = self.state_of(manager, header.producer_id).unwrap_or(&unknown);
        if header.producer_epoch < 0 {
            return Err(invalid(format!("producer {} has no epoch", header.producer_id)));
        }
        if header.is_control() {
            let marker = EndTransactionMarker::parse(batch)
                .ok_or_else(|| invalid("a control batch that is no transaction marker".into()))?;
            state.check_marker(header, &marker).map_err(Refusal::Producer)?;
            return Ok(Verdict::Append(Some(marker)));
        }
        let may_lack_sequence = header.is_transactional() && header.base_sequence == NO_SEQUENCE;
        if header.base_sequence < 0 && !may_lack_sequence {
            let (id, sequence) = (header.producer_id, header.base_sequence);
            return Err(invalid(format!("the sequence number {sequence} of producer {id}")));
        }
        let duplicate = state.check_batch(header, forgets_none).map_err(Refusal::Producer)?;
        Ok(duplicate.map_or(Verdict::Append(None), Verdict::Duplicate))
    }

    /// Adds a batch with a producer id that will be written, its offset assigned.
    pub fn add(
        &mut self,
        manager: &ProducerStateManager,
        header: &BatchHeader,
        marker: Option<&EndTransactionMarker>,
    ) {
        if header.is_control() && marker.is_none() {
            return;
        }
        let producer_id = header.producer_id;
        let state = self.changed.entry(producer_id).or_insert_with(|| {
            let known = manager.producers.get(&producer_id);
            known.cloned().unwrap_or_else(|| ProducerState::unknown(producer_id))
        });
        match marker {
            Some(marker) => {
                let last_offset = header.base_offset;
                let ended = state.append_marker(header, marker);
                self.steps.extend(ended.map(|first_offset| {
                    let aborted = !marker.committed;
                    Step::Completed(CompletedTransaction { producer_id, first_offset, last_offset, aborted })
                }));
            }
            None => {
                let begins = state.append_batch(header);
                let first_offset = header.base_offset;
                self.steps.extend(begins.then_some(Step::Began { producer_id, first_offset }));
            }
        }
    }

    /// Whether the producer of a batch would begin here in the midst of its sequence.
    pub fn begins_midway(&self, manager: &ProducerStateManager, header: &BatchHeader) -> bool {
        header.base_sequence > 0 && self.state_of(manager, header.producer_id).is_none()
    }

    fn state_of<'a>(
        &'a self,
        manager: &'a ProducerStateManager,
        producer_id: i64,
    ) -> Option<&'a ProducerState> {
        self.changed.get(&producer_id).or_else(|| manager.producers.get(&producer_id))
    }
}

fn invalid(what: String) -> Refusal {
    Refusal::Batch(BatchError::Invalid(what))
}
