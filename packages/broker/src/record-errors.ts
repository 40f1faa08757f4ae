import { errors } from '@varve/protocol'
import { type LogRecord, RecordBatch, VarveError } from '@varve/records'
import type { TopicSettings } from './configs/topic-settings.js'
import type { KafkaError } from './kafka-error.js'

/** Why one record of a batch is not taken, as Produce answers it from version 8 on (KIP-467). */
export interface RecordError {
  readonly batchIndex: number
  readonly batchIndexErrorMessage: string
}

/** What is wrong with the records of a batch that was refused. */
export interface RecordRefusal {
  readonly error: KafkaError
  readonly message: string
  readonly recordErrors: readonly RecordError[]
}

const noTimestamp = -1n
const mostMs = 2n ** 63n - 1n
/** More of them would tell nothing new. */
const mostErrors = 100
/** Batches that expand further are refused without a word on their records: these are decompressed between other requests. */
const mostDecompressedBytes = 1024 * 1024

/** Whether the log may have refused a batch for the sake of single records, which are worth looking for. */
export function isForRecords(error: unknown, { compacts }: TopicSettings): boolean {
  if (!VarveError.is(error)) return false
  return error.code === 'VARVE_INVALID_TIMESTAMP' || (compacts && error.code === 'VARVE_BATCH_INVALID')
}

/**
 * Finds the records for whose sake the log has refused a batch: those without a key in a topic that compacts, and those
 * whose timestamps are too far from the broker's clock (`message.timestamp.before.max.ms` and
 * `message.timestamp.after.max.ms`, KIP-937). As in Kafka, one of the latter decides on the code. Null when it is not
 * for the sake of any of them that the batch was refused.
 *
 * @param now about when the log looked at the batch, in ms
 */
export function recordRefusal(
  batch: Buffer,
  partition: string,
  settings: TopicSettings,
  now: number,
): RecordRefusal | null {
  const recordErrors: RecordError[] = []
  let isTimestamp = false
  try {
    let batchIndex = 0
    for (const record of RecordBatch.parse(batch).records({ maxDecompressedBytes: mostDecompressedBytes })) {
      const timestampProblem = problemOfTimestamp(record, batchIndex, settings, now)
      const problem =
        settings.compacts && record.key === null
          ? `Compacted topic cannot accept message without key in topic partition ${partition}`
          : timestampProblem
      if (problem !== null) {
        isTimestamp ||= problem === timestampProblem
        if (recordErrors.push({ batchIndex, batchIndexErrorMessage: problem }) === mostErrors) break
      }
      batchIndex++
    }
  } catch {
    // What cannot be decoded was refused for that, and the log has said so; of what expands too far, all that is told here.
    return null
  }
  if (recordErrors.length === 0) return null
  return isTimestamp
    ? {
        error: errors.INVALID_TIMESTAMP,
        message: 'One or more records have been rejected due to invalid timestamp',
        recordErrors,
      }
    : {
        error: errors.INVALID_RECORD,
        message: 'One or more records have been rejected, each for the reason that it is listed with',
        recordErrors,
      }
}

function problemOfTimestamp(
  { timestampBigInt }: LogRecord,
  batchIndex: number,
  { timestampType, timestampBeforeMaxMs, timestampAfterMaxMs }: TopicSettings,
  now: number,
): string | null {
  if (timestampType === 'LogAppendTime' || timestampBigInt === noTimestamp) return null
  const [earliest, latest] = [now - timestampBeforeMaxMs, now + timestampAfterMaxMs]
  const time = Number(timestampBigInt)
  if (time >= earliest && time <= latest) return null
  // As Kafka reckons it, whose limit that is none is the largest number there is.
  const shownEarliest = timestampBeforeMaxMs === Infinity ? BigInt(now) - mostMs : earliest
  return (
    `Timestamp ${timestampBigInt} of message with offset ${batchIndex} is out of range. ` +
    `The timestamp should be within [${shownEarliest}, ${latest}]`
  )
}
