// Requests that sequences of every subject send.
import { createTopics, fetch, initProducerId, produce } from '@varve/protocol'
import { batch, type BatchSpec, call, type Step } from './sequence.js'

export function createTopic(
  name: string,
  { partitions = 1, configs = {} }: { partitions?: number; configs?: Readonly<Record<string, string>> } = {},
): Step {
  const given = Object.entries(configs).map(([key, value]) => ({ name: key, value }))
  const topic = { name, numPartitions: partitions, replicationFactor: 1, assignments: [], configs: given }
  return call(createTopics, 7, { topics: [topic], timeoutMs: 10_000 })
}

export interface Fetching {
  version?: number
  offset?: number | bigint
  partition?: number
  maxBytes?: number
  partitionMaxBytes?: number
  isolationLevel?: number
  currentLeaderEpoch?: number
  lastFetchedEpoch?: number
}

/** Fetches from one partition at once, with whatever there is. */
export function fetchFrom(topic: string, options: Fetching = {}): Step {
  const { version = 12, offset = 0, partition = 0, maxBytes = 1 << 25, isolationLevel = 0 } = options
  const { partitionMaxBytes = 1 << 20, currentLeaderEpoch, lastFetchedEpoch } = options
  const one = {
    partition,
    fetchOffset: offset,
    partitionMaxBytes,
    ...(currentLeaderEpoch !== undefined && { currentLeaderEpoch }),
    ...(lastFetchedEpoch !== undefined && { lastFetchedEpoch }),
  }
  return call(fetch, version, {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes,
    isolationLevel,
    topics: [{ ...(version >= 13 ? { topicId: topic } : { topic }), partitions: [one] }],
    forgottenTopicsData: [],
  })
}

/** Produces one batch to partition 0. */
export const write = (topic: string, values: readonly string[], spec: BatchSpec = {}, version = 9): Step =>
  call(produce, version, {
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{ name: topic, partitionData: [{ index: 0, records: batch(values, spec) }] }],
  })

export const newProducer = (version = 4): Step =>
  call(initProducerId, version, { transactionalId: null, transactionTimeoutMs: 60_000 })
