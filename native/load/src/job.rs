//! What to do, as JSON in the first argument; names and units as the benchmarks of the project use them.

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Job {
    /// Sends until a limit is reached, and waits for every answer.
    Produce {
        #[serde(flatten)]
        batches: Batches,
        /// `host:port`.
        address: String,
        connections: usize,
        /// Unanswered requests on each connection. With acks 0 there is no answer to wait for.
        in_flight: usize,
        /// Until then.
        seconds: f64,
        /// Or until so many bytes of batches are sent.
        max_bytes: u64,
        /// Or so many requests.
        max_requests: Option<u64>,
    },
    /// Lets each connection read the topic from its start to its end.
    Consume {
        address: String,
        topic: Topic,
        connections: usize,
        /// Of each connection, over all partitions.
        records: u64,
        /// max.partition.fetch.bytes.
        max_partition_bytes: i32,
        /// fetch.max.bytes.
        max_bytes: i32,
    },
    /// Sends requests at a pace and reads them on another connection: how long from when one was due to when it is read.
    EndToEnd {
        #[serde(flatten)]
        batches: Batches,
        address: String,
        requests_per_second: f64,
        /// What is measured comes after so many seconds.
        warm_up_seconds: f64,
        seconds: f64,
    },
    /// Opens connections, has one answer on each, and keeps them until standard input ends.
    Idle { address: String, connections: usize },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batches {
    pub topics: Vec<Topic>,
    /// -1 is all.
    pub acks: i16,
    pub records_per_batch: usize,
    pub record_bytes: usize,
    /// `none` or `lz4`.
    pub codec: String,
    /// Partitions with a batch in one request.
    pub batches_per_request: usize,
}

#[derive(Deserialize, Clone)]
pub struct Topic {
    pub name: String,
    pub partitions: i32,
}
