//! Compressed bytes from anybody: nothing panics, nothing expands beyond what was allowed, and what we compress comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_records::{Codec, compress, decompress};

const MAX_BYTES: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Some(codec) = Codec::of(u16::from(first & 7)) else { return };
    if let Ok(out) = decompress(codec, rest, MAX_BYTES) {
        assert!(codec == Codec::None || out.len() <= MAX_BYTES, "{} bytes", out.len());
    }
    let back = decompress(codec, &compress(codec, rest), rest.len());
    assert_eq!(back.expect("it was compressed by us"), rest);
});
