import {
  PartitionFollower,
  PartitionLeader,
  type BrokerRegistration,
  type FetchedRecords,
  type FollowerFetch,
  type FollowerFetchAnswer,
  type FollowerStep,
  type PartitionState,
} from '@varve/replication'
import { BatchLog } from './batch-log.js'

export const topicId = 'topic'

export function stateOf(changes: Partial<PartitionState> = {}): PartitionState {
  return {
    topicId,
    partition: 0,
    replicas: [1, 2, 3],
    addingReplicas: [],
    removingReplicas: [],
    leader: 1,
    leaderEpoch: 5,
    isr: [1, 2, 3],
    eligibleLeaderReplicas: [],
    lastKnownLeader: 1,
    minInsyncReplicas: 2,
    partitionEpoch: 100,
    ...changes,
  }
}

export function registrationOf(
  brokerId: number,
  changes: Partial<BrokerRegistration> = {},
): BrokerRegistration {
  return {
    brokerId,
    brokerEpoch: 10 + brokerId,
    revision: 20 + brokerId,
    incarnationId: `process-${brokerId}`,
    directoryId: `directory-${brokerId}`,
    rack: null,
    endpoints: {},
    mayHaveLostRecords: false,
    fenced: false,
    shuttingDown: false,
    offlineReplicas: [],
    lease: `lease-${brokerId}`,
    ...changes,
  }
}

export const lagMs = 1_000

/** The leader of a partition on broker 1, with brokers that can be registered otherwise at any time. */
export function leaderOf(
  options: {
    state?: Partial<PartitionState>
    log?: BatchLog
    highWatermark?: number
    racks?: Record<number, string>
  } = {},
) {
  const log = options.log ?? new BatchLog()
  const state = stateOf(options.state)
  log.setLeaderEpoch(state.leaderEpoch)
  const brokers = new Map(
    [1, 2, 3, 4].map((id) => [id, registrationOf(id, { rack: options.racks?.[id] ?? null })]),
  )
  const leader = new PartitionLeader({
    brokerId: 1,
    log,
    state,
    brokers: (id) => brokers.get(id),
    highWatermark: options.highWatermark ?? 0,
    replicaLagTimeMaxMs: lagMs,
    now: 0,
  })
  const append = (count: number) => {
    log.append(count)
    leader.logChanged()
  }
  const fetch = (replicaId: number, fetchOffset: number, more: Partial<FollowerFetch> = {}, now = 0) =>
    leader.fetch(
      {
        fetchId: 0,
        replicaId,
        replicaEpoch: 10 + replicaId,
        currentLeaderEpoch: state.leaderEpoch,
        fetchOffset,
        lastFetchedEpoch: fetchOffset > log.startOffset ? epochBefore(log, fetchOffset) : -1,
        logStartOffset: 0,
        durableOffset: fetchOffset,
        highWatermark: 0,
        ...more,
      },
      now,
    )
  return { log, leader, brokers, append, fetch }
}

function epochBefore(log: BatchLog, offset: number): number {
  return log.batches.findLast((batch) => batch.baseOffset < offset)?.leaderEpoch ?? -1
}

export function followerOf(
  options: {
    log?: BatchLog
    highWatermark?: number
    brokerEpoch?: () => number
    state?: Partial<PartitionState>
  } = {},
) {
  const log = options.log ?? new BatchLog()
  const follower = new PartitionFollower({
    brokerId: 2,
    brokerEpoch: options.brokerEpoch ?? (() => 12),
    log,
    state: stateOf(options.state),
    highWatermark: options.highWatermark ?? 0,
  })
  return { log, follower }
}

/** An answer on its way: what the broker makes of the leader's, with all that may be read. */
export function asFetched(answer: FollowerFetchAnswer, leaderEpoch: number, log: BatchLog): FetchedRecords {
  const plain = {
    error: null,
    leaderEpoch,
    highWatermark: -1,
    logStartOffset: -1,
    diverging: null,
    records: null,
  }
  if (answer.kind === 'error') {
    return { ...plain, error: answer.error, logStartOffset: answer.logStartOffset ?? -1 }
  }
  const { highWatermark, logStartOffset } = answer
  if (answer.kind === 'diverging') {
    const { epoch, endOffset } = answer
    return { ...plain, highWatermark, logStartOffset, diverging: { epoch, endOffset } }
  }
  const batches = log.read(answer.from, answer.upTo)
  const records =
    batches.length === 0 ? null : { baseOffset: batches[0]!.baseOffset, endOffset: batches.at(-1)!.endOffset }
  return { ...plain, highWatermark, logStartOffset, records }
}

/** Does what the follower's step asks for. */
export function take(
  step: FollowerStep,
  follower: PartitionFollower,
  log: BatchLog,
  from: readonly unknown[],
) {
  if (step.kind === 'append') {
    log.replicate(from as never)
    follower.appended()
  } else if (step.kind === 'truncate') {
    log.truncate(step.to)
    follower.truncated()
  } else if (step.kind === 'start over') {
    log.startOver(step.at)
    follower.truncated()
  }
}

/** Lets the follower fetch until it has what the leader has; fails when they go round in circles. */
export function catchUp(
  follower: PartitionFollower,
  log: BatchLog,
  leader: PartitionLeader,
  leaderLog: BatchLog,
  now = 0,
): string[] {
  const steps: string[] = []
  for (let round = 0; round < 50; round++) {
    const fetch = follower.fetch()
    if (fetch === null) {
      throw new Error('the follower has nothing to fetch')
    }
    const answer = asFetched(leader.fetch(fetch, now), leader.leaderEpoch, leaderLog)
    const step = follower.answered(fetch.fetchId, answer)
    take(step, follower, log, leaderLog.read(fetch.fetchOffset, leaderLog.endOffset))
    steps.push(step.kind)
    if (step.kind === 'nothing' && answer.diverging === null && !leader.hasNewsFor(fetch.replicaId)) {
      return steps
    }
  }
  throw new Error(`the follower does not catch up: ${steps.join(', ')}`)
}
