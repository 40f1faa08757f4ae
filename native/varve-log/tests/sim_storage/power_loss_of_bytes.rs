//! Recovery must expect every mixture of old and new sectors and lengths, and may rely on nothing being made up.

use super::*;

#[test]
fn synced_bytes_and_length_are_kept_whatever_survives() {
    let (storage, file) = with_file(&sectors(b"abc"));
    file.set_len(700).unwrap();
    file.sync_data().unwrap();
    for survival in Survival::ALL {
        assert_eq!(outcomes(&storage, survival), BTreeSet::from([Some(sectors(b"abc")[..700].to_vec())]));
    }
}

#[test]
fn nothing_and_everything_are_what_they_say() {
    let (storage, file) = with_file(b"old");
    file.set_len(1).unwrap();
    file.write_at(&[b"new"], 2).unwrap();
    assert_eq!(outcomes(&storage, Survival::Nothing), BTreeSet::from([Some(b"old".to_vec())]));
    assert_eq!(outcomes(&storage, Survival::Everything), BTreeSet::from([Some(b"o\0new".to_vec())]));
}

#[test]
fn a_subset_may_be_any_of_the_writes_and_lengths() {
    let (storage, file) = with_file(b"..");
    file.write_at(&[b"a"], 0).unwrap();
    file.write_at(&[b"b"], 1).unwrap();
    file.write_at(&[b"c"], 2).unwrap();
    let expected = ["..", "a.", ".b", "ab", "..c", "a.c", ".bc", "abc", "..\0", "a.\0", ".b\0", "ab\0"];
    let expected = expected.iter().map(|text| Some(text.as_bytes().to_vec())).collect();
    assert_eq!(outcomes(&storage, Survival::Subset), expected);
}

#[test]
fn a_subset_may_lose_a_truncation_and_keep_what_was_written_behind_it() {
    let (storage, file) = with_file(b"abcd");
    file.set_len(1).unwrap();
    file.write_at(&[b"X"], 1).unwrap();
    let expected = ["abcd", "a", "a\0", "aX", "aXcd"].iter().map(|text| Some(text.as_bytes().to_vec()));
    assert_eq!(outcomes(&storage, Survival::Subset), expected.collect());
}

#[test]
fn a_torn_write_leaves_each_sector_old_or_new_independently() {
    let (storage, file) = with_file(&sectors(b"abc"));
    file.write_at(&[&sectors(b"XYZ")], 0).unwrap();
    let found = outcomes(&storage, Survival::Torn);
    let expected = ["abc", "Xbc", "aYc", "abZ", "XYc", "XbZ", "aYZ", "XYZ"];
    assert_eq!(found, expected.iter().map(|fill| Some(sectors(fill.as_bytes()))).collect());
}

