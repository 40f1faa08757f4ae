//! A record acknowledged in a file whose name was never synced is lost with the name.

use super::*;

fn sets(expected: &[&[&str]]) -> BTreeSet<Vec<String>> {
    expected.iter().map(|names| names.iter().map(ToString::to_string).collect()).collect()
}

#[test]
fn a_synced_file_without_a_synced_directory_is_gone() {
    let storage = with_directory();
    create(&storage, "/d/f", b"abc").sync_data().unwrap();
    assert_eq!(durable(&storage, "/d/f"), None);
    assert_eq!(listings(&storage), sets(&[&[], &["f"]]));
}

#[test]
fn a_synced_directory_without_a_synced_file_holds_an_empty_or_torn_one() {
    let storage = with_directory();
    create(&storage, "/d/f", &sectors(b"ab"));
    storage.sync_dir(path("/d")).unwrap();
    assert_eq!(durable(&storage, "/d/f").unwrap(), b"");
    let found = outcomes(&storage, Survival::Torn);
    assert!(found.contains(&Some(sectors(b"a"))) && found.contains(&Some(sectors(b"\0b"))));
    assert!(!found.contains(&None));
}

#[test]
fn a_synced_directory_is_gone_when_its_own_name_was_not_synced() {
    let storage = SimStorage::new(1);
    storage.create_dir(path("/a/b")).unwrap();
    create(&storage, "/a/b/f", b"abc").sync_data().unwrap();
    storage.sync_dir(path("/a/b")).unwrap();
    storage.sync_dir(path("/")).unwrap();
    assert_eq!(listing(&storage.fork().power_loss(Survival::Nothing, 0), "/a"), Vec::<String>::new());
    storage.sync_dir(path("/a")).unwrap();
    assert_eq!(durable(&storage, "/a/b/f").unwrap(), b"abc");
}

#[test]
fn a_removal_counts_only_once_its_directory_is_synced() {
    let (storage, _file) = with_file(b"abc");
    storage.remove(path("/d/f")).unwrap();
    assert_eq!(outcomes(&storage, Survival::Subset), BTreeSet::from([None, Some(b"abc".to_vec())]));
    storage.sync_dir(path("/d")).unwrap();
    assert_eq!(outcomes(&storage, Survival::Subset), BTreeSet::from([None]));
}

#[test]
fn independent_names_survive_independently() {
    let (storage, _file) = with_file(b"f");
    create(&storage, "/d/g", b"");
    storage.remove(path("/d/f")).unwrap();
    assert_eq!(listings(&storage), sets(&[&[], &["f"], &["g"], &["f", "g"]]));
}

#[test]
fn the_changes_of_one_name_keep_their_order() {
    let storage = with_directory();
    for contents in [b"1", b"2"] {
        create(&storage, "/d/f", contents).sync_data().unwrap();
        storage.remove(path("/d/f")).unwrap();
    }
    create(&storage, "/d/f", b"3").sync_data().unwrap();
    let expected = [None, Some(b"1".to_vec()), Some(b"2".to_vec()), Some(b"3".to_vec())];
    assert_eq!(outcomes(&storage, Survival::Subset), BTreeSet::from(expected));
    assert_eq!(outcomes(&storage, Survival::Everything), BTreeSet::from([Some(b"3".to_vec())]));
}

