/**
 * Fetch (1), versions 4 to 18, for consumers.
 *
 * - No incremental sessions: the session id is always 0. A request of a session (epoch above 0) is answered
 *   FETCH_SESSION_ID_NOT_FOUND, upon which clients start over with a full one; forgotten topics are ignored.
 * - Only whole batches are returned, and at least one if there is one, however large.
 * - Consumers of both isolation levels read up to the high watermark, which is the last stable offset as long as there
 *   are no transactions; for read_committed the list of aborted ones is empty.
 * - There are no replicas: a fetch with a replica id is answered NOT_LEADER_OR_FOLLOWER.
 * - A response carries at most 55 MiB (Kafka's fetch.max.bytes), not counting the first batch's excess.
 */
import { errors, type FetchRequest, type FetchResponseInput } from '@varve/protocol'
import { ChangeSignal } from '../change-signal.js'
import { closeAll, type FetchTarget, fetchTargets, readTargets, type TargetRead } from '../fetch-targets.js'
import type { RequestContext } from '../request-context.js'

const fetchMaxBytes = 55 * 1024 * 1024
const readCommitted = 1

export async function handleFetch(
  request: FetchRequest,
  context: RequestContext,
): Promise<FetchResponseInput | null> {
  if (request.sessionEpoch > 0) {
    return { errorCode: errors.FETCH_SESSION_ID_NOT_FOUND.code, sessionId: 0, responses: [] }
  }
  const targets = fetchTargets(request, context)
  const reads = await readWhenWorthwhile(request, targets, context)
  if (reads === null) return null
  if (context.gone.cancelled) {
    closeAll(reads)
    return null
  }
  return { errorCode: 0, sessionId: 0, responses: respond(request, reads) }
}

/** Reads until there are min bytes, an error, or no time left; null when nobody is there any more to be answered. */
async function readWhenWorthwhile(
  request: FetchRequest,
  targets: readonly FetchTarget[],
  context: RequestContext,
): Promise<TargetRead[] | null> {
  const { broker, gone } = context
  const maxBytes = Math.min(Math.max(0, request.maxBytes), fetchMaxBytes)
  const minBytes = Math.min(request.minBytes, maxBytes)
  const mayWait = request.maxWaitMs > 0 && minBytes > 0 && targets.length > 0
  if (!mayWait) return await readTargets(targets, maxBytes)
  // Listening begins before reading, so that nothing can be appended in between unnoticed.
  const signal = new ChangeSignal(broker.clock, request.maxWaitMs, [gone, broker.closing])
  try {
    for (const { partition } of targets) if (partition !== null) signal.listenTo(partition)
    for (;;) {
      const reads = await readTargets(targets, maxBytes)
      if (signal.expired || reads.some(mustBeKnown) || byteLength(reads) >= minBytes) return reads
      closeAll(reads)
      await signal.next()
      if (gone.cancelled) return null
    }
  } finally {
    signal.stop()
  }
}

/** What a client must hear of at once, whatever it would wait for. */
function mustBeKnown({ error, divergingEpoch }: TargetRead): boolean {
  return error !== null || divergingEpoch !== null
}

function byteLength(reads: readonly TargetRead[]): number {
  let bytes = 0
  for (const { records } of reads) bytes += records.byteLength
  return bytes
}

type Responses = NonNullable<FetchResponseInput['responses']>
type PartitionResponse = Responses[number]['partitions'][number]

/** One response for each partition asked for, in the same order. */
function respond(request: FetchRequest, reads: readonly TargetRead[]): Responses {
  const abortedTransactions = request.isolationLevel === readCommitted ? [] : null
  let next = 0
  return request.topics.map(({ topic, topicId, partitions }) => ({
    topic,
    topicId,
    partitions: partitions.map(({ partition: partitionIndex }): PartitionResponse => {
      const { error, divergingEpoch, records, highWatermark, lastStableOffset, logStartOffset } =
        reads[next++]!
      return {
        partitionIndex,
        errorCode: error === null ? 0 : error.code,
        highWatermark,
        lastStableOffset,
        logStartOffset,
        ...(divergingEpoch !== null && { divergingEpoch }),
        abortedTransactions,
        preferredReadReplica: -1,
        records: records.byteLength === 0 ? Buffer.alloc(0) : records,
      }
    }),
  }))
}
