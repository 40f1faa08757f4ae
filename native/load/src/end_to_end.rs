//! How long records take from when they are due to be sent until they are read. Threads that block, since the pace is finer
//! than what a poll can wait for: one sends, one takes the answers, one reads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Failure;
use crate::job::Batches;
use crate::latencies::{Latencies, Summary};
use crate::started::wait_for_start;
use crate::wire;

/// What is not read so long after the last request was due does not come any more.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_PARTITION_BYTES: i32 = 1 << 20;
const MAX_BYTES: i32 = 50 << 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrived {
    pub requests: u64,
    pub records: u64,
    /// Since the first request was due.
    pub seconds: f64,
    pub latencies: Option<Summary>,
}

pub struct Pace {
    pub requests_per_second: f64,
    pub warm_up_seconds: f64,
    pub seconds: f64,
}

pub fn end_to_end(batches: &Batches, address: &str, pace: &Pace) -> Result<Arrived, Failure> {
    let [topic] = batches.topics.as_slice() else { return Err("it takes one topic".into()) };
    if topic.partitions != 1 || batches.acks == 0 {
        return Err("it takes one partition, and acknowledgements".into());
    }
    let requests = batches.requests()?;
    let frame = &requests[0].frame[..];
    let open = || -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    let mut sending = open()?;
    let mut answering = sending.try_clone()?;
    let mut reading = open()?;
    wait_for_start()?;

    let interval = Duration::from_secs_f64(1.0 / pace.requests_per_second);
    let warm_up = (pace.warm_up_seconds / interval.as_secs_f64()) as u64;
    let total = warm_up + (pace.seconds / interval.as_secs_f64()).max(1.0) as u64;
    let started = Instant::now();
    let due = |request: u64| started + Duration::from_nanos(interval.as_nanos() as u64 * request);
    let failed = AtomicBool::new(false);
    // A thread that fails ends the others' wait as well.
    let told = |result: Result<(), String>| {
        failed.fetch_or(result.is_err(), Ordering::Relaxed);
        result
    };
    let frame_to_send = frame;
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            told((0..total).try_for_each(|request| {
                if let Some(wait) = due(request).checked_duration_since(Instant::now()) {
                    thread::sleep(wait);
                }
                if failed.load(Ordering::Relaxed) {
                    return Ok(());
                }
                sending.write_all(frame_to_send).map_err(|error| error.to_string())
            }))
        });
        let answers = scope.spawn(|| {
            let mut response = Vec::new();
            told((0..total).try_for_each(|_| {
                if failed.load(Ordering::Relaxed) {
                    return Ok(());
                }
                read_frame(&mut answering, &mut response)
                    .and_then(|()| wire::check_produced(&response, 1))
                    .map_err(|error| error.to_string())
            }))
        });
        let reader = read_all(&mut reading, batches, &topic.name, total, |request| {
            (request >= warm_up).then(|| due(request))
        });
        if reader.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        for (what, thread) in [("sending", sender), ("answers", answers)] {
            thread
                .join()
                .map_err(|_| format!("{what} panicked"))?
                .map_err(|error| format!("{what}: {error}"))?;
        }
        Ok(Arrived {
            requests: total,
            records: total * batches.records_per_batch as u64,
            seconds: started.elapsed().as_secs_f64(),
            latencies: reader?.summary()?,
        })
    })
}

/// Reads until the batches of all requests came. `due` tells since when to count a request, if it counts.
fn read_all(
    stream: &mut TcpStream,
    batches: &Batches,
    topic: &str,
    total: u64,
    due: impl Fn(u64) -> Option<Instant>,
) -> Result<Latencies, Failure> {
    let mut latencies = Latencies::new();
    let mut response = Vec::new();
    let mut offset = 0;
    let per_batch = batches.records_per_batch as i64;
    let mut last = Instant::now();
    while offset < total as i64 * per_batch {
        stream.write_all(&wire::fetch(topic, &[offset], MAX_PARTITION_BYTES, MAX_BYTES))?;
        read_frame(stream, &mut response)?;
        let now = Instant::now();
        wire::fetched(&response, |_, bytes| {
            for batch in wire::batches(bytes) {
                if batch.base_offset != offset || batch.records as i64 != per_batch {
                    return Err(
                        format!("offset {offset} was asked for and {} came", batch.base_offset).into()
                    );
                }
                if let Some(due) = due((offset / per_batch) as u64) {
                    latencies.record(now.saturating_duration_since(due))?;
                }
                offset = batch.next_offset;
                last = now;
            }
            Ok(())
        })?;
        if last.elapsed() > PATIENCE {
            return Err(format!("only {offset} of {} records came", total as i64 * per_batch).into());
        }
    }
    Ok(latencies)
}

fn read_frame(stream: &mut TcpStream, frame: &mut Vec<u8>) -> Result<(), Failure> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    frame.resize(u32::from_be_bytes(length) as usize, 0);
    Ok(stream.read_exact(frame)?)
}
