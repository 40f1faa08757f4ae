//! The directory tree: the names everyone sees, the names a power loss leaves, and the changes between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::{SimRng, Survival};

/// The number of a file or directory, whatever its name is.
pub(super) type Inode = u64;
const ROOT: Inode = 0;

/// A name in a directory.
type Name = (Inode, String);

/// Where a path leads, whether or not something is there.
pub(super) struct Place {
    /// The directories on the way, the root first and the one that holds the name last.
    trail: Vec<Inode>,
    name: Name,
}

#[derive(Clone, Default)]
struct Directory {
    live: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
}

/// A create (only `to`), a removal (only `from`) or a rename (both) that no sync has made durable.
#[derive(Clone)]
struct NameChange {
    inode: Inode,
    from: Option<Name>,
    to: Option<Name>,
    /// A directory that this change removes or replaces. What was moved out of it must have left it before.
    removed_directory: Option<Inode>,
    /// For a move between directories: the directories on the way to the new name. Had the move survived without
    /// them, the file would be gone under both names.
    trail: Vec<Inode>,
    /// The directories that have yet to be synced: for a move between two both of them, and those that hold the names
    /// of directories on the way to the new name.
    unsynced: BTreeSet<Inode>,
}

impl NameChange {
    fn names(&self) -> impl Iterator<Item = &Name> {
        self.from.iter().chain(&self.to)
    }

    /// Whether this change cannot survive without the `earlier` one.
    fn needs(&self, earlier: &Self) -> bool {
        self.names().any(|name| earlier.names().any(|other| other == name))
            || self
                .removed_directory
                .is_some_and(|gone| earlier.names().any(|(directory, _)| *directory == gone))
            || self.trail.contains(&earlier.inode)
    }

    fn apply(&self, directories: &mut BTreeMap<Inode, Directory>) {
        // There are no hard links. After a failed sync the inode may still have a durable name that no pending change
        // knows of; it must not keep two.
        for directory in directories.values_mut() {
            directory.durable.retain(|_, inode| *inode != self.inode);
        }
        if let Some((directory, name)) = &self.from {
            directories.get_mut(directory).expect("directories stay known").durable.remove(name);
        }
        if let Some((directory, name)) = &self.to {
            let directory = directories.get_mut(directory).expect("directories stay known");
            directory.durable.insert(name.clone(), self.inode);
        }
    }
}

#[derive(Clone)]
pub(super) struct Names {
    directories: BTreeMap<Inode, Directory>,
    pending: Vec<NameChange>,
    next_inode: Inode,
}

impl Names {
    pub fn new() -> Self {
        Self {
            directories: BTreeMap::from([(ROOT, Directory::default())]),
            pending: Vec::new(),
            next_inode: 1,
        }
    }

    pub fn is_directory(&self, inode: Inode) -> bool {
        self.directories.contains_key(&inode)
    }

