//! What is remembered of one producer, and by what rules its next batch is taken: KIP-98 with the changes of KIP-360
//! (unknown producers may start with any sequence number) and KIP-890 (a marker may bump the epoch).

use std::fmt;

use varve_records::{BatchHeader, EndTransactionMarker, NO_PRODUCER_EPOCH, NO_SEQUENCE};

/// Why a producer's batch was refused. Nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProducerError {
    /// The sequence number leaves a gap, or repeats one that is not among the last batches.
    OutOfOrderSequence { producer_id: i64, producer_epoch: i16, sequence: i32, expected: i32 },
    /// A later epoch of the producer has written already.
    Fenced { producer_id: i64, producer_epoch: i16, current_epoch: i16 },
    /// A later transaction coordinator has written a marker already.
    CoordinatorFenced { producer_id: i64, coordinator_epoch: i32, current_epoch: i32 },
    /// A batch outside of the transaction that its producer has open.
    NotInTransaction { producer_id: i64, producer_epoch: i16, sequence: i32, first_offset: i64 },
}

impl fmt::Display for ProducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrderSequence { producer_id, producer_epoch, sequence, expected } => write!(
                f,
                "out of order sequence number of producer {producer_id}, epoch {producer_epoch}: got {sequence}, \
                 expected {expected}. A batch before it was lost, or this one was written long ago"
            ),
            Self::Fenced { producer_id, producer_epoch, current_epoch } => write!(
                f,
                "producer {producer_id} is fenced: its epoch is {producer_epoch} and {current_epoch} has written \
                 already. Get a new epoch and go on with sequence number 0"
            ),
            Self::CoordinatorFenced { producer_id, coordinator_epoch, current_epoch } => write!(
                f,
                "a marker for producer {producer_id} by a transaction coordinator of epoch {coordinator_epoch}, \
                 which is fenced by epoch {current_epoch}"
            ),
            Self::NotInTransaction { producer_id, producer_epoch, sequence, first_offset } => write!(
                f,
                "a batch outside of transactions by producer {producer_id}, epoch {producer_epoch}, sequence \
                 number {sequence}, whose transaction from offset {first_offset} on is open; end that first"
            ),
        }
    }
}

impl std::error::Error for ProducerError {}

/// A batch as its producer's retries are recognized by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMetadata {
    pub last_sequence: i32,
    pub last_offset: i64,
    pub offset_delta: i32,
}

impl BatchMetadata {
    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn first_sequence(&self) -> i32 {
        match self.last_sequence {
            NO_SEQUENCE => NO_SEQUENCE,
            last => last.wrapping_sub(self.offset_delta) & i32::MAX,
        }
    }
}

/// As many as a producer may have in flight (`max.in.flight.requests.per.connection` of an idempotent one).
pub(crate) const BATCHES: usize = 5;
pub const NO_COORDINATOR_EPOCH: i32 = -1;
pub const NO_TIMESTAMP: i64 = -1;

/// One producer's state in one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// The last ones of the epoch, oldest first.
    batches: Vec<BatchMetadata>,
    /// Of the coordinator that wrote the last marker; -1 before there was one.
    pub coordinator_epoch: i32,
    /// Of the last batch or marker, in ms.
    pub last_timestamp: i64,
    /// Where the open transaction starts.
    pub current_txn_first_offset: Option<i64>,
}

impl ProducerState {
    pub fn unknown(producer_id: i64) -> Self {
        Self {
            producer_id,
            producer_epoch: NO_PRODUCER_EPOCH,
            batches: Vec::new(),
            coordinator_epoch: NO_COORDINATOR_EPOCH,
            last_timestamp: NO_TIMESTAMP,
            current_txn_first_offset: None,
        }
    }

