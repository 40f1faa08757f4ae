//! Produce requests, whole and built once: what is measured is the broker, not how a client encodes.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use varve_records::{BatchBuilder, BatchHeader, Codec, recompress};

use crate::Failure;
use crate::job::Batches;
use crate::wire;

pub struct ProduceRequest {
    pub frame: Rc<[u8]>,
    pub partitions: usize,
    /// Of all batches in it.
    pub batch_bytes: usize,
}

impl Batches {
    /// Requests that together reach every partition once.
    pub fn requests(&self) -> Result<Vec<ProduceRequest>, Failure> {
        let batch = self.batch()?;
        Ok(wire::partitions(&self.topics)
            .chunks(self.batches_per_request)
            .map(|partitions| ProduceRequest {
                frame: wire::produce(self.acks, partitions, &batch).into(),
                partitions: partitions.len(),
                batch_bytes: partitions.len() * batch.len(),
            })
            .collect())
    }

    fn batch(&self) -> Result<Vec<u8>, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        let mut builder = BatchBuilder::new(now);
        let mut values = Values::new(self.record_bytes);
        for _ in 0..self.records_per_batch {
            builder.push(None, Some(values.next()), &[]);
        }
        let plain = builder.build();
        match self.codec.as_str() {
            "none" => Ok(plain),
            "lz4" => {
                let header = BatchHeader::parse(&plain).ok_or("a batch that was just built has no header")?;
                recompress(header, &plain, Codec::Lz4, plain.len())
                    .map_err(|error| format!("{error:?}").into())
            }
            other => Err(format!("there is no codec {other} here").into()),
        }
    }
}

/// Texts like those that services log: they compress to about a third.
struct Values {
    bytes: usize,
    value: Vec<u8>,
    state: u64,
}

const WORDS: [&str; 16] = [
    "order",
    "customer",
    "created",
    "shipped",
    "amount",
    "currency",
    "status",
    "pending",
    "warehouse",
    "address",
    "street",
    "country",
    "discount",
    "invoice",
    "payment",
    "quantity",
];

impl Values {
    fn new(bytes: usize) -> Self {
        Self { bytes, value: Vec::new(), state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// xorshift64.
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn next(&mut self) -> &[u8] {
        self.value.clear();
        self.value.push(b'{');
        while self.value.len() < self.bytes {
            let random = self.random();
            let field = format!("\"{}\":\"{:x}\",", WORDS[random as usize % WORDS.len()], random >> 24);
            self.value.extend_from_slice(field.as_bytes());
        }
        self.value.truncate(self.bytes);
        &self.value
    }
}
