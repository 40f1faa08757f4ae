use crate::codec::Codec;

/// A codec and how hard it tries. Ranges and defaults of the levels are Kafka's (KIP-390).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    codec: Codec,
    level: i32,
}

impl Compression {
    pub const DEFAULT_GZIP_LEVEL: i32 = -1;
    /// The number that Kafka gives lz4's fast compression; all others are levels of its high compression.
    pub const DEFAULT_LZ4_LEVEL: i32 = 9;
    pub const DEFAULT_ZSTD_LEVEL: i32 = 3;

    /// A level that the codec does not have counts as the nearest one; of codecs without levels all are the same.
    pub fn at(codec: Codec, level: i32) -> Self {
        let level = match codec {
            Codec::None | Codec::Snappy => 0,
            Codec::Gzip if level == Self::DEFAULT_GZIP_LEVEL => level,
            Codec::Gzip => level.clamp(1, 9),
            Codec::Lz4 => level.clamp(1, 17),
            Codec::Zstd => level.clamp(-(1 << 17), 22),
        };
        Self { codec, level }
    }

    pub fn codec(self) -> Codec {
        self.codec
    }

    pub fn level(self) -> i32 {
        self.level
    }

    /// Whether it takes longer than the codec does unless told otherwise, possibly by orders of magnitude.
    pub fn is_slow(self) -> bool {
        match self.codec {
            Codec::None | Codec::Snappy => false,
            // What zlib takes for its default is 6.
            Codec::Gzip => self.level > 6,
            Codec::Lz4 => self.level != Self::DEFAULT_LZ4_LEVEL,
            Codec::Zstd => self.level > Self::DEFAULT_ZSTD_LEVEL,
        }
    }
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        let level = match codec {
            Codec::None | Codec::Snappy => 0,
            Codec::Gzip => Self::DEFAULT_GZIP_LEVEL,
            Codec::Lz4 => Self::DEFAULT_LZ4_LEVEL,
            Codec::Zstd => Self::DEFAULT_ZSTD_LEVEL,
        };
        Self { codec, level }
    }
}