    /// The last batch of the epoch.
    pub fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches.last()
    }

    /// -1 when the epoch has written nothing.
    pub fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// Those before [`ProducerState::last_batch`] that are remembered, oldest first.
    pub fn earlier_batches(&self) -> &[BatchMetadata] {
        self.batches.split_last().map_or(&[], |(_, earlier)| earlier)
    }

    /// Takes the batches into account that a snapshot knows, oldest first.
    pub(crate) fn with_batches(mut self, batches: Vec<BatchMetadata>) -> Self {
        self.batches = batches;
        self
    }

    /// Whether a producer's batch may be appended; if it was before, as which one.
    ///
    /// `forgets_none`: whether one that is not known has never written here. Where that is not sure it may begin with any
    /// sequence number (KIP-360).
    pub fn check_batch(
        &self,
        header: &BatchHeader,
        forgets_none: bool,
    ) -> Result<Option<BatchMetadata>, ProducerError> {
        let BatchHeader { producer_id, producer_epoch, base_sequence: sequence, .. } = *header;
        self.check_epoch(producer_epoch)?;
        // Offset commits within a transaction have none: their coordinator writes them, and does not retry.
        if sequence != NO_SEQUENCE {
            if let Some(duplicate) = self.find_duplicate(header) {
                return Ok(Some(duplicate));
            }
            let expected = self.expected_sequence(producer_epoch, forgets_none);
            if let Some(expected) = expected.filter(|&expected| expected != sequence) {
                let refused =
                    ProducerError::OutOfOrderSequence { producer_id, producer_epoch, sequence, expected };
                return Err(refused);
            }
        }
        match self.current_txn_first_offset {
            Some(first_offset) if !header.is_transactional() => {
                Err(ProducerError::NotInTransaction { producer_id, producer_epoch, sequence, first_offset })
            }
            _ => Ok(None),
        }
    }

    /// Whether a marker may be appended. Its epoch is the producer's, or a later one: in the second version of the
    /// transaction protocol every marker bumps it.
    pub fn check_marker(
        &self,
        header: &BatchHeader,
        marker: &EndTransactionMarker,
    ) -> Result<(), ProducerError> {
        self.check_epoch(header.producer_epoch)?;
        let (coordinator_epoch, current_epoch) = (marker.coordinator_epoch, self.coordinator_epoch);
        if coordinator_epoch < current_epoch {
            let producer_id = header.producer_id;
            return Err(ProducerError::CoordinatorFenced { producer_id, coordinator_epoch, current_epoch });
        }
        Ok(())
    }

    fn check_epoch(&self, producer_epoch: i16) -> Result<(), ProducerError> {
        if producer_epoch < self.producer_epoch {
            let (producer_id, current_epoch) = (self.producer_id, self.producer_epoch);
            return Err(ProducerError::Fenced { producer_id, producer_epoch, current_epoch });
        }
        Ok(())
    }

    fn find_duplicate(&self, header: &BatchHeader) -> Option<BatchMetadata> {
        let range = (header.base_sequence, header.last_sequence());
        let is_same = |batch: &&BatchMetadata| (batch.first_sequence(), batch.last_sequence) == range;
        let same_epoch = header.producer_epoch == self.producer_epoch;
        self.batches.iter().filter(|_| same_epoch).find(is_same).copied()
    }

    /// `None` where any will do: of a producer that is not known, or not any more.
    fn expected_sequence(&self, producer_epoch: i16, forgets_none: bool) -> Option<i32> {
        match self.producer_epoch {
            NO_PRODUCER_EPOCH => forgets_none.then_some(0),
            current if current == producer_epoch => Some(self.last_sequence().wrapping_add(1) & i32::MAX),
            _ => Some(0),
        }
    }

    /// Notes a batch that is in the log. Returns whether it begins a transaction.
    pub fn append_batch(&mut self, header: &BatchHeader) -> bool {
        self.move_to_epoch(header.producer_epoch);
        if self.batches.len() == BATCHES {
            self.batches.remove(0);
        }
        self.batches.push(BatchMetadata {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
        });
        self.last_timestamp = header.max_timestamp;
        let begins = header.is_transactional() && self.current_txn_first_offset.is_none();
        if begins {
            self.current_txn_first_offset = Some(header.base_offset);
        }
        begins
    }

    /// Notes a marker that is in the log. Returns the first offset of the transaction that it ends, if there was one.
    pub fn append_marker(&mut self, header: &BatchHeader, marker: &EndTransactionMarker) -> Option<i64> {
        self.move_to_epoch(header.producer_epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = marker.timestamp;
        self.current_txn_first_offset.take()
    }

    fn move_to_epoch(&mut self, producer_epoch: i16) {
        if producer_epoch != self.producer_epoch {
            self.producer_epoch = producer_epoch;
            self.batches.clear();
        }
    }
}
