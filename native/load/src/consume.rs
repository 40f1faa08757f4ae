//! Connections that each read everything, one Fetch at a time, and look at nothing but batch headers.

use std::time::{Duration, Instant};

use mio::{Events, Poll};
use serde::Serialize;

use crate::Failure;
use crate::connection::Connection;
use crate::job::Topic;
use crate::started::wait_for_start;
use crate::wire;

/// Without an answer for so long, records are missing.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Consumed {
    pub fetches: u64,
    pub records: u64,
    pub bytes: u64,
    pub seconds: f64,
}

pub struct Limits {
    pub records: u64,
    pub max_partition_bytes: i32,
    pub max_bytes: i32,
}

struct Reader {
    connection: Connection,
    offsets: Vec<i64>,
    records: u64,
}

pub fn consume(
    address: &str,
    topic: &Topic,
    connections: usize,
    limits: &Limits,
) -> Result<Consumed, Failure> {
    let mut poll = Poll::new()?;
    let mut readers = (0..connections)
        .map(|index| {
            Ok(Reader {
                connection: Connection::open(address, &poll, index)?,
                offsets: vec![0; topic.partitions as usize],
                records: 0,
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    wait_for_start()?;
    let started = Instant::now();
    let mut consumed = Consumed { fetches: 0, records: 0, bytes: 0, seconds: 0.0 };
    let ask = |reader: &mut Reader| {
        let frame = wire::fetch(&topic.name, &reader.offsets, limits.max_partition_bytes, limits.max_bytes);
        reader.connection.send(frame.into())
    };
    for reader in &mut readers {
        ask(reader)?;
    }
    let mut events = Events::with_capacity(1024);
    let mut running = connections;
    let mut last_records = Instant::now();
    while running > 0 {
        poll.poll(&mut events, Some(PATIENCE)).or_else(|error| match error.kind() {
            std::io::ErrorKind::Interrupted => Ok(()),
            _ => Err(error),
        })?;
        if last_records.elapsed() > PATIENCE {
            let read = readers.iter().map(|reader| reader.records).min().unwrap_or(0);
            return Err(format!("only {read} of {} records came", limits.records).into());
        }
        for event in &events {
            let reader = &mut readers[event.token().0];
            let Reader { connection, offsets, records } = reader;
            connection.flush()?;
            let mut answered = false;
            let before = *records;
            connection.receive(|response| {
                answered = true;
                consumed.fetches += 1;
                wire::fetched(response, |partition, bytes| {
                    consumed.bytes += bytes.len() as u64;
                    for batch in wire::batches(bytes) {
                        if batch.base_offset != offsets[partition] {
                            let (wanted, came) = (offsets[partition], batch.base_offset);
                            return Err(format!("offset {wanted} was asked for and {came} came").into());
                        }
                        offsets[partition] = batch.next_offset;
                        *records += batch.records;
                    }
                    Ok(())
                })
            })?;
            if !answered {
                continue;
            }
            if *records > before {
                last_records = Instant::now();
            }
            match reader.records {
                read if read > limits.records => {
                    return Err(format!("{read} records came instead of {}", limits.records).into());
                }
                read if read == limits.records => running -= 1,
                _ => ask(reader)?,
            }
        }
    }
    consumed.records = readers.iter().map(|reader| reader.records).sum();
    consumed.seconds = started.elapsed().as_secs_f64();
    Ok(consumed)
}
