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

/**
 * The first record that fits of the batch that holds `base`, from there on; the batch's own start where its codec cannot be
 * read here. `nextOffset` is behind the batch.
 */
export async function recordInBatch(
  log: EngineLog,
  base: number,
  fits: (timestamp: number, max: number) => boolean,
): Promise<{ found: OffsetAndTimestamp | null; start: OffsetAndTimestamp; nextOffset: number }> {
  const slice = await log.slice({ from: base, maxBytes: 1 })
  const { bytes, failure } = await slice.readChecked()
  if (failure !== null) throw failure
  const batch = RecordBatch.parse(bytes)
  const max = saturated(batch.maxTimestampBigInt)
  const start = { offset: Math.max(base, batch.baseOffset), timestamp: max }
  const nextOffset = batch.lastOffset + 1
  try {
    for (const { offset, timestampBigInt } of batch.records()) {
      const timestamp = saturated(timestampBigInt)
      if (offset >= base && fits(timestamp, max)) return { found: { offset, timestamp }, start, nextOffset }
    }
  } catch (error) {
    if (!VarveError.is(error) || error.code !== 'VARVE_UNSUPPORTED_CODEC') throw error
    return { found: start, start, nextOffset }
  }
  return { found: null, start, nextOffset }
}
