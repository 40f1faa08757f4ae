//! Walks the batches of a segment file, by their headers alone or with their checksums.

use std::path::PathBuf;
use std::sync::Arc;

use varve_records::{BatchHeader, CHECKSUM_FROM, HEADER_BYTES, crc32c, crc32c_combine};

use crate::error::{LogError, Result};
use crate::storage::File;

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only what is in memory; [`LogError::WouldBlock`] otherwise. For the event loop.
    Cached,
    /// Waits. For threads.
    Blocking,
}

/// What stands at the next position.
pub enum Step {
    /// A batch and where it starts.
    Batch(BatchHeader, u64),
    /// Not a batch. `offset` is the first one that cannot be read.
    Bad {
        position: u64,
        offset: i64,
        detail: String,
    },
    End,
}

/// Small enough to cost little when batches are large, large enough to hold the headers of many small ones.
const WINDOW_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 1 << 20;

pub struct BatchReader {
    file: Arc<dyn File>,
    path: PathBuf,
    access: Access,
    position: u64,
    end: u64,
    base_offset: i64,
    next_offset: i64,
    /// Bytes to read when the window has run out.
    ahead: usize,
    window: Vec<u8>,
    window_at: u64,
}

impl BatchReader {
    /// Walks from `position` up to `end` in the file of the segment that starts at `base_offset`.
    pub fn new(
        file: Arc<dyn File>,
        path: PathBuf,
        access: Access,
        base_offset: i64,
        position: u64,
        end: u64,
    ) -> Self {
        Self {
            file,
            path,
            access,
            position,
            end,
            base_offset,
            next_offset: base_offset,
            ahead: WINDOW_BYTES,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// Where the next batch should start.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Steps over one batch, looking at its header only.
    pub fn next_header(&mut self) -> Result<Step> {
        if self.position >= self.end {
            return Ok(Step::End);
        }
        if self.end - self.position < HEADER_BYTES as u64 {
            return Ok(self.bad("the file ends within a batch header"));
        }
        self.fill(HEADER_BYTES)?;
        let at = (self.position - self.window_at) as usize;
        let header = BatchHeader::parse(&self.window[at..]).expect("filled above");
        Ok(self.step(header))
    }

    /// Steps over one batch, whose bytes are read and checked against their checksum.
    pub fn next_checked(&mut self) -> Result<Step> {
        self.ahead = CHUNK_BYTES;
        let step = self.next_header()?;
        let Step::Batch(header, position) = step else { return Ok(step) };
        if self.checksum(position + CHECKSUM_FROM as u64, self.position)? == header.crc {
            return Ok(step);
        }
        (self.position, self.next_offset) = (position, header.base_offset);
        Ok(self.bad("its CRC-32C does not match its bytes"))
    }

    /// Steps over one batch and gives its bytes, checked against their checksum.
    pub fn next_whole(&mut self) -> Result<(Step, &[u8])> {
        let step = self.next_checked()?;
        let Step::Batch(header, position) = step else { return Ok((step, &[])) };
        let (end, length) = (self.position, header.total_bytes() as usize);
        self.position = position;
        self.fill(length)?;
        self.position = end;
        let at = (position - self.window_at) as usize;
        Ok((step, &self.window[at..at + length]))
    }

    /// The checksum of the bytes from one position up to another, where the reader stands afterwards. They are read
    /// in pieces: a length field that lies must not claim more memory than that.
    fn checksum(&mut self, from: u64, to: u64) -> Result<u32> {
        self.position = from;
        let mut sum = crc32c(&[]);
        while self.position < to {
            self.fill(1)?;
            let piece = &self.window[(self.position - self.window_at) as usize..];
            let piece = &piece[..piece.len().min((to - self.position) as usize)];
            sum = crc32c_combine(sum, crc32c(piece), piece.len() as u64);
            self.position += piece.len() as u64;
        }
        Ok(sum)
    }

    /// The bytes of a control batch that was stepped over. No sound one is longer than a window.
    pub fn control_batch(&self, header: &BatchHeader, position: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; header.total_bytes().min(WINDOW_BYTES as u64) as usize];
        let read = self.file.read_at(&mut bytes, position).map_err(LogError::io("read", &self.path))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Steps over a batch whose checksum failed, if its length can be believed.
    pub fn skip_bad(&mut self) -> Result<bool> {
        Ok(matches!(self.next_header()?, Step::Batch(..)))
    }

    fn step(&mut self, header: BatchHeader) -> Step {
        if !header.is_plausible() {
            return self.bad("there is no batch header");
        }
        if header.base_offset < self.next_offset {
            return self.bad("its offsets go backwards");
        }
        if header.last_offset() - self.base_offset > i64::from(i32::MAX) {
            return self.bad("its offsets lie too far from the segment's to be indexed");
        }
        if header.total_bytes() > self.end - self.position {
            return self.bad("the file ends within the batch");
        }
        let position = self.position;
        self.position += header.total_bytes();
        self.next_offset = header.next_offset();
        Step::Batch(header, position)
    }

    fn bad(&self, detail: &str) -> Step {
        Step::Bad { position: self.position, offset: self.next_offset, detail: detail.into() }
    }

    /// Makes `needed` bytes from the current position on available in the window.
    fn fill(&mut self, needed: usize) -> Result<()> {
        let held = self.window_at + self.window.len() as u64;
        if self.position >= self.window_at && self.position + needed as u64 <= held {
            return Ok(());
        }
        let bytes = (self.ahead.max(needed) as u64).min(self.end - self.position) as usize;
        self.window.resize(bytes, 0);
        self.window_at = self.position;
        let read = match self.access {
            Access::Cached => self.file.try_read_at(&mut self.window, self.position),
            Access::Blocking => self.file.read_at(&mut self.window, self.position),
        }
        .map_err(LogError::io("read", &self.path))?;
        self.window.truncate(read);
        if read >= needed {
            return Ok(());
        }
        if self.access == Access::Cached {
            return Err(LogError::WouldBlock);
        }
        Err(LogError::Corrupt {
            file: self.path.clone(),
            position: self.position,
            offset: self.next_offset,
            detail: format!("the file has {} bytes, {} were expected", self.position + read as u64, self.end),
        })
    }
}
