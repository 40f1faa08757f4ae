import { crc32c, encodeBatch } from '@varve/records'

const CRC_AT = 17
const ATTRIBUTES_AT = 21

/** An encoded batch with one record for each value. */
export function batchOf(...values: string[]): Buffer {
  return encodeBatch(values.map((value) => ({ value })))
}

/** The same batch with other attributes, and a checksum that agrees with them. */
export function withAttributes(batch: Buffer, attributes: number): Buffer {
  batch.writeInt16BE(attributes, ATTRIBUTES_AT)
  return resealed(batch)
}

export function resealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT)
  return batch
}
