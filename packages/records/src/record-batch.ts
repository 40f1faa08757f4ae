import * as format from './batch-format.js'
import type { Compression } from './batch-format.js'
import { decompress, MAX_DECOMPRESSED_BYTES } from './compression.js'
import { crc32c } from './crc32c.js'
import { VarveError } from './error.js'
import { unsafeTimestamp } from './log-record.js'
import { narrow } from './record-cursor.js'
import { RecordIterator } from './record-iterator.js'
import type { LogRecord } from './record.js'

/** How to decode a batch. */
export interface DecodeOptions {
  /** The most a compressed batch may expand to, in bytes. Default 256 MiB. */
  maxDecompressedBytes?: number
}

const inspect = Symbol.for('nodejs.util.inspect.custom')

/**
 * One record batch v2, read in place: header fields are decoded on access and records on iteration. Nothing is
 * copied, so that `buffer` and the records live as long as the memory they were parsed from.
 */
export class RecordBatch {
  /** This batch's bytes: header and records, compressed as they are. */
  readonly buffer: Buffer

  private constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  /**
   * The batch that starts at `at`. The CRC is not checked here; see {@link verifyCrc}.
   *
   * @throws VarveError `VARVE_BATCH_MAGIC` for a format older than v2, `VARVE_BATCH_CORRUPT` for a length that is
   * impossible or reaches beyond the buffer, `VARVE_BATCH_INVALID` for negative counts.
   */
  static parse(buffer: Buffer, at = 0): RecordBatch {
    const bytes = Buffer.isBuffer(buffer) ? buffer : asBuffer(buffer)
    const available = bytes.length - at
    if (!Number.isSafeInteger(at) || at < 0 || available < format.MAGIC_AT + 1) {
      throw new VarveError(
        'VARVE_BATCH_CORRUPT',
        `No record batch at position ${at}: ${Math.max(available, 0)} bytes`,
      )
    }
    const magic = bytes.readInt8(at + format.MAGIC_AT)
    if (magic !== format.MAGIC) {
      throw new VarveError(
        'VARVE_BATCH_MAGIC',
        `The batch at position ${at} has magic ${magic}; only record batch v2 (magic 2, Kafka 0.11 and later) is read`,
      )
    }
    const length = bytes.readInt32BE(at + format.LENGTH_AT) + format.LENGTH_OVERHEAD
    if (length < format.HEADER_BYTES || length > available) {
      throw new VarveError(
        'VARVE_BATCH_CORRUPT',
        `The batch at position ${at} declares ${length} bytes; it takes at least ${format.HEADER_BYTES} and ${available} are there`,
      )
    }
    const batch = new RecordBatch(bytes.subarray(at, at + length))
    if (batch.lastOffsetDelta < 0 || batch.recordsCount < 0) {
      throw new VarveError(
        'VARVE_BATCH_INVALID',
        `The batch at position ${at} declares ${batch.recordsCount} records and a last offset delta of ${batch.lastOffsetDelta}`,
      )
    }
    return batch
  }

