//! A handle on a file: what the engine writes, reads and syncs through.

use std::io;
use std::path::PathBuf;
use std::sync::MutexGuard;

use super::names::{self, Inode};
use super::operation::{OperationKind, Verdict};
use super::{SimStorage, State};
use crate::storage::{File, OpenMode};

/// ENOSPC has this number wherever the engine runs, and callers look at the number and not only at the kind.
const NO_SPACE: i32 = 28;

pub(super) struct SimFile {
    storage: SimStorage,
    inode: Inode,
    writable: bool,
}

impl SimFile {
    /// A handle that the caller has already counted.
    pub fn new(storage: SimStorage, inode: Inode, mode: OpenMode) -> Self {
        Self { storage, inode, writable: mode != OpenMode::Read }
    }

    fn running(&self) -> io::Result<MutexGuard<'_, State>> {
        self.storage.running()
    }

    fn writable(&self) -> io::Result<(MutexGuard<'_, State>, PathBuf)> {
        let mut state = self.running()?;
        let path = state.file(self.inode).path.clone();
        if self.writable {
            Ok((state, path))
        } else {
            Err(names::error(io::ErrorKind::PermissionDenied, &path, "was opened for reading only"))
        }
    }
}

impl File for SimFile {
    fn write_at(&self, buffers: &[&[u8]], position: u64) -> io::Result<()> {
        let (mut state, path) = self.writable()?;
        let bytes = buffers.concat();
        let length = bytes.len() as u64;
        let verdict = state.log.issue(OperationKind::Write { position, bytes: length }, &path);
        let room = state.length_limit(self.inode).saturating_sub(position);
        let done = match verdict {
            Verdict::Succeed => length,
            Verdict::Fail(_) | Verdict::Crash => state.done_of(length),
        };
        state.file(self.inode).write(position, &bytes[..done.min(room) as usize]);
        verdict.into_result()?;
        if room < length { Err(io::Error::from_raw_os_error(NO_SPACE)) } else { Ok(()) }
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        Ok(self.running()?.file(self.inode).read(buffer, position))
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.running()?.file(self.inode).try_read(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.running()?;
        let path = state.file(self.inode).path.clone();
        let verdict = state.log.issue(OperationKind::SyncData, &path);
        match verdict {
            Verdict::Succeed => state.file(self.inode).sync(),
            Verdict::Fail(_) => state.file(self.inode).fail_sync(),
            Verdict::Crash => {}
        }
        verdict.into_result()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let (mut state, path) = self.writable()?;
        let limit = state.length_limit(self.inode);
        let inode = self.inode;
        state.attempt(OperationKind::SetLen { bytes }, &path, |state| {
            if bytes > limit && bytes > state.file(inode).len() {
                return Err(io::Error::from_raw_os_error(NO_SPACE));
            }
            state.file(inode).set_len(bytes);
            Ok(())
        })?
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.running()?.file(self.inode).len())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.storage.state();
        state.file(self.inode).handles -= 1;
        if state.file(self.inode).handles == 0 {
            state.forget_unreachable();
        }
    }
}
