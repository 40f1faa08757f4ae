//! The failure this guards against: batches of a megabyte that expand to hundreds, one for each thread, take the memory of
//! the machine, or keep everybody else waiting.

#![cfg(target_os = "linux")]

mod simulation;

use std::fs;
use std::thread;

use simulation::{Solo, config};
use varve_log::sim::SimStorage;
use varve_log::{Durability, LogConfig};
use varve_records::{BatchBuilder, BatchHeader, Codec, HEADER_BYTES, compress, seal, write_varint};

const MIB: usize = 1 << 20;

/// A batch of one record whose value is so many MiB that are compressed in these frames: concatenated ones are one stream to
/// zstd.
fn batch_of(mib: usize, value: &[u8]) -> Vec<u8> {
    let mut fields = vec![0, 0, 0];
    write_varint(&mut fields, -1);
    write_varint(&mut fields, (mib * MIB) as i32);
    let mut start = Vec::new();
    write_varint(&mut start, (fields.len() + mib * MIB + 1) as i32);
    start.extend(fields);
    let section = [&compress(Codec::Zstd, &start), value, &compress(Codec::Zstd, &[0])].concat();
    let mut builder = BatchBuilder::new(0);
    builder.push(None, None, &[]);
    let header = BatchHeader::parse(&builder.build()).unwrap();
    let batch_length =
        header.batch_length - (header.total_bytes() as i32 - HEADER_BYTES as i32) + section.len() as i32;
    let header = BatchHeader { attributes: Codec::Zstd as u16, batch_length, ..header };
    let mut batch = [&header.to_bytes()[..], &section].concat();
    seal(&mut batch);
    batch
}

/// The value is zeros, which nobody ever holds.
fn bomb(mib: usize) -> Vec<u8> {
    batch_of(mib, &compress(Codec::Zstd, &vec![0; MIB]).repeat(mib))
}

/// The most memory (bytes) that the process has had since the last call.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn of_batches_that_expand_far_one_is_in_memory_at_a_time() {
    let (large, beyond) = (bomb(200), bomb(1024));
    assert!(large.len() < 200_000 && beyond.len() < MIB);
    peak();
    let before = peak();
    let appended = |change: LogConfig| {
        let batches = [&large, &beyond, &large, &beyond, &large, &beyond];
        thread::scope(|scope| {
            let threads = batches.map(|batch| {
                scope.spawn(|| {
                    let solo = Solo::open(&SimStorage::new(1), change).unwrap();
                    solo.append(batch.clone()).map_err(|error| error.code())
                })
            });
            threads.map(|thread| thread.join().unwrap())
        })
    };
    let refused = Err("VARVE_BATCH_INVALID");
    assert_eq!(appended(config(Durability::Os)), [Ok(0), refused, Ok(0), refused, Ok(0), refused]);
    // What one of them takes, and a part of another that the allocator has not given back yet; three would take 600 MiB.
    let looked_at = peak() - before;
    assert!(looked_at < 550 * MIB, "looking at them took {} MiB", looked_at / MIB);

    let change = LogConfig { compression: Some(Codec::Lz4), ..config(Durability::Os) };
    assert_eq!(appended(change), [Ok(0), refused, Ok(0), refused, Ok(0), refused]);
    let compressed = peak() - before;
    assert!(compressed < 550 * MIB, "compressing them took {} MiB", compressed / MIB);
}
