import { describeCluster, describeLogDirs, unregisterBroker } from '@varve/protocol'
import type { Connection } from '../connection.js'
import { KafkaError } from '../kafka-error.js'
import { byTopic, type TopicPartition } from '../topic-partition.js'
import { allOrThrow, type AdminRequests } from './requests.js'

export interface Node {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
  /** Whether it is registered and takes no requests, being down or about to start. */
  readonly isFenced: boolean
}

export interface ClusterDescription {
  readonly clusterId: string
  /** The controller's node id, −1 while there is none. */
  readonly controllerId: number
  /** By node id. */
  readonly nodes: readonly Node[]
}

export interface LogDirReplica extends TopicPartition {
  readonly sizeBytes: number
  /** How far its log ends before the high watermark, or for a future replica before the current one. */
  readonly offsetLag: number
  /** Whether it is on its way here from another directory. */
  readonly isFuture: boolean
}

export interface LogDir {
  readonly nodeId: number
  readonly path: string
  /** Whether it takes no new replicas (KIP-1066); false where the broker is too old to say. */
  readonly isCordoned: boolean
  /** What is wrong with the directory, e.g. KAFKA_STORAGE_ERROR; null for nothing. */
  readonly error: KafkaError | null
  /** Of the volume, in bytes; −1 where the broker is too old to say. */
  readonly totalBytes: number
  readonly usableBytes: number
  readonly replicas: readonly LogDirReplica[]
}

export interface LogDirFilter {
  /** Only these brokers' directories. Default: all brokers'. */
  nodeIds?: readonly number[]
  /** Only replicas of these partitions. Default: all. */
  partitions?: readonly TopicPartition[]
}

const FENCED_FROM_VERSION = 2

export async function cluster(
  requests: AdminRequests,
  includeFenced: boolean,
  signal: AbortSignal | undefined,
): Promise<ClusterDescription> {
  return requests.anywhere(signal, async (connection) => {
    const knowsFenced = connection.versionOf(describeCluster) >= FENCED_FROM_VERSION
    const body = {
      includeClusterAuthorizedOperations: false,
      ...(knowsFenced ? { includeFencedBrokers: includeFenced } : {}),
    }
    const response = await connection.request(describeCluster, body, { signal })
    const { errorCode, errorMessage, clusterId, controllerId, brokers } = response
    if (errorCode !== 0) throw new KafkaError(errorCode, 'Describing the cluster', errorMessage)
    const nodes = brokers.map(({ brokerId, ...broker }): Node => ({ nodeId: brokerId, ...broker }))
    return { clusterId, controllerId, nodes: nodes.sort((a, b) => a.nodeId - b.nodeId) }
  })
}

export async function logDirs(
  requests: AdminRequests,
  { nodeIds, partitions }: LogDirFilter,
  signal: AbortSignal | undefined,
): Promise<LogDir[]> {
  const wanted =
    nodeIds ??
    (await requests.anywhere(signal, async () => {
      await requests.cluster.refresh([], { signal })
      return requests.cluster.nodeIds
    }))
  const topics =
    partitions === undefined
      ? null
      : [...byTopic(partitions)].map(([topic, found]) => ({
          topic,
          partitions: found.map(({ partition }) => partition),
        }))
  const nodes = wanted.map((nodeId) => ({ nodeId }))
  const outcomes = await requests.atNodes(nodes, signal, async (connection, [node]) => {
    const { errorCode, results } = await connection.request(describeLogDirs, { topics }, { signal })
    const what = `Describing the log directories of broker ${node!.nodeId}`
    if (errorCode !== 0) return [new KafkaError(errorCode, what)]
    return [
      results.map((result): LogDir => ({
        nodeId: node!.nodeId,
        path: result.logDir,
        error: result.errorCode === 0 ? null : new KafkaError(result.errorCode, `${what}, ${result.logDir},`),
        totalBytes: result.totalBytes,
        usableBytes: result.usableBytes,
        isCordoned: result.isCordoned,
        replicas: result.topics.flatMap(({ name, partitions: found }) =>
          found.map(({ partitionIndex, partitionSize, offsetLag, isFutureKey }) => ({
            topic: name,
            partition: partitionIndex,
            sizeBytes: partitionSize,
            offsetLag,
            isFuture: isFutureKey,
          })),
        ),
      })),
    ]
  })
  return allOrThrow(outcomes).flat()
}

export async function unregister(
  requests: AdminRequests,
  nodeId: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ask = async (connection: Connection): Promise<void> => {
    const response = await connection.request(unregisterBroker, { brokerId: nodeId }, { signal })
    const { errorCode, errorMessage } = response
    if (errorCode !== 0) throw new KafkaError(errorCode, `Unregistering broker ${nodeId}`, errorMessage)
  }
  // Twice would be once too often: the second answer is that there is no such broker.
  await requests.atController(signal, ask)
}