#[test]
fn sectors_are_aligned_to_the_file_and_not_to_the_write() {
    let (storage, file) = with_file(&sectors(b"aa"));
    file.write_at(&[b"xy"], SECTOR as u64 - 1).unwrap();
    let found = outcomes(&storage, Survival::Torn);
    let middle = found.iter().map(|left| left.as_ref().unwrap()[SECTOR - 1..=SECTOR].to_vec());
    let expected = [b"aa", b"xa", b"ay", b"xy"].map(|pair| pair.to_vec());
    assert_eq!(middle.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
}

#[test]
fn a_later_write_to_a_sector_never_survives_without_the_earlier_one() {
    let (storage, file) = with_file(b"...");
    file.write_at(&[b"a"], 0).unwrap();
    file.write_at(&[b"b"], 1).unwrap();
    let expected = ["...", "a..", "ab."].iter().map(|text| Some(text.as_bytes().to_vec())).collect();
    assert_eq!(outcomes(&storage, Survival::Torn), expected);
}

#[test]
fn a_torn_append_ends_anywhere_between_and_reads_as_zeros_where_it_was_lost() {
    let (storage, file) = with_file(&[b'a'; 100]);
    let appended = [b'n'; 1400];
    file.write_at(&[&appended], 100).unwrap();
    let found = outcomes(&storage, Survival::Torn);
    for left in found.iter().flatten() {
        assert_eq!(&left[..100], [b'a'; 100]);
        for sector in left[100..].chunk_by(|one, other| one == other) {
            assert!(sector[0] == 0 || sector[0] == b'n');
        }
        for (number, sector) in left.chunks(SECTOR).enumerate() {
            let new = &sector[if number == 0 { 100.min(sector.len()) } else { 0 }..];
            assert!(new.windows(2).all(|pair| pair[0] == pair[1]), "a torn sector");
        }
    }
    let lengths: BTreeSet<usize> = found.iter().flatten().map(Vec::len).collect();
    assert_eq!(lengths, BTreeSet::from([100, 512, 1024, 1500]));
    let lost_inside = |left: &&Vec<u8>| left.len() == 1500 && left[600] == 0 && left[1400] == b'n';
    assert!(found.iter().flatten().any(|left| lost_inside(&left)));
    let mut zeros = vec![b'a'; 100];
    zeros.resize(1500, 0);
    assert!(found.contains(&Some(zeros)), "the length alone may survive");
}

#[test]
fn rewriting_equal_bytes_never_loses_them() {
    let bytes = sectors(b"abc");
    let (storage, file) = with_file(&bytes);
    file.write_at(&[&bytes[100..1400]], 100).unwrap();
    file.write_at(&[&bytes], 0).unwrap();
    for survival in Survival::ALL {
        assert_eq!(outcomes(&storage, survival), BTreeSet::from([Some(bytes.clone())]), "{survival:?}");
    }
}

#[test]
fn a_torn_truncation_keeps_what_lies_before_it() {
    let (storage, file) = with_file(&sectors(b"abc"));
    file.set_len(600).unwrap();
    file.write_at(&[b"n"], 600).unwrap();
    let found = outcomes(&storage, Survival::Torn);
    for left in found.iter().flatten() {
        assert_eq!(left[..600], sectors(b"abc")[..600]);
        assert!(left[600..].iter().all(|byte| b"bcn\0".contains(byte)));
    }
    let lengths: BTreeSet<usize> = found.iter().flatten().map(Vec::len).collect();
    assert_eq!(lengths, BTreeSet::from([600, 601, 1024, 1536]));
}

#[test]
fn what_survived_is_durable_and_the_same_seed_finds_the_same() {
    let (storage, file) = with_file(&sectors(b"abc"));
    file.write_at(&[&sectors(b"XYZ")], 256).unwrap();
    create(&storage, "/d/g", b"g");
    for (seed, survival) in (0..40).zip(Survival::ALL.into_iter().cycle()) {
        let first = storage.power_loss(survival, seed);
        let again = storage.power_loss(survival, seed);
        let later = first.power_loss(Survival::Nothing, 0);
        for name in ["/d/f", "/d/g"] {
            assert_eq!(first.contents(path(name)), again.contents(path(name)));
            assert_eq!(first.contents(path(name)), later.contents(path(name)));
        }
    }
}

#[test]
fn a_torn_length_may_be_one_that_the_file_had_in_between() {
    let (storage, file) = with_file(b"abc");
    file.write_at(&[b"0123456789"], 3).unwrap();
    file.write_at(&[b"0123456789"], 13).unwrap();
    let lengths: BTreeSet<usize> =
        outcomes(&storage, Survival::Torn).iter().flatten().map(Vec::len).collect();
    assert_eq!(lengths, BTreeSet::from([3, 13, 23]));
}

#[test]
fn sectors_behind_a_torn_truncation_are_old_or_zeros() {
    let (storage, file) = with_file(&sectors(b"abc"));
    file.set_len(SECTOR as u64).unwrap();
    file.set_len(3 * SECTOR as u64).unwrap();
    let found = outcomes(&storage, Survival::Torn);
    let whole: BTreeSet<_> = found.into_iter().flatten().filter(|left| left.len() == 3 * SECTOR).collect();
    assert_eq!(whole, [b"abc", b"a\0c", b"ab\0", b"a\0\0"].map(|fill| sectors(fill)).into());
}
