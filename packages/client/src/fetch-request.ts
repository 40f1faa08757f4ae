import { fetch, type FetchRequestInput } from '@varve/protocol'
import type { Cluster } from './cluster.js'
import type { Connection } from './connection.js'
import type { AssignedPartition } from './fetched-partition.js'
import { isolationLevel, type Isolation } from './offset-lookup.js'

/** How much a broker is asked for, and as whom. */
export interface FetchLimits {
  maxWaitMs: number
  minBytes: number
  maxBytes: number
  maxPartitionBytes: number
  isolation: Isolation
  /** Empty for none. */
  rack: string
}

// The last version that names topics; later ones know them by id alone.
const LAST_WITH_NAMES = 12
// From here on a leader tells whoever says what it has read last that it has lost that (KIP-595).
const TRUNCATION_FROM_VERSION = 12

/** The request for what follows in these partitions, and the newest version that can say so; undefined for any. */
export function fetchRequest(
  cluster: Cluster,
  connection: Connection,
  partitions: readonly AssignedPartition[],
  limits: FetchLimits,
): { body: FetchRequestInput; maxVersion: number | undefined } {
  const { maxWaitMs, minBytes, maxBytes, maxPartitionBytes, isolation, rack } = limits
  const names = [...new Set(partitions.map(({ topic }) => topic))]
  const ids = new Map(names.map((name) => [name, cluster.topic(name)?.topicId ?? undefined]))
  const maxVersion = [...ids.values()].includes(undefined) ? LAST_WITH_NAMES : undefined
  const saysEpochs = connection.versionOf(fetch, maxVersion) >= TRUNCATION_FROM_VERSION
  const topics = names.map((topic) => {
    const asked = partitions
      .filter((assigned) => assigned.topic === topic)
      .map(({ partition, fetchOffset, lastEpoch }) => ({
        partition,
        fetchOffset,
        currentLeaderEpoch: cluster.partition(topic, partition)?.leaderEpoch ?? -1,
        ...(saysEpochs ? { lastFetchedEpoch: lastEpoch } : {}),
        partitionMaxBytes: maxPartitionBytes,
      }))
    const topicId = ids.get(topic)
    return { topic, ...(topicId === undefined ? {} : { topicId }), partitions: asked }
  })
  const isolationNumber = isolationLevel(isolation)
  const body = { maxWaitMs, minBytes, maxBytes, isolationLevel: isolationNumber, topics, rackId: rack }
  return { body, maxVersion }
}
