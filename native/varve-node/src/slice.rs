use std::sync::{Arc, Mutex, MutexGuard};

use napi::bindgen_prelude::{AsyncTask, Buffer, BufferSlice};
use napi_derive::napi;
use varve_log::{Access, Log, LogError, Slice};
use varve_records::BatchHeader;

use crate::failure::{Failure, task};

/// Whole batches of a segment file, which stays open until the slice is closed or collected. No method takes
/// `&mut self`, for the reason that [`crate::log::NativeLog`] has none.
#[napi]
pub struct NativeSlice {
    pub(crate) log: Arc<Log>,
    slice: Mutex<Option<Slice>>,
    bytes: u64,
    next_offset: i64,
}

/// How many bytes hold good batches, and what is wrong behind them.
#[napi(object)]
pub struct NativeVerified {
    pub good: u32,
    pub failure: Option<Failure>,
}

task!(ReadSlice, u32, u32, |bytes| bytes);

impl NativeSlice {
    pub fn new(log: Arc<Log>, slice: Slice) -> Self {
        Self { log, bytes: slice.bytes, next_offset: slice.next_offset, slice: Mutex::new(Some(slice)) }
    }

    pub fn slice(&self) -> MutexGuard<'_, Option<Slice>> {
        self.slice.lock().expect("never held across a panic")
    }
}

#[napi]
impl NativeSlice {
    #[napi(getter, catch_unwind)]
    pub fn bytes(&self) -> f64 {
        self.bytes as f64
    }

    #[napi(getter, catch_unwind)]
    pub fn next_offset(&self) -> f64 {
        self.next_offset as f64
    }

    /// Fills `buffer` from byte `at` of the slice on as far as the bytes are in memory; returns how many were.
    #[napi(catch_unwind)]
    pub fn read_cached(&self, mut buffer: BufferSlice<'_>, at: f64) -> u32 {
        let Some(slice) = &*self.slice() else { return 0 };
        // An error is met again by the read that waits, and told there.
        let read = slice.read(&mut buffer, at as u64, Access::Cached).unwrap_or(0);
        self.log.note_read(buffer.len(), read, Access::Cached);
        read as u32
    }

    /// Fills `buffer` on a thread that waits for the disk.
    #[napi(catch_unwind)]
    pub fn read(&self, mut buffer: Buffer, at: f64) -> AsyncTask<ReadSlice> {
        let slice = self.slice().clone();
        let log = self.log.clone();
        AsyncTask::new(ReadSlice(Box::new(move || match slice {
            Some(slice) => {
                let read = slice.read(&mut buffer, at as u64, Access::Blocking)?;
                log.note_read(buffer.len(), read, Access::Blocking);
                Ok(read as u32)
            }
            None => Err(LogError::Closed { dir: log.dir.clone() }),
        })))
    }

    /// Checks the batches that were read from this slice against their checksums. A bad one makes the log read-only.
    #[napi(catch_unwind)]
    pub fn verify(&self, bytes: BufferSlice<'_>) -> NativeVerified {
        let mut good = 0;
        let mut next_offset = None;
        while good < bytes.len() {
            let header = BatchHeader::parse(&bytes[good..]).filter(BatchHeader::is_plausible);
            let end = header.map_or(usize::MAX, |header| good.saturating_add(header.total_bytes() as usize));
            let detail = match header {
                Some(header) if end <= bytes.len() && header.crc_matches(&bytes[good..end]) => {
                    next_offset = Some(header.next_offset());
                    good = end;
                    continue;
                }
                Some(_) if end <= bytes.len() => "its CRC-32C does not match its bytes",
                _ => "there is no whole batch",
            };
            let offset = next_offset.or(header.map(|header| header.base_offset)).unwrap_or(0);
            let Some(slice) = &*self.slice() else { break };
            let error = slice.corrupt(good as u64, offset, detail.into());
            self.log.report_corrupt(error.clone());
            return NativeVerified { good: good as u32, failure: Some(error.into()) };
        }
        NativeVerified { good: good as u32, failure: None }
    }

    /// Lets go of the file.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        *self.slice() = None;
    }
}
