/**
 * Fetch (1), versions 4 to 18, for consumers.
 *
 * - No incremental sessions: the session id is always 0. A request of a session (epoch above 0) is answered
 *   FETCH_SESSION_ID_NOT_FOUND, upon which clients start over with a full one; forgotten topics are ignored.
 * - Only whole batches are returned, and at least one if there is one, however large.
 * - Consumers of both isolation levels read up to the high watermark, which is the last stable offset as long as there
 *   are no transactions; for read_committed the list of aborted ones is empty.
 * - There are no replicas: a fetch with a replica id is answered NOT_LEADER_OR_FOLLOWER.
 * - A partition that is named more than once is answered once, for what was asked last.
 * - A response carries at most 55 MiB (Kafka's fetch.max.bytes), not counting the first batch's excess.
 */
import { errors, type FetchRequest, type FetchResponseInput } from '@varve/protocol'
import { ChangeSignal } from '../change-signal.js'
import { FetchEstimate } from '../fetch-estimate.js'
import { closeAll, type FetchTarget, fetchTargets, readTargets, type TargetRead } from '../fetch-targets.js'
import type { RequestContext } from '../request-context.js'

const fetchMaxBytes = 55 * 1024 * 1024
const readCommitted = 1
const noBytes = Buffer.alloc(0)

export function handleFetch(
  request: FetchRequest,
  context: RequestContext,
): FetchResponseInput | Promise<FetchResponseInput | null> {
  if (request.sessionEpoch > 0) {
    return { errorCode: errors.FETCH_SESSION_ID_NOT_FOUND.code, sessionId: 0, responses: [] }
  }
  const maxBytes = Math.min(Math.max(0, request.maxBytes), fetchMaxBytes)
  const wants: FetchWants = {
    targets: fetchTargets(request, context),
    maxBytes,
    minBytes: Math.min(request.minBytes, maxBytes),
    maxWaitMs: request.maxWaitMs,
    abortedTransactions: request.isolationLevel === readCommitted ? [] : null,
  }
  // From here on the request is not referred to, so that it can be collected however long its answer takes.
  return answer(wants, context)
}

/** What is left of a request after it has been resolved. */
interface FetchWants {
  readonly targets: readonly FetchTarget[]
  readonly maxBytes: number
  readonly minBytes: number
  readonly maxWaitMs: number
  readonly abortedTransactions: [] | null
}

async function answer(wants: FetchWants, context: RequestContext): Promise<FetchResponseInput | null> {
  const reads = await readWhenWorthwhile(wants, context)
  if (reads === null) return null
  if (context.gone.cancelled) {
    closeAll(reads)
    return null
  }
  return { errorCode: 0, sessionId: 0, responses: respond(wants, reads) }
}

/** Reads until there are min bytes, an error, or no time left; null when nobody is there any more to be answered. */
async function readWhenWorthwhile(wants: FetchWants, context: RequestContext): Promise<TargetRead[] | null> {
  const { targets, maxBytes, minBytes, maxWaitMs } = wants
  const { broker, gone } = context
  const mayWait =
    maxWaitMs > 0 && minBytes > 0 && targets.length > 0 && targets.every(({ refusal }) => refusal === null)
  if (!mayWait) return await readTargets(targets, maxBytes)
  // Listening begins before reading, so that nothing can be appended in between unnoticed.
  const signal = new ChangeSignal(broker.clock, maxWaitMs, [gone, broker.closing])
  try {
    for (const { partition } of targets) signal.listenTo(partition!)
    const reads = await readTargets(targets, maxBytes)
    if (signal.expired || reads.some(mustBeKnown) || byteLength(reads) >= minBytes) return reads
    closeAll(reads)
    context.settleDecoded()
    const estimate = new FetchEstimate(targets, reads)
    do {
      const changed = await signal.next()
      if (gone.cancelled) return null
      if (await estimate.reaches(minBytes, changed)) break
    } while (!signal.expired)
    return await readTargets(targets, maxBytes)
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

/** One response for each target, in the same order; those of a topic that follow each other are together, as in Kafka. */
function respond({ targets, abortedTransactions }: FetchWants, reads: readonly TargetRead[]): Responses {
  const responses: (Responses[number] & { partitions: PartitionResponse[] })[] = []
  for (const [index, { topic, topicId, asked }] of targets.entries()) {
    const { error, divergingEpoch, records, highWatermark, lastStableOffset, logStartOffset } = reads[index]!
    let last = responses.at(-1)
    if (last === undefined || last.topic !== topic || last.topicId !== topicId) {
      responses.push((last = { topic, topicId, partitions: [] }))
    }
    last.partitions.push({
      partitionIndex: asked.partition,
      errorCode: error === null ? 0 : error.code,
      highWatermark,
      lastStableOffset,
      logStartOffset,
      ...(divergingEpoch !== null && { divergingEpoch }),
      abortedTransactions,
      preferredReadReplica: -1,
      records: records.byteLength === 0 ? noBytes : records,
    })
  }
  return responses
}
