import { RecordBatch, VarveError } from '@varve/records'
import type { EngineLog } from './engine-log.js'

/** A record found by its time. */
export interface OffsetAndTimestamp {
  /** The record's offset. */
  offset: number
  /** In ms since 1970; beyond 2^53 − 1, which only an odd producer writes, the nearest that a number can hold. */
  timestamp: number
}

/** Of the engine's timestamps, all 64 bits wide, the ones that a number cannot hold count as the nearest that it can. */
function saturated(timestamp: bigint): number {
  const number = Number(timestamp)
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(number, Number.MAX_SAFE_INTEGER))
}

/** The first record of a batch that fits; the batch's own start where its codec cannot be read here. */
export async function recordInBatch(
  log: EngineLog,
  base: number,
  fits: (timestamp: number, max: number) => boolean,
): Promise<OffsetAndTimestamp> {
  const slice = await log.slice({ from: base, maxBytes: 1 })
  const { bytes, failure } = await slice.readChecked()
  if (failure !== null) throw failure
  const batch = RecordBatch.parse(bytes)
  const max = saturated(batch.maxTimestampBigInt)
  try {
    for (const { offset, timestampBigInt } of batch.records()) {
      const timestamp = saturated(timestampBigInt)
      if (offset >= base && fits(timestamp, max)) return { offset, timestamp }
    }
  } catch (error) {
    if (!VarveError.is(error) || error.code !== 'VARVE_UNSUPPORTED_CODEC') throw error
  }
  return { offset: Math.max(base, batch.baseOffset), timestamp: max }
}
