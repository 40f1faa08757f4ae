import { describeCluster, describeLogDirs } from '@varve/protocol'
import { KafkaError } from '../kafka-error.js'
import { byTopic, type TopicPartition } from '../topic-partition.js'
import { allOrThrow, type AdminRequests } from './requests.js'

export interface Node {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
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

export async function cluster(
  requests: AdminRequests,
  signal: AbortSignal | undefined,
): Promise<ClusterDescription> {
  return requests.anywhere(signal, async (connection) => {
    const body = { includeClusterAuthorizedOperations: false }
    const response = await connection.request(describeCluster, body, { signal })
    const { errorCode, errorMessage, clusterId, controllerId, brokers } = response
    if (errorCode !== 0) throw new KafkaError(errorCode, 'Describing the cluster', errorMessage)
    const nodes = brokers.map(({ brokerId, host, port, rack }) => ({ nodeId: brokerId, host, port, rack }))
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
