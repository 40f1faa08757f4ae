//! The failure this guards against: batches that a real Kafka wrote, under any codec, decode to other records than its
//! own tools show, or come out of a rewrite changed.

mod kafka;

use kafka::{batches, dump, names};
use varve_records::{BatchHeader, BatchRecords, BatchRules, Codec, Record, recompress, rewrite, validate};

const MAX_BYTES: usize = 1 << 20;

fn records_of(header: BatchHeader, batch: &[u8], see: impl FnOnce(Vec<Record<'_>>)) {
    let records = BatchRecords::open(header, batch, MAX_BYTES).unwrap();
    see(records.iter().map(|record| record.unwrap()).collect());
}

/// A record as `DumpLogSegments` prints it, without its header names and without what control records hold.
fn printed(record: &Record<'_>, header: &BatchHeader) -> [String; 2] {
    let size = |field: Option<&[u8]>| field.map_or(-1, |field| field.len() as i64);
    let kind = if header.has_log_append_time() { "LogAppendTime" } else { "CreateTime" };
    let sequence = if header.base_sequence < 0 { -1 } else { header.base_sequence + record.offset_delta };
    let (key_size, value_size) = (size(record.key), size(record.value));
    let (offset, timestamp) = (record.offset(header), record.timestamp(header));
    let start = format!(
        "| offset: {offset} {kind}: {timestamp} keySize: {key_size} valueSize: {value_size} \
         sequence: {sequence} headerKeys: ["
    );
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let key = record.key.filter(|_| !header.is_control()).map(|key| format!(" key: {}", text(key)));
    let value =
        record.value.filter(|_| !header.is_control()).map(|value| format!(" payload: {}", text(value)));
    [start, key.into_iter().chain(value).collect()]
}

#[test]
fn decode_to_what_kafkas_own_tool_prints() {
    let mut codecs = Vec::new();
    for name in names() {
        let dump = dump(&name);
        let mut lines = dump.iter();
        for (header, batch) in batches(&name) {
            let line = lines.next().unwrap();
            let horizon = header.delete_horizon().map(|ms| format!("deleteHorizonMs: OptionalLong[{ms}]"));
            let horizon = horizon.unwrap_or("deleteHorizonMs: OptionalLong.empty".into());
            let codec = header.codec().unwrap();
            for field in [
                format!("baseOffset: {} lastOffset: {}", header.base_offset, header.last_offset()),
                format!("count: {} baseSequence: {}", header.records_count, header.base_sequence),
                format!("isTransactional: {} isControl: {}", header.is_transactional(), header.is_control()),
                format!("compresscodec: {codec}"),
                horizon,
            ] {
                assert!(line.contains(&field), "{name}: {field} is not in {line}");
            }
            codecs.push(codec);
            records_of(header, &batch, |records| {
                for record in records {
                    let line = lines.next().unwrap();
                    let [start, end] = printed(&record, &header);
                    assert!(line.starts_with(&start), "{name}: {start} does not begin {line}");
                    // Of Kafka's own topics the tool prints what the bytes mean.
                    let internal = name == "consumer-offsets" || name == "transaction-state";
                    assert!(internal || line.ends_with(&end), "{name}: {end} does not end {line}");
                }
            });
        }
        assert_eq!(lines.next(), None, "{name}");
    }
    assert!(Codec::ALL.iter().all(|codec| codecs.contains(codec)), "every codec was met");
}

#[test]
fn pass_validation_untouched() {
    for name in names() {
        for (header, batch) in batches(&name) {
            let mut checked = batch.clone();
            let rules = BatchRules::new(MAX_BYTES as u64);
            assert_eq!(validate(&mut checked, &rules), Ok(header), "{name} at {}", header.base_offset);
            assert_eq!(checked, batch, "{name} at {}", header.base_offset);
        }
    }
}

#[test]
fn uncompressed_ones_are_rewritten_byte_for_byte() {
    let mut seen = 0;
    for name in names() {
        for (header, batch) in batches(&name) {
            if header.is_compressed() {
                continue;
            }
            records_of(header, &batch, |records| {
                // What Kafka's own cleaner left is among them: its delete horizon included.
                let again = rewrite(&header, records, Codec::None, header.delete_horizon());
                assert_eq!(again, batch, "{name} at {}", header.base_offset);
                seen += 1;
            });
        }
    }
    assert!(seen > 10, "{seen} batches");
}

#[test]
fn keep_their_records_under_another_codec() {
    for name in names() {
        for (header, batch) in batches(&name) {
            for codec in Codec::ALL {
                let mut other = recompress(header, &batch, codec, MAX_BYTES).unwrap();
                let rules = BatchRules::new(MAX_BYTES as u64);
                let recompressed = validate(&mut other, &rules).unwrap();
                assert_eq!(recompressed.codec(), Some(codec));
                records_of(header, &batch, |before| {
                    records_of(recompressed, &other, |after| {
                        assert_eq!(after, before, "{name} at {} as {codec}", header.base_offset);
                    });
                });
            }
        }
    }
}
