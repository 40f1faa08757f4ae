//! A failing seed that fails no more when it is run again is of no use to anybody.

use super::*;

#[test]
fn the_sequence_of_a_seed_is_fixed() {
    // The reference implementation of splitmix64 gives these for the seed 1234567.
    let mut rng = SimRng::new(1_234_567);
    let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423u64];
    assert_eq!([rng.next_u64(), rng.next_u64(), rng.next_u64()], expected);
}

#[test]
fn draws_cover_their_range_and_nothing_else() {
    let mut rng = SimRng::new(0);
    let drawn: BTreeSet<u64> = (0..200).map(|_| rng.below(7)).collect();
    assert_eq!(drawn, (0..7).collect());
    let picked: BTreeSet<char> = (0..100).map(|_| *rng.pick(&['a', 'b', 'c'])).collect();
    assert_eq!(picked, BTreeSet::from(['a', 'b', 'c']));
    assert!((0..100).all(|_| rng.chance(3, 3) && !rng.chance(0, 3)));
    let hits = (0..3000).filter(|_| rng.chance(1, 3)).count();
    assert!((900..1100).contains(&hits), "{hits}");
}

#[test]
fn a_shuffle_reaches_every_order() {
    let mut rng = SimRng::new(0);
    let orders: BTreeSet<[u8; 4]> = (0..500)
        .map(|_| {
            let mut items = [1, 2, 3, 4];
            rng.shuffle(&mut items);
            items
        })
        .collect();
    assert_eq!(orders.len(), 24);
    assert!(orders.iter().all(|order| order.iter().sum::<u8>() == 10));
}

#[test]
fn the_same_seed_and_calls_give_the_same_disk() {
    let run = |seed| {
        let storage = SimStorage::new(seed);
        let file = create(&storage, "/f", b"");
        storage.fail_at(3, EIO);
        file.write_at(&[&[b'x'; 1000]], 0).unwrap_err();
        storage.contents(path("/f")).unwrap().len()
    };
    let lengths: Vec<usize> = (0..20).map(run).collect();
    assert_eq!(lengths, (0..20).map(run).collect::<Vec<_>>());
    assert!(lengths.iter().collect::<BTreeSet<_>>().len() > 5);
}
