//! The Node binding of `varve-log`: converts arguments and errors, runs what waits on threads, and tells JavaScript
//! when something became durable. It decides nothing.

// A build of tests registers nothing with Node.
#![cfg_attr(test, allow(dead_code))]

mod changed_logs;
mod changes;
mod codec;
mod directory;
mod disk_threads;
mod failure;
mod fault;
mod inspect;
mod log;
mod log_config;
mod producers;
mod promised;
mod registry;
#[cfg(target_os = "linux")]
mod sender;
mod shared_log;
mod slice;
#[cfg(target_os = "linux")]
mod socket;
mod stats;

use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;

/// CRC-32C of the bytes; `seed` is the checksum of the bytes in front of them.
// Left to itself, napi would call it crc32C.
#[napi(js_name = "crc32c", catch_unwind)]
pub fn crc32c(bytes: BufferSlice, seed: Option<u32>) -> u32 {
    let crc = varve_records::crc32c(&bytes);
    match seed {
        None | Some(0) => crc,
        Some(seed) => varve_records::crc32c_combine(seed, crc, bytes.len() as u64),
    }
}
