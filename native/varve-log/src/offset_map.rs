use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use siphasher::sip128::SipHasher13;

/// The last offset of each key, as Kafka's `SkimpyOffsetMap` keeps it: of a key only a hash of 128 bits, about 25 bytes
/// for each whatever their length. The hash is keyed anew for every map, so that nobody can make keys that collide.
pub(crate) struct OffsetMap {
    offsets: HashMap<Hashed, i64, PassThrough>,
    hash_keys: (u64, u64),
    max_keys: usize,
    /// Of what lies behind it nothing is known: the last offset of the last batch that was added.
    pub latest_offset: i64,
}

/// As many as fit in a table of 2^22 places: the map takes about 105 MB, of which Kafka's default allows 128.
pub(crate) const MAX_KEYS: usize = (1 << 22) / 8 * 7;

#[derive(PartialEq, Eq)]
struct Hashed(u128);

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64);
    }
}

#[derive(Clone, Copy, Default)]
struct PassThrough(u64);

impl BuildHasher for PassThrough {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

/// For keys that are hashes already.
impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole hashes are looked up");
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl OffsetMap {
    /// `latest_offset` is the last one that needs no key: the map covers what lies before it, empty as it is.
    pub fn new(max_keys: usize, latest_offset: i64) -> Self {
        let random = RandomState::new();
        Self {
            offsets: HashMap::default(),
            hash_keys: (random.hash_one(0), random.hash_one(1)),
            max_keys,
            latest_offset,
        }
    }

    /// Whether no further batch should be added.
    pub fn is_full(&self) -> bool {
        self.offsets.len() >= self.max_keys
    }

    /// Notes that the key was written at an offset behind all noted before.
    pub fn put(&mut self, key: &[u8], offset: i64) {
        let hashed = self.hash(key);
        self.offsets.insert(hashed, offset);
    }

    /// Where the key was last written, if it was in what the map covers.
    pub fn get(&self, key: &[u8]) -> Option<i64> {
        self.offsets.get(&self.hash(key)).copied()
    }

    fn hash(&self, key: &[u8]) -> Hashed {
        Hashed(SipHasher13::new_with_keys(self.hash_keys.0, self.hash_keys.1).hash(key).as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::OffsetMap;

    #[test]
    fn remembers_the_last_offset_of_each_key() {
        let mut map = OffsetMap::new(1000, -1);
        for offset in 0..3000 {
            map.put(format!("key {}", offset % 999).as_bytes(), offset);
        }
        assert_eq!(
            [0, 2, 3, 998].map(|n| map.get(format!("key {n}").as_bytes())),
            [Some(2997), Some(2999), Some(2001), Some(1997 + 999),]
        );
        assert_eq!((map.get(b"key"), map.get(b""), map.is_full()), (None, None, false));
        map.put(b"", 3000);
        assert_eq!((map.get(b""), map.is_full()), (Some(3000), true));
    }
}
