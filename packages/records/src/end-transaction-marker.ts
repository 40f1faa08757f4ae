import { ATTRIBUTES_AT, CONTROL, TRANSACTIONAL } from './batch-format.js'
import { batchByteLength, sealBatch, writeBatch } from './batch-writer.js'
import { checkInteger, checkProducer, INT32_MAX, writeProducerFields } from './producer-fields.js'
import type { RecordBatch } from './record-batch.js'

/** The end of a producer's transaction in one partition, alone in its control batch (KIP-98). */
export interface EndTransactionMarker {
  /** How the transaction ends. */
  type: 'commit' | 'abort'
  /** Whose transaction it is, from 0 to 2^63 − 1; a bigint where a number would not be exact. */
  producerId: number | bigint
  /** The transaction's, or a later one: since KIP-890 every marker may bump it. */
  producerEpoch: number
  /** The epoch of the transaction coordinator, from 0 to 2^31 − 1. A later one fences the earlier ones. Default 0. */
  coordinatorEpoch?: number
  /** In ms since 1970. Default `Date.now()`. */
  timestamp?: number
}

const VERSION = 0
const ABORT = 0
const COMMIT = 1
const KEY_BYTES = 4
const VALUE_BYTES = 6

/**
 * The control batch that commits or aborts what its producer has written since the last marker: with its CRC, ready for
 * `appendBatches` or a segment file.
 *
 * @throws VarveError `VARVE_RECORD_INVALID` for a field that is out of range
 * @example
 * ```ts
 * import { decodeEndTransactionMarker, encodeEndTransactionMarker, RecordBatch } from '@varve/records'
 *
 * const batch = encodeEndTransactionMarker({ type: 'commit', producerId: 7, producerEpoch: 0 })
 * console.log(decodeEndTransactionMarker(RecordBatch.parse(batch)))
 * ```
 */
export function encodeEndTransactionMarker(marker: EndTransactionMarker): Buffer {
  const { type, producerId, producerEpoch, coordinatorEpoch = 0, timestamp = Date.now() } = marker
  checkProducer(producerId, producerEpoch)
  checkInteger('coordinatorEpoch', coordinatorEpoch, 0, INT32_MAX)
  const key = Buffer.alloc(KEY_BYTES)
  key.writeInt16BE(VERSION, 0)
  key.writeInt16BE(type === 'commit' ? COMMIT : ABORT, 2)
  const value = Buffer.alloc(VALUE_BYTES)
  value.writeInt16BE(VERSION, 0)
  value.writeInt32BE(coordinatorEpoch, 2)
  const records = [{ key, value, timestamp }]
  const batch = Buffer.allocUnsafe(batchByteLength(records, timestamp))
  writeBatch(batch, 0, records, timestamp)
  writeProducerFields(batch, { producerId, producerEpoch, baseSequence: -1, transactional: true })
  batch.writeInt16BE(TRANSACTIONAL | CONTROL, ATTRIBUTES_AT)
  sealBatch(batch, 0, batch.length)
  return batch
}

/** The marker in a control batch; `null` when the batch holds something else, or nothing after a compaction. */
export function decodeEndTransactionMarker(batch: RecordBatch): EndTransactionMarker | null {
  if (!batch.isControl) return null
  const { value: record } = batch.records().next()
  const { key, value } = record ?? {}
  if (!key || !value || key.length < KEY_BYTES || value.length < VALUE_BYTES) return null
  if (key.readInt16BE(0) < VERSION || value.readInt16BE(0) < VERSION) return null
  const number = key.readInt16BE(2)
  if (number !== ABORT && number !== COMMIT) return null
  const type = number === COMMIT ? 'commit' : 'abort'
  const { producerId, producerEpoch } = batch
  const coordinatorEpoch = value.readInt32BE(2)
  return { type, producerId, producerEpoch, coordinatorEpoch, timestamp: record!.timestamp }
}
