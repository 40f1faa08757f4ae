import { openLog, type LogRecord } from '@varve/log'
import { onInterrupt } from './interrupt.js'
import { existingLog } from './log-directory.js'
import { Output } from './output.js'
import { printRecord, type RecordTextOptions } from './record-text.js'
import { SegmentFollower } from './segment-follower.js'
import type { LogFrom } from './values.js'

export interface LogTailOptions extends RecordTextOptions {
  from: LogFrom
}

/** The first record at or after a time; all that comes from now on where none is. */
async function offsetAt(dir: string, timestamp: number): Promise<number> {
  const log = await openLog(dir, { readOnly: true })
  try {
    return (await log.offsetForTime(timestamp))?.offset ?? log.endOffset
  } finally {
    await log.close()
  }
}

/** A follower of the log, and the first offset that is wanted of it. */
async function followerFrom(
  dir: string,
  from: LogFrom,
): Promise<{ follower: SegmentFollower; first: number }> {
  const segments = await existingLog(dir)
  const begin = typeof from === 'object' ? await offsetAt(dir, from.timestamp) : from
  const wanted = begin === 'start' ? 0 : begin === 'end' ? Infinity : begin
  const follower = new SegmentFollower(dir, segments.findLast((base) => base <= wanted) ?? segments[0]!)
  if (begin !== 'end') return { follower, first: wanted }
  let first = 0
  for (let batches = await follower.read(); batches.length > 0; batches = await follower.read()) {
    first = batches.at(-1)!.nextOffset
  }
  return { follower, first }
}

export async function tailLog(dir: string, options: LogTailOptions): Promise<void> {
  const { signal: interrupted } = onInterrupt()
  const output = new Output()
  const signal = AbortSignal.any([interrupted, output.gone])
  const { follower, first } = await followerFrom(dir, options.from)
  try {
    for await (const batches of follower.batches(signal)) {
      for (const batch of batches) {
        if (batch.isControl || batch.nextOffset <= first) continue
        for (const record of batch.records()) await print(record, first, options, output)
      }
      await output.flush()
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    await follower.close()
    await output.flush()
  }
  // Ctrl-C is how following ends.
  process.exitCode = 0
}

async function print(
  record: LogRecord,
  first: number,
  options: LogTailOptions,
  output: Output,
): Promise<void> {
  if (record.offset < first) return
  printRecord(record, options, output)
  if (output.isFull) await output.flush()
}
