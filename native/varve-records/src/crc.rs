use crc_fast::{CrcAlgorithm, checksum};

/// CRC-32C (Castagnoli) of `bytes`, as Kafka stores it in a batch header.
pub fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    // RFC 3720, appendix B.4.
    #[test]
    fn agrees_with_the_published_vectors() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
