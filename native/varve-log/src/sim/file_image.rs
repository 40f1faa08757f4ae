//! One file: the bytes a reader sees, the bytes a power loss leaves, and the changes between the two.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::{SimRng, Survival};

/// What a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;
/// What the page cache holds or drops whole.
const PAGE_BYTES: u64 = 4096;

/// A change since the last sync, in the order in which it was made.
#[derive(Clone)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    SetLength(usize),
}

impl Change {
    /// The file's length after this change to a file of `length` bytes.
    fn length_after(&self, length: usize) -> usize {
        match self {
            Self::Write { position, bytes } => length.max(position + bytes.len()),
            Self::SetLength(bytes) => *bytes,
        }
    }

    fn apply(&self, image: &mut Vec<u8>) {
        image.resize(self.length_after(image.len()), 0);
        if let Self::Write { position, bytes } = self {
            image[*position..position + bytes.len()].copy_from_slice(bytes);
        }
    }
}

#[derive(Clone)]
pub(super) struct FileImage {
    /// Bytes and length as every reader sees them.
    live: Vec<u8>,
    /// Bytes and length that no power loss takes away.
    durable: Vec<u8>,
    /// What the next sync makes durable. After a failed sync `live` differs from `durable` without anything pending:
    /// the cache calls those bytes clean and never writes them again.
    pending: Vec<Change>,
    /// Pages that are not in memory.
    cold: BTreeSet<u64>,
    /// Open handles; they keep the space of a removed file in use.
    pub handles: usize,
    /// The name it has, or had last, for messages.
    pub path: PathBuf,
}

impl FileImage {
    pub fn new(path: PathBuf) -> Self {
        Self {
            live: Vec::new(),
            durable: Vec::new(),
            pending: Vec::new(),
            cold: BTreeSet::new(),
            handles: 0,
            path,
        }
    }

    pub fn len(&self) -> u64 {
        self.live.len() as u64
    }

    pub fn contents(&self) -> &[u8] {
        &self.live
    }

    pub fn write(&mut self, position: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        for page in pages(position, bytes.len()) {
            self.cold.remove(&page);
        }
        self.change(Change::Write { position: position as usize, bytes: bytes.to_vec() });
    }

    pub fn set_len(&mut self, bytes: u64) {
        self.change(Change::SetLength(bytes as usize));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// Reads like the disk does, and leaves what it read in memory.
    pub fn read(&mut self, buffer: &mut [u8], position: u64) -> usize {
        let count = self.copy_to(buffer, position);
        for page in pages(position, count) {
            self.cold.remove(&page);
        }
        count
    }

    /// Reads up to the first byte that is not in memory.
    pub fn try_read(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let wanted = buffer.len().min(self.live.len().saturating_sub(position as usize));
        let first_cold = pages(position, wanted).find(|page| self.cold.contains(page));
        let warm = match first_cold {
            Some(page) => (page * PAGE_BYTES).saturating_sub(position) as usize,
            None => wanted,
        };
        if warm == 0 && wanted > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.copy_to(&mut buffer[..warm], position))
    }

    fn copy_to(&self, buffer: &mut [u8], position: u64) -> usize {
        let start = self.live.len().min(position as usize);
        let count = buffer.len().min(self.live.len() - start);
        buffer[..count].copy_from_slice(&self.live[start..start + count]);
        count
    }

    /// Drops the file from memory. Bytes whose sync failed exist nowhere else, so a later read finds what the disk
    /// has instead; the length is kept by the inode, which stays in memory.
    pub fn evict(&mut self) {
        let length = self.live.len();
        self.live = self.synced();
        self.live.resize(length, 0);
        self.cold = pages(0, length).collect();
    }

    pub fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable);
        }
    }

    /// What a failed sync leaves: readers go on seeing the bytes, the disk never gets them.
    pub fn fail_sync(&mut self) {
        self.pending.clear();
    }

    fn synced(&self) -> Vec<u8> {
        let mut image = self.durable.clone();
        self.pending.iter().for_each(|change| change.apply(&mut image));
        image
    }

    /// The file as it is found after a power loss: nothing of it in memory, nothing pending.
    pub fn after_power_loss(&self, survival: Survival, rng: &mut SimRng) -> Self {
        let durable = match survival {
            Survival::Nothing => self.durable.clone(),
            Survival::Everything => self.synced(),
            Survival::Subset => self.subset(rng),
            Survival::Torn => self.torn(rng),
        };
        let cold = pages(0, durable.len()).collect();
        Self { live: durable.clone(), durable, cold, ..Self::new(self.path.clone()) }
    }

    /// Each change survives or not. The length that a lost write gave the file may survive it, as zeros.
    fn subset(&self, rng: &mut SimRng) -> Vec<u8> {
        let odds = rng.below(9);
        let mut image = self.durable.clone();
        for change in &self.pending {
            if rng.chance(odds, 8) {
                change.apply(&mut image);
            } else if rng.chance(1, 2) {
                image.resize(change.length_after(image.len()), 0);
            }
        }
        image
    }

    /// Each sector is as it was before the changes or as it was after one of them, independently of the others and
    /// of the length. A sector is written whole, so a later change never survives without the earlier ones.
    fn torn(&self, rng: &mut SimRng) -> Vec<u8> {
        let odds = rng.below(9);
        let mut image = self.durable.clone();
        let mut lengths = vec![image.len()];
        let mut final_sectors = BTreeSet::new();
        for change in &self.pending {
            let length = change.length_after(lengths[lengths.len() - 1]);
            lengths.push(length);
            image.resize(image.len().max(length), 0);
            let (start, end) = match change {
                Change::Write { position, bytes } => (*position, position + bytes.len()),
                Change::SetLength(bytes) => (*bytes, image.len()),
            };
            for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
                if final_sectors.contains(&sector) {
                    continue;
                }
                if !rng.chance(odds, 8) {
                    final_sectors.insert(sector);
                    continue;
                }
                let from = start.max(sector * SECTOR_BYTES);
                let to = end.min((sector + 1) * SECTOR_BYTES);
                match change {
                    Change::Write { bytes, .. } => {
                        image[from..to].copy_from_slice(&bytes[from - start..to - start]);
                    }
                    Change::SetLength(_) => image[from..to].fill(0),
                }
            }
        }
        image.resize(torn_length(&lengths, rng), 0);
        image
    }
}

/// The old length, the new one, one in between, or a sector's end between the shortest and the longest of them.
fn torn_length(lengths: &[usize], rng: &mut SimRng) -> usize {
    let shortest = *lengths.iter().min().expect("the durable length is always there");
    let longest = *lengths.iter().max().expect("the durable length is always there");
    match rng.below(4) {
        0 => lengths[0],
        1 => lengths[lengths.len() - 1],
        2 => *rng.pick(lengths),
        _ => {
            let sectors = longest.div_ceil(SECTOR_BYTES) - shortest / SECTOR_BYTES;
            let sector = shortest / SECTOR_BYTES + rng.below(sectors as u64 + 1) as usize;
            (sector * SECTOR_BYTES).clamp(shortest, longest)
        }
    }
}

/// The pages that `count` bytes from `position` on lie in; none for no bytes.
fn pages(position: u64, count: usize) -> std::ops::Range<u64> {
    if count == 0 {
        return 0..0;
    }
    position / PAGE_BYTES..(position + count as u64).div_ceil(PAGE_BYTES)
}
