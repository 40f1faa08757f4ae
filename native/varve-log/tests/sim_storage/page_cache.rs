//! A read that waits for the disk on the event loop stalls everybody. Without cold files that path is never tested.

use super::*;

fn try_read(file: &dyn File, position: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; length];
    file.try_read_at(&mut buffer, position).map(|count| buffer[..count].to_vec())
}

fn is_cold(file: &dyn File, position: u64) -> bool {
    matches!(try_read(file, position, 1), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[test]
fn what_was_evicted_blocks_until_it_was_read() {
    let bytes: Vec<u8> = (0..20_000u32).map(|number| number as u8).collect();
    let (storage, file) = with_file(&bytes);
    assert_eq!(try_read(&*file, 0, 99_999).unwrap(), bytes);
    storage.evict(path("/d/f"));
    assert!(is_cold(&*file, 0) && is_cold(&*file, 19_999));
    assert_eq!(try_read(&*file, 20_000, 9).unwrap(), b"");
    assert_eq!(read(&*file, 100, 5000), bytes[100..5100]);
    assert_eq!(try_read(&*file, 0, 99_999).unwrap(), bytes[..8192], "fewer bytes when the rest is cold");
    assert!(is_cold(&*file, 8192));
    assert_eq!(read(&*file, 12_288, 1), bytes[12_288..12_289]);
    assert!(is_cold(&*file, 8192) && !is_cold(&*file, 12_288), "reading warms what was read and no more");
    file.write_at(&[&bytes[8192..8200]], 8192).unwrap();
    assert!(!is_cold(&*file, 8192) && is_cold(&*file, 16_384));
    assert_eq!(storage.contents(path("/d/f")).unwrap(), bytes);
    assert!(is_cold(&*file, 16_384), "looking at contents warms nothing");
}

#[test]
fn evict_all_reaches_every_file_and_keeps_what_is_pending() {
    let (storage, file) = with_file(b"abc");
    let removed = create(&storage, "/d/g", b"pending");
    storage.remove(path("/d/g")).unwrap();
    storage.evict_all();
    assert!(is_cold(&*file, 0) && is_cold(&*removed, 0));
    assert_eq!(read(&*removed, 0, 9), b"pending");
}

#[test]
fn the_page_cache_survives_the_process_but_not_the_power() {
    let (storage, _file) = with_file(b"abc");
    let open = |storage: &SimStorage| storage.open(path("/d/f"), OpenMode::Read).unwrap();
    assert!(!is_cold(&*open(&storage.process_crash()), 0));
    assert!(is_cold(&*open(&storage.power_loss(Survival::Everything, 0)), 0));
}

#[test]
#[should_panic(expected = "there is no file /d/missing")]
fn evicting_nothing_is_a_mistake_of_the_test() {
    with_directory().evict(path("/d/missing"));
}
