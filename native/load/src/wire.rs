//! The few requests that are sent, in the last versions without flexible fields, which every broker since Kafka 2.3 serves.

use crate::Failure;
use crate::job::Topic;

const PRODUCE: (i16, i16) = (0, 7);
const FETCH: (i16, i16) = (1, 11);
const API_VERSIONS: (i16, i16) = (18, 0);

const TIMEOUT_MS: i32 = 30_000;
const MAX_WAIT_MS: i32 = 500;

/// A frame as it is sent: length, header, body.
struct Frame(Vec<u8>);

impl Frame {
    fn new((key, version): (i16, i16), capacity: usize) -> Self {
        let mut frame = Self(Vec::with_capacity(capacity + 64));
        // The correlation id may always be the same: answers come in the order of their requests.
        frame.i32(0).i16(key).i16(version).i32(0).string("varve-load");
        frame
    }

    fn i16(&mut self, value: i16) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn string(&mut self, value: &str) -> &mut Self {
        self.i16(value.len() as i16).0.extend_from_slice(value.as_bytes());
        self
    }

    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.i32(value.len() as i32).0.extend_from_slice(value);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() - 4) as i32;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// One batch for each of these partitions; those of one topic must follow each other.
pub fn produce(acks: i16, partitions: &[(&str, i32)], batch: &[u8]) -> Vec<u8> {
    let mut frame = Frame::new(PRODUCE, partitions.len() * (batch.len() + 64));
    frame.i16(-1).i16(acks).i32(TIMEOUT_MS);
    let topics: Vec<_> = partitions.chunk_by(|a, b| a.0 == b.0).collect();
    frame.i32(topics.len() as i32);
    for topic in topics {
        frame.string(topic[0].0).i32(topic.len() as i32);
        for (_, partition) in topic {
            frame.i32(*partition).bytes(batch);
        }
    }
    frame.finish()
}

/// Asks for one topic's partitions from these offsets on, without a fetch session.
pub fn fetch(topic: &str, offsets: &[i64], max_partition_bytes: i32, max_bytes: i32) -> Vec<u8> {
    let mut frame = Frame::new(FETCH, offsets.len() * 32);
    frame.i32(-1).i32(MAX_WAIT_MS).i32(1).i32(max_bytes);
    frame.0.push(0);
    frame.i32(0).i32(-1).i32(1).string(topic).i32(offsets.len() as i32);
    for (partition, offset) in offsets.iter().enumerate() {
        frame.i32(partition as i32).i32(-1).i64(*offset).i64(-1).i32(max_partition_bytes);
    }
    frame.i32(0).string("");
    frame.finish()
}

pub fn api_versions() -> Vec<u8> {
    Frame::new(API_VERSIONS, 0).finish()
}

/// Reads a response, from behind its length on.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("a response ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn i16(&mut self) -> Result<i16, Failure> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into().expect("two bytes")))
    }

    fn i32(&mut self) -> Result<i32, Failure> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    /// Null counts as empty.
    fn length(&mut self) -> Result<usize, Failure> {
        Ok(self.i32()?.max(0) as usize)
    }

    fn string(&mut self) -> Result<&'a [u8], Failure> {
        let length = self.i16()?.max(0) as usize;
        self.take(length)
    }
}

fn no_error(code: i16) -> Result<(), Failure> {
    if code == 0 { Ok(()) } else { Err(format!("the broker answered with error {code}").into()) }
}

/// Fails unless each partition took its batch.
pub fn check_produced(response: &[u8], partitions: usize) -> Result<(), Failure> {
    let mut reader = Reader(response);
    reader.i32()?;
    let mut seen = 0;
    for _ in 0..reader.length()? {
        reader.string()?;
        for _ in 0..reader.length()? {
            reader.i32()?;
            no_error(reader.i16()?)?;
            reader.take(3 * 8)?;
            seen += 1;
        }
    }
    if seen == partitions {
        Ok(())
    } else {
        Err(format!("{seen} of {partitions} partitions answered").into())
    }
}

/// Calls `each` with the partition and the batches of each partition in a response of one topic.
pub fn fetched(
    response: &[u8],
    mut each: impl FnMut(usize, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = Reader(response);
    reader.take(4 + 4)?;
    no_error(reader.i16()?)?;
    reader.i32()?;
    for _ in 0..reader.length()? {
        reader.string()?;
        for _ in 0..reader.length()? {
            let partition = reader.i32()?;
            no_error(reader.i16()?)?;
            reader.take(3 * 8)?;
            let aborted = reader.length()?;
            reader.take(aborted * 16)?;
            reader.i32()?;
            let length = reader.length()?;
            each(partition as usize, reader.take(length)?)?;
        }
    }
    Ok(())
}

pub struct BatchSpan {
    pub base_offset: i64,
    pub next_offset: i64,
    pub records: u64,
}

const HEADER_BYTES: usize = 61;

/// The whole batches at the start of what a partition answered; the last one may be cut off.
pub fn batches(mut bytes: &[u8]) -> impl Iterator<Item = BatchSpan> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER_BYTES)?;
        let i32_at = |at: usize| i32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let rest = bytes.get(12 + i32_at(8) as usize..)?;
        let base_offset = i64::from_be_bytes(header[..8].try_into().expect("eight bytes"));
        bytes = rest;
        Some(BatchSpan {
            base_offset,
            next_offset: base_offset + i64::from(i32_at(23)) + 1,
            records: i32_at(57) as u64,
        })
    })
}

/// All partitions of all topics, in order.
pub fn partitions(topics: &[Topic]) -> Vec<(&str, i32)> {
    topics
        .iter()
        .flat_map(|topic| (0..topic.partitions).map(|partition| (topic.name.as_str(), partition)))
        .collect()
}
