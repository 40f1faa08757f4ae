//! What a reader of a log finds, slice by slice.

use varve_log::{Access, Log, LogError, SliceRequest};
use varve_records::{BatchHeader, HEADER_BYTES, read_varint, read_varlong};

/// Every batch from that on in which the log start offset lies.
pub fn read_batches(log: &Log) -> Result<Vec<(BatchHeader, Vec<u8>)>, LogError> {
    let mut found: Vec<(BatchHeader, Vec<u8>)> = Vec::new();
    let mut from = log.start_offset();
    loop {
        let request = SliceRequest { from, up_to: i64::MAX, max_bytes: 400, min_one_batch: true };
        let slice = log.slice(request, Access::Blocking)?;
        if slice.bytes == 0 {
            return Ok(found);
        }
        let mut bytes = vec![0; slice.bytes as usize];
        slice.read(&mut bytes, 0, Access::Blocking)?;
        let mut at = 0;
        while at < bytes.len() {
            let header = BatchHeader::parse(&bytes[at..]).expect("slices hold whole batches");
            let batch = &bytes[at..at + header.total_bytes() as usize];
            assert!(header.crc_matches(batch), "stored batches match their checksum");
            assert!(found.is_empty() || header.base_offset >= from, "offsets rise");
            from = header.next_offset();
            at += batch.len();
            found.push((header, batch.to_vec()));
        }
        let (next, position, bytes) = (slice.next_offset, slice.position, slice.bytes);
        assert!(
            next >= from,
            "a slice of {bytes} bytes at {position} tells the next offset, behind a gap perhaps"
        );
        from = next;
    }
}

/// Every visible record's value, from the log start offset on.
pub fn read_all(log: &Log) -> Result<Vec<Vec<u8>>, LogError> {
    let start = log.start_offset();
    let mut values = Vec::new();
    for (header, batch) in read_batches(log)? {
        let skipped = (start - header.base_offset).max(0);
        let expected = start + values.len() as i64;
        assert_eq!(header.base_offset + skipped, expected, "offsets have no gaps");
        values.extend(values_of(&header, &batch).into_iter().skip(skipped as usize));
    }
    Ok(values)
}

fn values_of(header: &BatchHeader, batch: &[u8]) -> Vec<Vec<u8>> {
    let mut at = HEADER_BYTES;
    (0..header.records_count)
        .map(|_| {
            read_varint(batch, &mut at).unwrap();
            at += 1;
            read_varlong(batch, &mut at).unwrap();
            read_varint(batch, &mut at).unwrap();
            assert_eq!(read_varint(batch, &mut at), Some(-1));
            let length = read_varint(batch, &mut at).unwrap() as usize;
            let value = batch[at..at + length].to_vec();
            at += length;
            assert_eq!(read_varint(batch, &mut at), Some(0));
            value
        })
        .collect()
}
