import { fetch } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Connection } from '../connection.js'
import { KafkaError } from '../kafka-error.js'
import { partitionName, type TopicPartition } from '../topic-partition.js'
import { isPassing, type AdminRequests } from './requests.js'
import { describe } from './topics.js'

export interface ReplicaRead extends TopicPartition {
  /** Whose replica: the leader's or a follower's. */
  readonly nodeId: number
  readonly offset: number
}

/** What a replica has from an offset on. */
export interface ReplicaRecords {
  /** Whole batches as they are stored, and at the end perhaps a part of one; the first may begin before the offset. */
  readonly records: Buffer
  /** Up to where the replica shows its records. A follower's moves with its next fetch from the leader. */
  readonly highWatermark: number
  readonly logStartOffset: number
}

// The last version that names topics; later ones know them by id alone.
const LAST_WITH_NAMES = 12
// From here on a follower answers a consumer as well (KIP-392).
const FOLLOWERS_FROM_VERSION = 11
const LANE = 'replica'

export async function read(
  requests: AdminRequests,
  where: ReplicaRead,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<ReplicaRecords> {
  const { cluster } = requests
  const { nodeId, topic } = where
  return requests.retrying(signal, isPassing, async () => {
    if (cluster.topic(topic) === undefined || !cluster.knows(nodeId))
      await describe(requests, [topic], signal)
    return ask(
      await cluster.connectionTo(nodeId, LANE),
      where,
      cluster.topic(topic)?.topicId,
      maxBytes,
      signal,
    )
  })
}

async function ask(
  connection: Connection,
  where: ReplicaRead,
  topicId: string | null | undefined,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<ReplicaRecords> {
  const { topic, partition, offset } = where
  const hasId = topicId !== null && topicId !== undefined
  const maxVersion = hasId ? undefined : LAST_WITH_NAMES
  if (connection.versionOf(fetch, maxVersion) < FOLLOWERS_FROM_VERSION) {
    const problem = `The broker at ${connection.address} is too old to let clients read from followers`
    throw new VarveError('VARVE_UNSUPPORTED_VERSION', problem)
  }
  const asked = { partition, fetchOffset: offset, partitionMaxBytes: maxBytes }
  const body = {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes,
    isolationLevel: 0,
    topics: [{ topic, ...(hasId ? { topicId } : {}), partitions: [asked] }],
  }
  const { errorCode, responses } = await connection.request(fetch, body, { signal, maxVersion })
  const what = `Reading the replica of ${partitionName(where)} at ${connection.address} at offset ${offset}`
  if (errorCode !== 0) throw new KafkaError(errorCode, what)
  const answer = responses[0]?.partitions[0]
  if (answer?.partitionIndex !== partition) {
    const problem = `The broker's response to Fetch says nothing about ${partitionName(where)}`
    throw new VarveError('VARVE_INVALID_RESPONSE', problem)
  }
  if (answer.errorCode !== 0) throw new KafkaError(answer.errorCode, what)
  const { records, highWatermark, logStartOffset } = answer
  return { records: records ?? Buffer.alloc(0), highWatermark, logStartOffset }
}
