//! The failure this guards against: the real disk takes less of a write than it was given, and the engine goes on as if
//! all of it had landed.

mod scratch;

use std::fs;
use std::io;
use std::path::Path;

use scratch::{Scratch, open_directory};
use varve_log::runner::ThreadRunner;
use varve_log::storage::{OpenMode, Storage};
use varve_log::{DiskStorage, Log, LogConfig, Phase};
use varve_records::BatchBuilder;

const MIB: usize = 1 << 20;

/// Bytes that tell where they belong.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}

#[test]
fn writes_of_any_size_and_number_of_buffers_land_whole() {
    let scratch = Scratch::new("writes");
    let whole = pattern(3 * MIB + 4321);
    let cuts: [(&str, Vec<&[u8]>); 6] = [
        ("one", vec![&whole]),
        ("around a MiB", vec![&whole[..MIB - 1], &whole[MIB - 1..MIB + 1], &whole[MIB + 1..]]),
        ("many", whole.chunks(1000).collect()),
        ("more than 1024 small ones", whole[..5000].chunks(1).collect()),
        ("with empty ones", vec![&[], &whole[..10], &[], &[], &whole[10..], &[]]),
        ("none", vec![]),
    ];
    for (what, buffers) in cuts {
        let path = scratch.join("file");
        let file = DiskStorage.open(&path, OpenMode::Create).unwrap();
        file.write_at(&[b"before"], 0).unwrap();
        file.write_at(&buffers, 6).unwrap();
        let expected = [b"before", &*buffers.concat()].concat();
        assert!(fs::read(&path).unwrap() == expected, "{what}");
        assert_eq!(file.len().unwrap(), expected.len() as u64);
        let mut read = vec![0; expected.len() + 10];
        assert_eq!(file.read_at(&mut read, 0).unwrap(), expected.len(), "{what}: short only at the end");
        assert!(read[..expected.len()] == expected);
    }
}

#[test]
fn a_read_that_must_not_wait_gives_the_right_bytes_or_none() {
    use std::os::fd::AsRawFd;
    let scratch = Scratch::new("nowait");
    let (path, bytes) = (scratch.join("file"), pattern(MIB));
    fs::write(&path, &bytes).unwrap();
    let file = DiskStorage.open(&path, OpenMode::Read).unwrap();
    for evicted in [false, true, false] {
        if evicted {
            let file = fs::File::open(&path).unwrap();
            file.sync_all().unwrap();
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        }
        let mut buffer = vec![0; 100_000];
        match file.try_read_at(&mut buffer, 5000) {
            Ok(read) => assert!(buffer[..read] == bytes[5000..5000 + read]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        assert_eq!(file.read_at(&mut buffer, 5000).unwrap(), 100_000);
        assert!(buffer == bytes[5000..105_000]);
    }
    let mut buffer = [0; 10];
    assert_eq!(file.try_read_at(&mut buffer, bytes.len() as u64).unwrap_or(0), 0, "nothing behind the end");
}

#[test]
fn names_and_modes() {
    let scratch = Scratch::new("names");
    let (storage, dir) = (DiskStorage, scratch.join("a/b"));
    storage.create_dir(&dir).unwrap();
    storage.create_dir(&dir).unwrap();
    assert!(storage.is_dir(&dir).unwrap() && storage.exists(&dir).unwrap());
    let (one, two) = (dir.join("one"), dir.join("two"));
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        assert_eq!(storage.open(&one, mode).err().unwrap().kind(), io::ErrorKind::NotFound);
    }
    let file = storage.open(&one, OpenMode::Create).unwrap();
    file.write_at(&[b"1"], 0).unwrap();
    assert!(!file.is_empty().unwrap());
    storage.open(&two, OpenMode::Create).unwrap().write_at(&[b"22"], 0).unwrap();
    storage.rename(&one, &two).unwrap();
    storage.sync_dir(&dir).unwrap();
    assert_eq!(storage.list(&dir).unwrap(), ["two"]);
    assert_eq!(fs::read(&two).unwrap(), b"1");
    storage.open(&two, OpenMode::Create).unwrap();
    assert_eq!(fs::read(&two).unwrap(), b"", "emptied");
    assert!(storage.remove(&dir).is_err(), "not empty");
    storage.remove(&two).unwrap();
    storage.remove(&dir).unwrap();
    assert!(!storage.exists(&dir).unwrap());
}

#[test]
fn only_what_is_known_not_to_be_there_is_not() {
    let scratch = Scratch::new("unknown");
    let (storage, file) = (DiskStorage, scratch.join("file"));
    storage.open(&file, OpenMode::Create).unwrap();
    assert!(storage.exists(&file).unwrap() && !storage.is_dir(&file).unwrap());
    for missing in [scratch.join("missing"), file.join("below")] {
        assert!(!storage.exists(&missing).unwrap() && !storage.is_dir(&missing).unwrap());
    }
    let looped = scratch.join("looped");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    assert_eq!(storage.exists(&looped).unwrap_err().raw_os_error(), Some(libc::ELOOP));
    assert_eq!(storage.is_dir(&looped).unwrap_err().raw_os_error(), Some(libc::ELOOP));
}

/// A file system of 2 MiB, mounted for as long as this lives.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    #[cfg(target_os = "linux")]
    fn mount(path: &'a Path) -> io::Result<Self> {
        use std::ffi::CString;
        use std::os::unix::ffi::OsStrExt;
        let target = CString::new(path.as_os_str().as_bytes())?;
        let mounted = unsafe {
            libc::mount(c"tmpfs".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, c"size=2m".as_ptr().cast())
        };
        if mounted == 0 { Ok(Self(path)) } else { Err(io::Error::last_os_error()) }
    }

    #[cfg(not(target_os = "linux"))]
    fn mount(_path: &'a Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::ffi::OsStrExt;
            let target = std::ffi::CString::new(self.0.as_os_str().as_bytes()).unwrap();
            unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

#[test]
fn a_full_disk_ends_the_writes_and_not_the_reads() {
    let scratch = Scratch::new("full");
    let path = scratch.join("disk");
    fs::create_dir(&path).unwrap();
    let _disk = match SmallDisk::mount(&path) {
        Ok(disk) => disk,
        Err(error) => return println!("skipped: mounting a small tmpfs needs root: {error}"),
    };
    let runner = ThreadRunner::new(1);
    let open = || {
        let directory = open_directory(&path).unwrap();
        Log::open(directory, "", LogConfig::default(), runner.clone(), Box::new(|_| {})).unwrap()
    };
    let log = open();
    let batch = || {
        let mut builder = BatchBuilder::new(0);
        builder.push(None, Some(&pattern(100_000)), &[]);
        builder.build()
    };
    let mut written = 0;
    let error = loop {
        match log.append(&mut [&mut batch()]).results.pop().unwrap() {
            Ok(offset) => written = offset + 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.os_error()), ("VARVE_LOG_FAILED", Some(libc::ENOSPC)));
    assert!(written > 10 && error.to_string().contains("00000000000000000000.log"), "{error}");
    assert!(matches!(log.phase(), Phase::Failed(_)));
    assert!(log.close().is_err());
    drop(log);
    // Room for what a recovery writes: indexes, the checkpoint.
    let file = fs::OpenOptions::new().write(true).open(path.join("00000000000000000000.log")).unwrap();
    file.set_len(written as u64 * batch().len() as u64 + 5).unwrap();
    let log = open();
    // Zeros are what was prepared and never written.
    assert_eq!((log.end_offset(), log.recovered.unwrap().cut_bytes), (written, 0));
    log.close().unwrap();
}
