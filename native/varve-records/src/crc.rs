use crc_fast::{CrcAlgorithm, checksum, checksum_combine};

/// CRC-32C (Castagnoli) of `bytes`, as Kafka stores it in a batch header.
pub fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The checksum of two runs of bytes from those of each and the length of the second.
pub fn crc32c_combine(first: u32, second: u32, second_bytes: u64) -> u32 {
    checksum_combine(CrcAlgorithm::Crc32Iscsi, u64::from(first), u64::from(second), second_bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::{crc32c, crc32c_combine};

    // RFC 3720, appendix B.4.
    #[test]
    fn agrees_with_the_published_vectors() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn combines_two_runs() {
        assert_eq!(crc32c_combine(crc32c(b"1234"), crc32c(b"56789"), 5), 0xe306_9283);
    }
}
