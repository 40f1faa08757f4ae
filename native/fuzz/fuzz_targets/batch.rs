//! Bytes that a client sent, or that lie in a segment, as a record batch: nothing panics, and what is accepted is read the
//! same after it has been written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_records::{
    BatchHeader, BatchRecords, BatchRules, BatchValidation, Codec, EndTransactionMarker, HEADER_BYTES, MAGIC,
    Record, rewrite, seal, validate,
};

const MAX_BYTES: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if bytes.len() >= HEADER_BYTES {
        // The checksum keeps chance out; behind it are those who can compute one.
        let mut sealed = bytes.to_vec();
        sealed[8..12].copy_from_slice(&(bytes.len() as u32 - 12).to_be_bytes());
        sealed[16] = MAGIC;
        seal(&mut sealed);
        read(&sealed);
    }
});

fn read(bytes: &[u8]) {
    for validation in [BatchValidation::Full, BatchValidation::Header] {
        for replicated in [false, true] {
            let rules = BatchRules { validation, replicated, ..BatchRules::new(MAX_BYTES as u64) };
            let mut batch = bytes.to_vec();
            if let Ok(header) = validate(&mut batch, &rules) {
                assert_eq!(header, BatchHeader::parse(&batch).expect("it was accepted"));
                assert!(header.crc_matches(&batch));
                if validation == BatchValidation::Full {
                    is_rewritten_faithfully(&header, &batch);
                }
            }
        }
    }
    let _ = EndTransactionMarker::parse(bytes);
    if let Some(header) = BatchHeader::parse(bytes)
        && let Ok(records) = BatchRecords::open(header, bytes, MAX_BYTES)
    {
        records.iter().for_each(drop);
    }
}

fn is_rewritten_faithfully(header: &BatchHeader, batch: &[u8]) {
    let opened = BatchRecords::open(*header, batch, MAX_BYTES).expect("its records were checked");
    let records: Vec<Record> = opened.iter().map(|record| record.expect("it was checked")).collect();
    let again = rewrite(header, records.iter().copied(), Codec::None, None);
    let again_header = BatchHeader::parse(&again).expect("it was written by us");
    assert_eq!(
        (again_header.base_offset, again_header.last_offset()),
        (header.base_offset, header.last_offset())
    );
    let reopened = BatchRecords::open(again_header, &again, usize::MAX).expect("it was written by us");
    let again: Vec<Record> = reopened.iter().map(|record| record.expect("it was written by us")).collect();
    assert_eq!(records.len(), again.len());
    for (one, other) in records.iter().zip(&again) {
        assert_eq!((one.key, one.value, one.offset_delta), (other.key, other.value, other.offset_delta));
        assert_eq!(one.timestamp(header), other.timestamp(&again_header));
    }
}
