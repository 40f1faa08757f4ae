/**
 * Fetch (1), versions 4 to 18, for consumers and for followers.
 *
 * - Incremental sessions (KIP-227) are Kafka's, with a bound on what all of them keep besides that on their number.
 * - As in Kafka, clients before version 10 are refused topics whose own codec is zstd, not those into which a producer
 *   wrote zstd.
 * - Only whole batches are returned, and at least one if there is one, however large.
 * - read_committed consumers read up to the last stable offset and are told which transactions were aborted.
 * - A broker that is no replica of a partition is answered NOT_LEADER_OR_FOLLOWER. One that is gets what is written, and what it
 *   says moves the high watermark; its wait ends with its next request.
 * - A partition that is named more than once is answered once, for what was asked last.
 * - A response carries at most fetch.max.bytes, 55 MiB unless told otherwise, not counting the first batch's excess.
 */
import { errors, type FetchRequest, type FetchResponseInput } from '@varve/protocol'
import type { Cancellation } from '../cancellation.js'
import { ChangeSignal } from '../change-signal.js'
import { leaderNodes } from '../cluster-view.js'
import { FetchEstimate } from '../fetch-estimate.js'
import type { FetchConclusion } from '../fetch-session.js'
import type { FetchRound } from '../fetch-sessions.js'
import {
  closeAll,
  fetchReader,
  type FetchTarget,
  newsForReplica,
  mayChange,
  mustBeKnown,
  readTargets,
  type TargetRead,
} from '../fetch-targets.js'
import type { Partition } from '../partition.js'
import type { RequestContext } from '../request-context.js'

/** The first version whose clients look at who leads a partition instead. */
const currentLeaderSince = 16
const noBytes = Buffer.alloc(0)
/** Within this time a follower is told of a high watermark that has moved: records that come sooner take it along (KIP-1166). */
const offsetsWithinMs = 5

export function handleFetch(
  request: FetchRequest,
  context: RequestContext,
): FetchResponseInput | Promise<FetchResponseInput | null> {
  const { broker } = context
  const round = broker.fetchSessions.begin(request, fetchReader(request, context), broker.topics)
  if ('code' in round) return { errorCode: round.code, sessionId: 0, responses: [] }
  const maxBytes = Math.min(Math.max(0, request.maxBytes), context.broker.configs.number('fetch.max.bytes'))
  const wants: FetchWants = {
    round,
    maxBytes,
    minBytes: Math.min(request.minBytes, maxBytes),
    maxWaitMs: request.maxWaitMs,
  }
  // From here on the request is not referred to, so that it can be collected however long its answer takes.
  return answer(wants, context)
}

/** What is left of a request after it has been resolved. */
interface FetchWants {
  readonly round: FetchRound
  readonly maxBytes: number
  readonly minBytes: number
  readonly maxWaitMs: number
}

async function answer(wants: FetchWants, context: RequestContext): Promise<FetchResponseInput | null> {
  const reads = await readWhenWorthwhile(wants, context)
  if (reads === null) return null
  if (context.gone.cancelled) {
    closeAll(reads)
    return null
  }
  const { round } = wants
  const conclusion = round.conclude(reads)
  const { errorCode, sessionId } = conclusion
  if (errorCode !== 0) {
    closeAll(reads)
    return { errorCode, sessionId, responses: [] }
  }
  return { errorCode, sessionId, ...respond(round, reads, conclusion, context) }
}