  /** Saturates at 2^53 − 1, as everything derived from it does. */
  get baseOffset(): number {
    const high = this.buffer.readInt32BE(format.BASE_OFFSET_AT)
    const offset = high * 0x1_0000_0000 + this.buffer.readUInt32BE(format.BASE_OFFSET_AT + 4)
    return Math.max(Math.min(offset, Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER)
  }

  /** The offset of the last record, also when compaction has removed that record. */
  get lastOffset(): number {
    return Math.min(this.baseOffset + this.lastOffsetDelta, Number.MAX_SAFE_INTEGER)
  }

  /** The offset behind the last record. */
  get nextOffset(): number {
    return Math.min(this.lastOffset + 1, Number.MAX_SAFE_INTEGER)
  }

  /** Of header and records, compressed as they are. */
  get byteLength(): number {
    return this.buffer.length
  }

  /** The leader epoch in which it was appended; −1 before it was. The CRC does not cover it. */
  get partitionLeaderEpoch(): number {
    return this.buffer.readInt32BE(format.LEADER_EPOCH_AT)
  }

  /** The version of the format: 2. */
  get magic(): number {
    return this.buffer.readInt8(format.MAGIC_AT)
  }

  /** As the header has it; {@link verifyCrc} compares. */
  get crc(): number {
    return this.buffer.readUInt32BE(format.CRC_AT)
  }

  /** All bits together: codec, timestamp type, transactional, control, delete horizon. */
  get attributes(): number {
    return this.buffer.readInt16BE(format.ATTRIBUTES_AT)
  }

  /** @throws VarveError `VARVE_UNSUPPORTED_CODEC` for a codec number that Kafka has not assigned. */
  get compression(): Compression {
    const number = this.attributes & format.CODEC_MASK
    const codec = format.codecs[number]
    if (codec !== undefined) return codec
    throw new VarveError(
      'VARVE_UNSUPPORTED_CODEC',
      `${this.where()} uses the unknown compression codec ${number}`,
    )
  }

  /** Whose times the records have: their producer's, or that of the append. */
  get timestampType(): 'CreateTime' | 'LogAppendTime' {
    return this.attributes & format.LOG_APPEND_TIME ? 'LogAppendTime' : 'CreateTime'
  }

  /** Whether it is part of a transaction, or ends one. */
  get isTransactional(): boolean {
    return (this.attributes & format.TRANSACTIONAL) !== 0
  }

  /** A control batch holds a marker of the broker's, for example the end of a transaction, and no user's record. */
  get isControl(): boolean {
    return (this.attributes & format.CONTROL) !== 0
  }

  /** When compaction may drop the tombstones and markers in here, in ms since 1970; null before it has seen them. */
  get deleteHorizon(): number | null {
    return this.attributes & format.DELETE_HORIZON ? this.baseTimestamp : null
  }

  /** `lastOffset − baseOffset`, also when compaction has removed records. */
  get lastOffsetDelta(): number {
    return this.buffer.readInt32BE(format.LAST_OFFSET_DELTA_AT)
  }

  /** In ms since 1970. @throws VarveError `VARVE_UNSAFE_TIMESTAMP`; `baseTimestampBigInt` never does. */
  get baseTimestamp(): number {
    return this.safeTimestamp('base', this.int64(format.BASE_TIMESTAMP_AT))
  }

  /** In ms since 1970, whatever it is. */
  get baseTimestampBigInt(): bigint {
    return this.buffer.readBigInt64BE(format.BASE_TIMESTAMP_AT)
  }

  /** In ms since 1970. @throws VarveError `VARVE_UNSAFE_TIMESTAMP`; `maxTimestampBigInt` never does. */
  get maxTimestamp(): number {
    return this.safeTimestamp('maximal', this.int64(format.MAX_TIMESTAMP_AT))
  }

  /** In ms since 1970, whatever it is. */
  get maxTimestampBigInt(): bigint {
    return this.buffer.readBigInt64BE(format.MAX_TIMESTAMP_AT)
  }

  /** −1 for none; a bigint only where a number would not be exact. */
  get producerId(): number | bigint {
    return this.int64(format.PRODUCER_ID_AT)
  }

  /** −1 for none. */
  get producerEpoch(): number {
    return this.buffer.readInt16BE(format.PRODUCER_EPOCH_AT)
  }

  /** The sequence number of the first record; −1 for none. */
  get baseSequence(): number {
    return this.buffer.readInt32BE(format.BASE_SEQUENCE_AT)
  }

  /** Can be less than `lastOffset − baseOffset + 1`, down to 0, after compaction. */
  get recordsCount(): number {
    return this.buffer.readInt32BE(format.RECORDS_COUNT_AT)
  }

  /** Whether the bytes are those that the CRC was computed over. */
  verifyCrc(): boolean {
    return crc32c(this.buffer.subarray(format.CRC_FROM)) === this.crc
  }

  /**
   * The records, decompressed here and decoded one by one. A malformed record ends the iteration with an error
   * after those before it were handed out.
   *
   * @throws VarveError `VARVE_UNSUPPORTED_CODEC` for a codec that Kafka has not assigned or whose library cannot be
   * loaded, `VARVE_DECOMPRESSION_LIMIT`, `VARVE_BATCH_INVALID` (also from the iterator).
   */
  records(options: DecodeOptions = {}): IterableIterator<LogRecord> {
    const compression = this.compression
    let bytes = this.buffer.subarray(format.HEADER_BYTES)
    if (compression !== 'none') {
      bytes = this.decompressed(compression, bytes, options.maxDecompressedBytes ?? MAX_DECOMPRESSED_BYTES)
    }
    const isLogAppendTime = this.timestampType === 'LogAppendTime'
    return new RecordIterator(bytes, {
      baseOffset: this.baseOffset,
      lastOffsetDelta: this.lastOffsetDelta,
      recordsCount: this.recordsCount,
      baseTimestamp: this.int64(format.BASE_TIMESTAMP_AT),
      logAppendTime: isLogAppendTime ? this.int64(format.MAX_TIMESTAMP_AT) : undefined,
    })
  }

  [inspect](): object {
    return {
      baseOffset: this.baseOffset,
      lastOffset: this.lastOffset,
      byteLength: this.byteLength,
      recordsCount: this.recordsCount,
      attributes: this.attributes,
      producerId: this.producerId,
      crc: this.crc,
    }
  }

  private decompressed(codec: Exclude<Compression, 'none'>, bytes: Buffer, maxBytes: number): Buffer {
    // Compaction can leave a batch without records, and nothing at all where the compressed data was.
    if (bytes.length === 0 && this.recordsCount === 0) return bytes
    try {
      return decompress(codec, bytes, maxBytes)
    } catch (error) {
      if (!VarveError.is(error)) throw error
      throw new VarveError(error.code, `${this.where()}: ${error.message}`, { cause: error.cause })
    }
  }

  private where(): string {
    return `The batch at offset ${this.baseOffset}`
  }

  private int64(at: number): number | bigint {
    const high = this.buffer.readInt32BE(at)
    // 21 bits above the low word are what a safe integer can hold.
    if (high >= -0x200000 && high < 0x200000) {
      const number = high * 0x1_0000_0000 + this.buffer.readUInt32BE(at + 4)
      if (Number.isSafeInteger(number)) return number
    }
    return narrow(this.buffer.readBigInt64BE(at))
  }

  private safeTimestamp(which: string, time: number | bigint): number {
    if (typeof time === 'number') return time
    throw unsafeTimestamp(`The ${which} timestamp of the batch at offset ${this.baseOffset}`, time)
  }
}

/**
 * The batches that `buffer` holds one after another, as Fetch responses and segment files do. A last batch that
 * is cut short ends the iteration quietly, because a fetch may end anywhere.
 *
 * @throws VarveError what {@link RecordBatch.parse} throws for anything else that is no batch.
 */
export function* batchesIn(buffer: Buffer): Generator<RecordBatch, void, undefined> {
  const bytes = Buffer.isBuffer(buffer) ? buffer : asBuffer(buffer)
  let at = 0
  while (bytes.length - at > format.MAGIC_AT) {
    const length = bytes.readInt32BE(at + format.LENGTH_AT) + format.LENGTH_OVERHEAD
    // Only a plausible batch can be cut short: garbage must be reported, not taken for the end.
    if (length > bytes.length - at && bytes[at + format.MAGIC_AT] === format.MAGIC) return
    const batch = RecordBatch.parse(bytes, at)
    yield batch
    at += batch.byteLength
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
