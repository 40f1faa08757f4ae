import type { RecordBatch } from '../src/index.js'

export interface DumpedRecord {
  offset: number
  timestamp: number
  keySize: number
  valueSize: number
  headerKeys: string[]
  /** The rest of the line: key, payload or control record, as the tool prints them. */
  text: string
}

export interface DumpedBatch {
  fields: Record<string, string>
  records: DumpedRecord[]
}

/** What Kafka's DumpLogSegments printed of segments, batch by batch. */
export function parseDump(text: string): DumpedBatch[] {
  const batches: DumpedBatch[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('baseOffset:')) {
      const pairs = line.split(/ (?=[A-Za-z]+: )/).map((field) => field.split(': ') as [string, string])
      batches.push({ fields: Object.fromEntries(pairs), records: [] })
    } else if (line.startsWith('| offset:')) {
      const [, offset, time, key, value, names, rest] =
        /^\| offset: (\d+) \w+: (-?\d+) keySize: (-?\d+) valueSize: (-?\d+) sequence: -?\d+ headerKeys: \[(.*?)\](.*)$/.exec(
          line,
        )!
      batches.at(-1)!.records.push({
        offset: Number(offset),
        timestamp: Number(time),
        keySize: Number(key),
        valueSize: Number(value),
        headerKeys: names === '' ? [] : names!.split(','),
        text: rest!,
      })
    }
  }
  return batches
}

/** A batch of the sources or of the built package, which are different classes. */
type AnyBatch = { [field in keyof RecordBatch as field extends string ? field : never]: RecordBatch[field] }

/** A batch's header as the tool prints it. */
export function dumpedFields(batch: AnyBatch): Record<string, string> {
  return {
    baseOffset: String(batch.baseOffset),
    lastOffset: String(batch.lastOffset),
    count: String(batch.recordsCount),
    baseSequence: String(batch.baseSequence),
    producerId: String(batch.producerId),
    producerEpoch: String(batch.producerEpoch),
    partitionLeaderEpoch: String(batch.partitionLeaderEpoch),
    isTransactional: String(batch.isTransactional),
    isControl: String(batch.isControl),
    deleteHorizonMs:
      batch.deleteHorizon === null ? 'OptionalLong.empty' : `OptionalLong[${batch.deleteHorizon}]`,
    [batch.timestampType]: String(batch.maxTimestamp),
    size: String(batch.byteLength),
    magic: String(batch.magic),
    compresscodec: batch.compression,
    crc: String(batch.crc),
    isvalid: String(batch.verifyCrc()),
  }
}
