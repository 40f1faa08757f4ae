import { RecordBatch } from '@varve/records'
import type { TopicSettings } from './configs/topic-settings.js'

/** Why one record of a batch is not taken, as Produce answers it from version 8 on (KIP-467). */
export interface RecordError {
  readonly batchIndex: number
  readonly batchIndexErrorMessage: string
}

const noTimestamp = -1n
const mostMs = 2n ** 63n - 1n
/** More of them would tell nothing new. */
const mostErrors = 100

/**
 * The records of a batch that the log has refused whose timestamps are too far from the broker's clock for their topic
 * (`message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`, KIP-937).
 */
export function timestampErrors(batch: Buffer, settings: TopicSettings, now: number): RecordError[] {
  const { timestampBeforeMaxMs, timestampAfterMaxMs } = settings
  const latest = now + timestampAfterMaxMs
  const earliest = now - timestampBeforeMaxMs
  // As Kafka reckons it, whose limit that is none is the largest number there is.
  const shownEarliest = timestampBeforeMaxMs === Infinity ? BigInt(now) - mostMs : earliest
  const found: RecordError[] = []
  try {
    let batchIndex = 0
    for (const { timestampBigInt } of RecordBatch.parse(batch).records()) {
      const time = Number(timestampBigInt)
      if (timestampBigInt !== noTimestamp && (time < earliest || time > latest)) {
        const batchIndexErrorMessage =
          `Timestamp ${timestampBigInt} of message with offset ${batchIndex} is out of range. ` +
          `The timestamp should be within [${shownEarliest}, ${latest}]`
        if (found.push({ batchIndex, batchIndexErrorMessage }) === mostErrors) break
      }
      batchIndex++
    }
  } catch {
    // The log could decode it; if we cannot, it is refused as a whole.
    return []
  }
  return found
}
