//! What readers see before anything goes wrong. A simulation that differs from a file system here finds bugs that are
//! its own.

use super::*;

#[test]
fn bytes_are_read_back_at_once_across_buffers_and_holes() {
    let storage = with_directory();
    let file = create(&storage, "/d/f", b"ab");
    file.write_at(&[b"cd", b"", b"ef"], 4).unwrap();
    assert_eq!(read(&*file, 0, 100), b"ab\0\0cdef");
    assert_eq!(read(&*file, 6, 1), b"e");
    assert_eq!(read(&*file, 8, 4), b"");
    assert_eq!(file.len().unwrap(), 8);
    file.set_len(1).unwrap();
    file.set_len(3).unwrap();
    assert_eq!(storage.contents(path("/d/f")).unwrap(), b"a\0\0");
}

#[test]
fn opening_follows_the_mode() {
    let (storage, _file) = with_file(b"abc");
    let missing = |mode| storage.open(path("/d/missing"), mode).err().unwrap().kind();
    assert_eq!(missing(OpenMode::Read), io::ErrorKind::NotFound);
    assert_eq!(missing(OpenMode::ReadWrite), io::ErrorKind::NotFound);
    let reader = storage.open(path("/d/f"), OpenMode::Read).unwrap();
    assert!(reader.write_at(&[b"x"], 0).is_err());
    assert!(reader.set_len(0).is_err());
    storage.open(path("/d/f"), OpenMode::ReadWrite).unwrap().write_at(&[b"x"], 0).unwrap();
    assert_eq!(read(&*reader, 0, 9), b"xbc");
    storage.open(path("/d/f"), OpenMode::Create).unwrap();
    assert_eq!(reader.len().unwrap(), 0);
}

#[test]
fn directories_behave_like_directories() {
    let storage = SimStorage::new(1);
    storage.create_dir(path("/a/b/c")).unwrap();
    create(&storage, "/a/b/f", b"");
    assert!(
        storage.is_dir(path("/a/b")).unwrap()
            && !storage.is_dir(path("/a/b/f")).unwrap()
            && !storage.is_dir(path("/x")).unwrap()
    );
    assert!(storage.exists(path("/a/b/f")).unwrap() && !storage.exists(path("/a/f")).unwrap());
    assert_eq!(listing(&storage, "/a/b"), ["c", "f"]);
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(storage.remove(path("/a/b"))), io::ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(storage.remove(path("/a/x"))), io::ErrorKind::NotFound);
    assert_eq!(kind(storage.rename(path("/a"), path("/a/b/a"))), io::ErrorKind::InvalidInput);
    assert_eq!(kind(storage.rename(path("/a/b/f"), path("/a/b/c"))), io::ErrorKind::IsADirectory);
    assert_eq!(kind(storage.create_dir(path("/a/b/f"))), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(storage.sync_dir(path("/a/b/f"))), io::ErrorKind::NotADirectory);
    storage.rename(path("/a/b"), path("/a/z")).unwrap();
    assert_eq!(listing(&storage, "/a/z"), ["c", "f"]);
}

#[test]
fn an_open_handle_survives_rename_and_removal() {
    let (storage, file) = with_file(b"abc");
    storage.rename(path("/d/f"), path("/d/g")).unwrap();
    file.write_at(&[b"d"], 3).unwrap();
    assert_eq!(storage.contents(path("/d/g")).unwrap(), b"abcd");
    let replaced = create(&storage, "/d/h", b"other");
    storage.rename(path("/d/g"), path("/d/h")).unwrap();
    assert_eq!(read(&*replaced, 0, 9), b"other");
    assert_eq!(read(&*file, 0, 9), b"abcd");
    storage.remove(path("/d/h")).unwrap();
    storage.sync_dir(path("/d")).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read(&*file, 0, 9), b"abcd");
}

#[test]
fn a_listing_has_no_order_to_rely_on() {
    let storage = with_directory();
    for name in ["/d/a", "/d/b", "/d/c"] {
        create(&storage, name, b"");
    }
    let orders: BTreeSet<_> = (0..50).map(|_| storage.list(path("/d")).unwrap()).collect();
    assert_eq!(orders.len(), 6);
}