/** Reads until there are min bytes, an error, or no time left; null when nobody is there any more to be answered. */
async function readWhenWorthwhile(wants: FetchWants, context: RequestContext): Promise<TargetRead[] | null> {
  const { round, maxBytes, minBytes, maxWaitMs } = wants
  const { targets } = round
  const { replica } = round.reader
  const { broker, gone, fetchError } = context
  if (maxWaitMs <= 0 || minBytes <= 0 || !mayChange(targets, round.waitsForMore))
    return await readTargets(targets, maxBytes, fetchError)
  const ends: Cancellation[] = [gone, broker.closing]
  if (round.superseded !== null) ends.push(round.superseded)
  // A follower that has something new to say must not wait for what it has said before.
  if (replica !== null) ends.push(context.followed())
  // Listening begins before reading, so that nothing can be appended in between unnoticed.
  const signal = new ChangeSignal(broker.connectionClock, maxWaitMs, ends)
  round.listen(signal.onChange)
  try {
    for (const { partition } of targets) if (partition !== null) signal.listenTo(partition)
    const reads = await readTargets(targets, maxBytes, fetchError)
    const isWorthwhile = (partitions: Iterable<Partition>): boolean => {
      const news = newsForReplica(partitions, round.reader)
      if (news === 'offsets') signal.expireWithin(offsetsWithinMs)
      return news === 'records'
    }
    const isUrgent =
      targets.some((target, index) => mustBeKnown(target, reads[index]!)) ||
      (replica !== null && isWorthwhile(lookedAt(targets)))
    if (signal.expired || isUrgent || byteLength(reads) >= minBytes) return reads
    closeAll(reads)
    context.settleDecoded()
    const estimate = new FetchEstimate(replica === null ? targets : [], reads)
    broker.observer?.delayed('Fetch', 1)
    try {
      do {
        const changed = await signal.next()
        if (gone.cancelled) return null
        if (replica === null ? await estimate.reaches(minBytes, changed) : isWorthwhile(changed)) break
      } while (!signal.expired)
    } finally {
      broker.observer?.delayed('Fetch', -1)
    }
    round.takeChanged()
    return await readTargets(targets, maxBytes, fetchError)
  } finally {
    signal.stop()
  }
}

function* lookedAt(targets: readonly FetchTarget[]): IterableIterator<Partition> {
  for (const { partition, refusal } of targets) {
    if (partition !== null && refusal === null) yield partition
  }
}

function byteLength(reads: readonly TargetRead[]): number {
  let bytes = 0
  for (const { records } of reads) bytes += records.byteLength
  return bytes
}

type Responses = NonNullable<FetchResponseInput['responses']>
type PartitionResponse = Responses[number]['partitions'][number]

/** One response for each target that is to be sent, in the same order; those of a topic that follow each other are together, as in Kafka. */
function respond(
  { targets, reader }: FetchRound,
  reads: readonly TargetRead[],
  { isSent }: FetchConclusion,
  { apiVersion, broker, endpoint }: RequestContext,
): Pick<FetchResponseInput, 'responses' | 'nodeEndpoints'> {
  const responses: (Responses[number] & { partitions: PartitionResponse[] })[] = []
  const leaderIds = new Set<number>()
  const by = reader.replica === null ? 'consumer' : 'follower'
  for (const [index, { topic, topicId, partition, asked }] of targets.entries()) {
    const { error, divergingEpoch, records, ...offsets } = reads[index]!
    broker.observer?.fetched(partition === null ? null : topic, error?.code ?? 0, records.byteLength, by)
    if (!isSent(index)) continue
    if (by === 'follower' && partition !== null) reader.quota?.record(partition, records.byteLength)
    let last = responses.at(-1)
    if (last === undefined || last.topic !== topic || last.topicId !== topicId) {
      responses.push((last = { topic, topicId, partitions: [] }))
    }
    const elsewhere = error === errors.NOT_LEADER_OR_FOLLOWER || error === errors.FENCED_LEADER_EPOCH
    const leaderId =
      elsewhere && apiVersion >= currentLeaderSince ? broker.cluster.leaderOf(partition!) : null
    if (leaderId !== null) leaderIds.add(leaderId)
    last.partitions.push({
      partitionIndex: asked.partition,
      errorCode: error === null ? 0 : error.code,
      ...offsets,
      ...(divergingEpoch !== null && { divergingEpoch }),
      ...(leaderId !== null && { currentLeader: { leaderId, leaderEpoch: partition!.leaderEpoch } }),
      records: records.byteLength === 0 ? noBytes : records,
    })
  }
  if (leaderIds.size === 0) return { responses }
  return { responses, nodeEndpoints: leaderNodes(broker.cluster, endpoint, leaderIds) }
}