#[test]
fn a_replacing_rename_leaves_the_old_file_or_the_new_one() {
    let (storage, _file) = with_file(b"old");
    create(&storage, "/d/f.tmp", b"new").sync_data().unwrap();
    storage.sync_dir(path("/d")).unwrap();
    storage.rename(path("/d/f.tmp"), path("/d/f")).unwrap();
    for seed in 0..100 {
        let left = storage.fork().power_loss(Survival::Subset, seed);
        let (target, source) = (left.contents(path("/d/f")), left.contents(path("/d/f.tmp")));
        match target.as_deref() {
            Some(b"old") => assert_eq!(source.as_deref(), Some(b"new".as_slice())),
            Some(b"new") => assert_eq!(source, None),
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert_eq!(durable(&storage, "/d/f").unwrap(), b"old");
    assert_eq!(outcomes(&storage, Survival::Subset).len(), 2);
    storage.sync_dir(path("/d")).unwrap();
    assert_eq!(outcomes(&storage, Survival::Subset), BTreeSet::from([Some(b"new".to_vec())]));
}

#[test]
fn a_rename_is_lost_with_the_creation_of_its_source() {
    let (storage, _file) = with_file(b"old");
    create(&storage, "/d/t", b"new").sync_data().unwrap();
    storage.rename(path("/d/t"), path("/d/f")).unwrap();
    assert_eq!(listings(&storage), sets(&[&["f"], &["f", "t"]]));
    assert_eq!(outcomes(&storage, Survival::Subset).len(), 2);
}

#[test]
fn a_rename_without_a_target_is_never_both_and_never_neither() {
    let (storage, _file) = with_file(b"f");
    storage.rename(path("/d/f"), path("/d/g")).unwrap();
    storage.rename(path("/d/g"), path("/d/h")).unwrap();
    assert_eq!(listings(&storage), sets(&[&["f"], &["g"], &["h"]]));
}

#[test]
fn a_move_between_directories_needs_both_synced() {
    for (first, second) in [("/d", "/e"), ("/e", "/d")] {
        let (storage, _file) = with_file(b"f");
        storage.create_dir(path("/e")).unwrap();
        storage.sync_dir(path("/")).unwrap();
        storage.rename(path("/d/f"), path("/e/f")).unwrap();
        storage.sync_dir(path(first)).unwrap();
        assert_eq!(durable(&storage, "/d/f").unwrap(), b"f");
        storage.sync_dir(path(second)).unwrap();
        assert_eq!(durable(&storage, "/e/f").unwrap(), b"f");
        assert_eq!(durable(&storage, "/d/f"), None);
    }
}

#[test]
fn a_moved_file_is_not_lost_with_the_directory_it_was_moved_into_or_out_of() {
    let (storage, _file) = with_file(b"f");
    storage.create_dir(path("/new/deep")).unwrap();
    storage.rename(path("/d/f"), path("/new/deep/f")).unwrap();
    storage.remove(path("/d")).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let left = storage.fork().power_loss(Survival::Subset, seed);
        let places = ["/d/f", "/new/deep/f"].map(|name| left.exists(path(name)).unwrap());
        assert!(places[0] != places[1], "seed {seed}: {places:?}");
        seen.insert(places);
    }
    assert_eq!(seen.len(), 2);
    for directory in ["/", "/new/deep"] {
        storage.sync_dir(path(directory)).unwrap();
        let left = storage.fork().power_loss(Survival::Nothing, 0);
        assert!(
            left.exists(path("/d/f")).unwrap() != left.exists(path("/new/deep/f")).unwrap(),
            "after syncing {directory}"
        );
    }
}

#[test]
fn syncing_a_directory_leaves_other_directories_alone() {
    let (storage, _file) = with_file(b"f");
    storage.create_dir(path("/e")).unwrap();
    create(&storage, "/d/g", b"");
    storage.sync_dir(path("/")).unwrap();
    create(&storage, "/e/g", b"");
    storage.sync_dir(path("/e")).unwrap();
    let left = storage.power_loss(Survival::Nothing, 0);
    assert_eq!((listing(&left, "/d"), listing(&left, "/e")), (vec!["f".into()], vec!["g".into()]));
}

#[test]
fn a_name_taken_again_is_never_new_without_the_rename_that_freed_it() {
    let (storage, _file) = with_file(b"old");
    storage.rename(path("/d/f"), path("/d/g")).unwrap();
    create(&storage, "/d/f", b"new");
    assert_eq!(listings(&storage), sets(&[&["f"], &["g"], &["f", "g"]]));
    for seed in 0..100 {
        let left = storage.fork().power_loss(Survival::Subset, seed);
        let old = ["/d/f", "/d/g"].map(|name| left.contents(path(name)).is_some_and(|bytes| bytes == b"old"));
        assert!(old[0] != old[1], "seed {seed}: {old:?}");
    }
}

#[test]
fn a_move_into_a_new_directory_needs_the_names_of_that_directory_synced() {
    let (storage, _file) = with_file(b"f");
    storage.create_dir(path("/new/deep")).unwrap();
    storage.rename(path("/d/f"), path("/new/deep/f")).unwrap();
    for directory in ["/d", "/new/deep", "/new"] {
        storage.sync_dir(path(directory)).unwrap();
        assert_eq!(durable(&storage, "/d/f").unwrap(), b"f", "after syncing {directory}");
    }
    storage.sync_dir(path("/")).unwrap();
    assert_eq!(durable(&storage, "/d/f"), None);
    assert_eq!(durable(&storage, "/new/deep/f").unwrap(), b"f");
}
