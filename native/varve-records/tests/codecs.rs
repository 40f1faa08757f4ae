//! The failure this guards against: bytes from strangers make a codec panic, take memory without bound, or come back as
//! other bytes than were compressed.

mod seeded;

use proptest::prelude::*;
use varve_records::{Codec, CodecError, Compression, compress, compress_within, decompress};

const CODECS: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// Text that repeats itself, noise, or a run, of up to a few blocks of every codec.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let words = proptest::collection::vec(
        proptest::sample::select(vec!["orders ", "{\"id\":1}", "\0\0\0"]),
        0..40_000,
    );
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..3000),
        words.prop_map(|words| words.concat().into_bytes()),
        (any::<u8>(), 0..300_000usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(&CODECS[..])
}

proptest! {
    #![proptest_config(seeded::config())]

    #[test]
    fn give_back_what_they_were_given(codec in codec(), bytes in content()) {
        let compressed = compress(codec, &bytes);
        prop_assert_eq!(decompress(codec, &compressed, bytes.len()), Ok(bytes));
    }

    #[test]
    fn give_it_back_at_any_level(codec in codec(), bytes in content(), level in -30..30i32) {
        let compressed = compress(Compression::at(codec, level), &bytes);
        prop_assert_eq!(decompress(codec, &compressed, bytes.len()), Ok(bytes));
    }

    #[test]
    fn give_up_what_comes_to_more(codec in codec(), bytes in content(), level in 1..7i32) {
        let compression = Compression::at(codec, level);
        let whole = compress(compression, &bytes);
        for less in [1, 100, whole.len()] {
            prop_assert_eq!(compress_within(compression, &bytes, whole.len().saturating_sub(less)), None);
        }
        prop_assert_eq!(compress_within(compression, &bytes, whole.len()), Some(whole));
    }

    #[test]
    fn stop_at_the_limit(codec in codec(), bytes in content(), below in 1..100usize) {
        prop_assume!(bytes.len() >= below);
        let max_bytes = bytes.len() - below;
        let compressed = compress(codec, &bytes);
        let told = decompress(codec, &compressed, max_bytes);
        prop_assert_eq!(told, Err(CodecError::Limit { codec, max_bytes: max_bytes as u64 }));
    }

    #[test]
    fn survive_any_bytes(codec in codec(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(out) = decompress(codec, &bytes, 1000) {
            prop_assert!(out.len() <= 1000);
        }
    }

    #[test]
    fn survive_damaged_bytes(
        codec in codec(),
        bytes in content(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut compressed = compress(codec, &bytes);
        for (at, byte) in damage {
            let at = at.index(compressed.len());
            compressed[at] = byte;
        }
        if let Ok(out) = decompress(codec, &compressed, 400_000) {
            prop_assert!(out.len() <= 400_000);
        }
    }
}

#[test]
fn what_is_cut_off_is_noticed_wherever_it_is_cut() {
    let bytes: Vec<u8> = (0..150_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    for codec in CODECS {
        let whole = compress(codec, &bytes);
        // Every cut near the ends, where the frames' own structure is, and every so often between.
        let cuts = (0..40).chain(whole.len() - 40..whole.len()).chain((0..whole.len()).step_by(997));
        for cut in cuts {
            match decompress(codec, &whole[..cut], bytes.len()) {
                Err(CodecError::Malformed { .. }) => {}
                // Xerial's blocks have no end mark: a cut between two of them shows only in the records.
                Ok(out) if codec == Codec::Snappy => assert!(bytes.starts_with(&out)),
                other => panic!("{codec} cut at {cut} of {}: {:?}", whole.len(), other.map(|out| out.len())),
            }
        }
    }
}

#[test]
fn framing_is_the_java_clients() {
    // xerial's snappy-java: magic, version 1, compatible version 1, then the length of the first block.
    let snappy = compress(Codec::Snappy, &[7; 100_000]);
    assert_eq!(snappy[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    let blocks = std::iter::successors(Some(16), |&at| {
        let length = u32::from_be_bytes(snappy[at..at + 4].try_into().unwrap());
        Some(at + 4 + length as usize).filter(|&next| next < snappy.len())
    });
    assert_eq!(blocks.count(), 4, "blocks of 32 KiB");
    // KafkaLZ4BlockOutputStream: independent blocks of 64 KiB, no checksums but the header's own.
    for level in [1, 5, 9, 17] {
        let lz4 = compress(Compression::at(Codec::Lz4, level), &[7; 100_000]);
        assert_eq!(lz4[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
        assert_eq!(lz4[lz4.len() - 4..], [0; 4], "the end mark, without a checksum behind it");
    }
}

#[test]
fn a_higher_level_makes_it_smaller() {
    // Words of a language, by a generator of Knuth's: neighbours differ, and what comes again does so far away.
    let mut seed = 1u32;
    let mut below = |bound: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % bound
    };
    let words: Vec<String> = (0..500).map(|_| format!("{:x}", below(1 << 16) * below(1 << 12))).collect();
    let text: Vec<u8> =
        (0..40_000).flat_map(|_| [words[below(500) as usize].as_bytes(), b" "].concat()).collect();
    let sizes = |codec, levels: &[i32]| -> Vec<usize> {
        levels.iter().map(|&level| compress(Compression::at(codec, level), &text).len()).collect()
    };
    for (codec, levels, default) in [
        (Codec::Gzip, &[1, 6][..], 6),
        // 9 is none of them: Kafka's default, by which lz4 is fast.
        (Codec::Lz4, &[1, 8, 12], 9),
        (Codec::Zstd, &[-1000, -5, 3, 22], 3),
    ] {
        let by_level = sizes(codec, levels);
        assert!(by_level.windows(2).all(|pair| pair[0] > pair[1]), "{codec} {by_level:?}");
        assert_eq!(compress(codec, &text).len(), sizes(codec, &[default])[0], "{codec}");
    }
    assert!(sizes(Codec::Lz4, &[9]) > sizes(Codec::Lz4, &[1]), "fast is larger than the least of HC");
    assert_eq!(sizes(Codec::Lz4, &[12]), sizes(Codec::Lz4, &[17]), "HC ends at 12");
}

#[test]
fn levels_beyond_a_codecs_are_its_last_ones() {
    for (codec, low, high) in [(Codec::Gzip, 1, 9), (Codec::Lz4, 1, 17), (Codec::Zstd, -131_072, 22)] {
        assert_eq!(Compression::at(codec, i32::MIN), Compression::at(codec, low));
        assert_eq!(Compression::at(codec, i32::MAX), Compression::at(codec, high));
    }
    assert_eq!(Compression::at(Codec::Gzip, -1), Codec::Gzip.into());
}

#[test]
fn snappy_without_a_frame_is_read() {
    let raw = snap::raw::Encoder::new().compress_vec(&[9; 5000]).unwrap();
    assert_eq!(decompress(Codec::Snappy, &raw, 5000), Ok(vec![9; 5000]));
}

#[test]
fn a_claim_of_length_alone_takes_no_memory() {
    let told = decompress(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0], usize::MAX);
    assert!(matches!(told, Err(CodecError::Malformed { .. })), "{told:?}");
}

#[test]
fn an_empty_block_of_lz4_is_not_its_end() {
    let mut frame = compress(Codec::Lz4, b"first");
    frame.truncate(frame.len() - 4);
    for block in [&[0u8, 0, 0, 0x80][..], &[4, 0, 0, 0x80], b"last", &[0; 4]] {
        frame.extend_from_slice(block);
    }
    assert_eq!(decompress(Codec::Lz4, &frame, 100), Ok(b"firstlast".to_vec()));
    frame.extend_from_slice(b"behind");
    assert!(matches!(decompress(Codec::Lz4, &frame, 100), Err(CodecError::Malformed { .. })));
}
