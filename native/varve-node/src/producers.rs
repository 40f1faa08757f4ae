use napi::Either;
use napi::bindgen_prelude::{AsyncTask, BigInt};
use napi_derive::napi;
use varve_log::producer_state::ProducerState;
use varve_log::transactions::AbortedTransaction;
use varve_log::{Access, LogError};

use crate::failure::{Failure, task};
use crate::log::NativeLog;

/// What a producer has written to a log.
#[napi(object)]
pub struct NativeProducer {
    pub producer_id: BigInt,
    pub producer_epoch: i32,
    /// -1 when the epoch has written nothing.
    pub last_sequence: i32,
    pub last_timestamp: f64,
    /// -1 before there was a marker.
    pub coordinator_epoch: i32,
    pub current_txn_first_offset: Option<f64>,
}

/// A transaction that ended with an abort.
#[napi(object)]
pub struct NativeAbortedTransaction {
    pub producer_id: BigInt,
    pub first_offset: f64,
    pub last_offset: f64,
}

fn to_native(aborted: Vec<AbortedTransaction>) -> Vec<NativeAbortedTransaction> {
    let convert = |one: AbortedTransaction| NativeAbortedTransaction {
        producer_id: one.producer_id.into(),
        first_offset: one.first_offset as f64,
        last_offset: one.last_offset as f64,
    };
    aborted.into_iter().map(convert).collect()
}

task!(FindAborted, Vec<AbortedTransaction>, Vec<NativeAbortedTransaction>, to_native);

impl From<ProducerState> for NativeProducer {
    fn from(producer: ProducerState) -> Self {
        Self {
            producer_id: producer.producer_id.into(),
            producer_epoch: producer.producer_epoch.into(),
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp as f64,
            coordinator_epoch: producer.coordinator_epoch,
            current_txn_first_offset: producer.current_txn_first_offset.map(|offset| offset as f64),
        }
    }
}

#[napi]
impl NativeLog {
    #[napi(getter, catch_unwind)]
    pub fn last_stable_offset(&self) -> f64 {
        self.log.last_stable_offset() as f64
    }

    #[napi(catch_unwind)]
    pub fn set_high_watermark(&self, offset: f64) {
        self.log.set_high_watermark(offset as i64);
    }

    #[napi(catch_unwind)]
    pub fn producers(&self) -> Vec<NativeProducer> {
        self.log.producers().into_iter().map(NativeProducer::from).collect()
    }

    /// The aborted transactions with a record in `from..up_to`, or nothing when an index is on disk.
    #[napi(catch_unwind)]
    pub fn aborted_transactions(
        &self,
        from: f64,
        up_to: f64,
    ) -> Option<Either<Vec<NativeAbortedTransaction>, Failure>> {
        match self.log.aborted_transactions(from as i64, up_to as i64, Access::Cached) {
            Ok(aborted) => Some(Either::A(to_native(aborted))),
            Err(LogError::WouldBlock) => None,
            Err(error) => Some(Either::B(error.into())),
        }
    }

    /// The same on a thread that waits.
    #[napi(catch_unwind)]
    pub fn aborted_transactions_cold(&self, from: f64, up_to: f64) -> AsyncTask<FindAborted> {
        let log = self.log.clone();
        let find = move || log.aborted_transactions(from as i64, up_to as i64, Access::Blocking);
        AsyncTask::new(FindAborted(Box::new(find)))
    }
}
