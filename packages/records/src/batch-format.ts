// Record batch v2 (magic 2): where each field of the 61-byte header is, all of them big-endian.
// https://kafka.apache.org/documentation/#recordbatch

export const BASE_OFFSET_AT = 0
export const LENGTH_AT = 8
export const LEADER_EPOCH_AT = 12
export const MAGIC_AT = 16
export const CRC_AT = 17
/** The CRC covers everything from here to the end; what lies before it is the broker's to assign. */
export const CRC_FROM = 21
export const ATTRIBUTES_AT = 21
export const LAST_OFFSET_DELTA_AT = 23
export const BASE_TIMESTAMP_AT = 27
export const MAX_TIMESTAMP_AT = 35
export const PRODUCER_ID_AT = 43
export const PRODUCER_EPOCH_AT = 51
export const BASE_SEQUENCE_AT = 53
export const RECORDS_COUNT_AT = 57
export const HEADER_BYTES = 61

/** The bytes of base offset and length, which the length field does not count. */
export const LENGTH_OVERHEAD = 12
export const MAGIC = 2

export const CODEC_MASK = 0x07
export const LOG_APPEND_TIME = 0x08
export const TRANSACTIONAL = 0x10
export const CONTROL = 0x20
export const DELETE_HORIZON = 0x40

/** In the order of Kafka's codec numbers. */
export const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
/** The codec of a batch, by Kafka's names. */
export type Compression = (typeof codecs)[number]