    /// The inode at `path`.
    pub fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut inode = ROOT;
        for name in parts(path)? {
            inode = self.child(inode, &name, path)?.ok_or_else(|| not_found(path))?;
        }
        Ok(inode)
    }

    pub fn find_directory(&self, path: &Path) -> io::Result<Inode> {
        let inode = self.find(path)?;
        if self.is_directory(inode) { Ok(inode) } else { Err(not_a_directory(path)) }
    }

    /// Where `path` leads; its directory must exist, its last name need not.
    pub fn place(&self, path: &Path) -> io::Result<Place> {
        let mut names = parts(path)?;
        let last = names.pop().ok_or_else(|| error(io::ErrorKind::InvalidInput, path, "is the root"))?;
        let mut trail = vec![ROOT];
        for name in names {
            let next = self.child(trail[trail.len() - 1], &name, path)?.ok_or_else(|| not_found(path))?;
            trail.push(next);
        }
        let directory = trail[trail.len() - 1];
        self.child(directory, &last, path)?;
        Ok(Place { name: (directory, last), trail })
    }

    fn child(&self, directory: Inode, name: &str, path: &Path) -> io::Result<Option<Inode>> {
        let directory = self.directories.get(&directory).ok_or_else(|| not_a_directory(path))?;
        Ok(directory.live.get(name).copied())
    }

    /// What is at a place.
    pub fn at(&self, place: &Place) -> Option<Inode> {
        self.directories[&place.name.0].live.get(&place.name.1).copied()
    }

    pub fn list(&self, directory: Inode) -> Vec<String> {
        self.directories[&directory].live.keys().cloned().collect()
    }

    /// The directories of `path` that are missing, outermost first.
    pub fn missing_directories(&self, path: &Path) -> io::Result<Vec<String>> {
        let names = parts(path)?;
        let mut inode = ROOT;
        for (depth, name) in names.iter().enumerate() {
            match self.child(inode, name, path)? {
                Some(next) => inode = next,
                None => return Ok(names[depth..].to_vec()),
            }
        }
        if self.is_directory(inode) {
            Ok(Vec::new())
        } else {
            Err(error(io::ErrorKind::AlreadyExists, path, "is a file"))
        }
    }

    /// Creates the first `levels` of the directories that `path` misses.
    pub fn create_directories(&mut self, path: &Path, levels: usize) -> io::Result<()> {
        let missing = self.missing_directories(path)?;
        let existing = parts(path)?.len() - missing.len();
        let mut directory = ROOT;
        for (depth, name) in parts(path)?.into_iter().take(existing + levels).enumerate() {
            directory = if depth < existing {
                self.directories[&directory].live[&name]
            } else {
                let created = self.link_new((directory, name));
                self.directories.insert(created, Directory::default());
                created
            };
        }
        Ok(())
    }

    pub fn create_file(&mut self, place: Place) -> Inode {
        self.link_new(place.name)
    }

    fn link_new(&mut self, name: Name) -> Inode {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.change(inode, None, Some(name), Vec::new());
        inode
    }

    /// Refuses what a file system would refuse; returns the inode that is to be renamed.
    pub fn check_rename(&self, from: &Place, to: &Place, path: &Path) -> io::Result<Inode> {
        let inode = self.at(from).ok_or_else(|| not_found(path))?;
        if to.trail.contains(&inode) {
            return Err(error(io::ErrorKind::InvalidInput, path, "cannot be moved into itself"));
        }
        match self.at(to) {
            Some(replaced) if replaced != inode => {
                match (self.is_directory(inode), self.is_directory(replaced)) {
                    (true, false) => Err(error(io::ErrorKind::NotADirectory, path, "would replace a file")),
                    (false, true) => {
                        Err(error(io::ErrorKind::IsADirectory, path, "would replace a directory"))
                    }
                    _ => self.check_empty(replaced, path).map(|()| inode),
                }
            }
            _ => Ok(inode),
        }
    }

    pub fn rename(&mut self, inode: Inode, from: Place, to: Place) {
        let trail = if from.name.0 == to.name.0 { Vec::new() } else { to.trail };
        self.change(inode, Some(from.name), Some(to.name), trail);
    }

    /// Refuses what a file system would refuse; returns the inode that is to be removed.
    pub fn check_remove(&self, place: &Place, path: &Path) -> io::Result<Inode> {
        let inode = self.at(place).ok_or_else(|| not_found(path))?;
        self.check_empty(inode, path).map(|()| inode)
    }

    fn check_empty(&self, inode: Inode, path: &Path) -> io::Result<()> {
        match self.directories.get(&inode) {
            Some(directory) if !directory.live.is_empty() => {
                Err(error(io::ErrorKind::DirectoryNotEmpty, path, "directory is not empty"))
            }
            _ => Ok(()),
        }
    }

    pub fn remove(&mut self, inode: Inode, place: Place) {
        self.change(inode, Some(place.name), None, Vec::new());
    }

    fn change(&mut self, inode: Inode, from: Option<Name>, to: Option<Name>, trail: Vec<Inode>) {
        let mut gone = None;
        if let Some((directory, name)) = &from {
            gone = self.live(*directory).remove(name);
        }
        if let Some((directory, name)) = &to {
            gone = self.live(*directory).insert(name.clone(), inode);
        }
        let removed_directory = gone.filter(|gone| self.is_directory(*gone));
        let mut unsynced: BTreeSet<Inode> = from.iter().chain(&to).map(|(directory, _)| *directory).collect();
        for earlier in self.pending.iter().filter(|earlier| trail.contains(&earlier.inode)) {
            unsynced.extend(&earlier.unsynced);
        }
        self.pending.push(NameChange { inode, from, to, removed_directory, trail, unsynced });
    }

    fn live(&mut self, directory: Inode) -> &mut BTreeMap<String, Inode> {
        &mut self.directories.get_mut(&directory).expect("a place's directory exists").live
    }

    /// Makes the changes in `directory` durable, and the ones elsewhere that they cannot be without.
    pub fn sync(&mut self, directory: Inode) {
        for change in &mut self.pending {
            change.unsynced.remove(&directory);
        }
        let mut synced: Vec<bool> = self.pending.iter().map(|change| change.unsynced.is_empty()).collect();
        // Needed changes are earlier ones, so one pass from the last to the first finds all of them.
        for later in (0..self.pending.len()).rev() {
            for earlier in 0..later {
                synced[earlier] |= synced[later] && self.pending[later].needs(&self.pending[earlier]);
            }
        }
        let mut synced = synced.into_iter();
        for change in std::mem::take(&mut self.pending) {
            if synced.next() == Some(true) {
                change.apply(&mut self.directories);
            } else {
                self.pending.push(change);
            }
        }
    }

    /// What a failed sync leaves: everyone goes on seeing the names, the disk never gets them.
    pub fn fail_sync(&mut self, directory: Inode) {
        self.pending.retain(|change| !change.unsynced.contains(&directory));
    }

    /// The tree as it is found after a power loss.
    pub fn after_power_loss(&self, survival: Survival, rng: &mut SimRng) -> Self {
        let odds = match survival {
            Survival::Nothing => 0,
            Survival::Everything => 8,
            Survival::Subset | Survival::Torn => rng.below(9),
        };
        let mut directories = self.directories.clone();
        let mut lost: Vec<&NameChange> = Vec::new();
        for change in &self.pending {
            if lost.iter().any(|earlier| change.needs(earlier)) || !rng.chance(odds, 8) {
                lost.push(change);
            } else {
                change.apply(&mut directories);
            }
        }
        let mut found = BTreeMap::new();
        let mut to_visit = vec![ROOT];
        while let Some(inode) = to_visit.pop() {
            if let Some(Directory { durable, .. }) = directories.remove(&inode) {
                to_visit.extend(durable.values());
                found.insert(inode, Directory { live: durable.clone(), durable });
            }
        }
        Self { directories: found, pending: Vec::new(), next_inode: self.next_inode }
    }

    /// The inodes that have a name now.
    pub fn live_inodes(&self) -> BTreeSet<Inode> {
        self.directories.values().flat_map(|directory| directory.live.values().copied()).collect()
    }

    /// The inodes that have a name now, or may have one again after a power loss.
    pub fn reachable_inodes(&self) -> BTreeSet<Inode> {
        let mut inodes = self.live_inodes();
        inodes.extend(self.directories.values().flat_map(|directory| directory.durable.values()));
        inodes.extend(self.pending.iter().map(|change| change.inode));
        inodes
    }
}

/// The names that lead from the root to `path`. A relative path starts at the root too.
pub(super) fn parts(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(
                name.to_str()
                    .ok_or_else(|| error(io::ErrorKind::InvalidInput, path, "is not UTF-8"))?
                    .to_string(),
            ),
            Component::ParentDir => {
                return Err(error(io::ErrorKind::InvalidInput, path, "must not contain `..`"));
            }
        }
    }
    Ok(names)
}

pub(super) fn error(kind: io::ErrorKind, path: &Path, what: &str) -> io::Error {
    io::Error::new(kind, format!("{}: {what}", path.display()))
}

pub(super) fn not_found(path: &Path) -> io::Error {
    error(io::ErrorKind::NotFound, path, "no such file or directory")
}

fn not_a_directory(path: &Path) -> io::Error {
    error(io::ErrorKind::NotADirectory, path, "not a directory")
}
