import type {
  Admin,
  ClusterDescription,
  Node,
  OngoingReassignment,
  PartitionDescription,
  TopicDescription,
} from '@varve/client'
import type { PartitionReplicas } from '@varve/partitioning'
import { VarveError } from '@varve/records'
import { placeName, type Place } from './topic-places.js'

/** A partition with what is under way for it. */
export interface PartitionState extends PartitionDescription {
  readonly topic: string
  /** Null where its replicas stay as they are. */
  readonly reassignment: OngoingReassignment | null
}

/** All brokers and all partitions, as the cluster tells of them at one time. */
export interface ClusterState extends ClusterDescription {
  readonly topics: readonly TopicDescription[]
  readonly partitions: readonly PartitionState[]
}

export async function clusterState(admin: Admin): Promise<ClusterState> {
  const cluster = await admin.describeCluster({ includeFenced: true })
  const names = (await admin.listTopics()).map(({ name }) => name)
  const topics = await admin.describeTopicPartitions(names)
  const underWay = new Map((await reassignments(admin)).map((one) => [placeName(one), one]))
  const partitions = topics.flatMap(({ name, partitions: described }) =>
    described.map((partition) => {
      const place = placeName({ topic: name, partition: partition.partition })
      return { topic: name, ...partition, reassignment: underWay.get(place) ?? null }
    }),
  )
  return { ...cluster, topics, partitions }
}

/** Brokers before Kafka 2.4 know of none. */
async function reassignments(admin: Admin): Promise<OngoingReassignment[]> {
  try {
    return await admin.listPartitionReassignments()
  } catch (error) {
    if (VarveError.is(error) && error.code === 'VARVE_UNSUPPORTED_VERSION') return []
    throw error
  }
}

/** The replicas that a partition has, or will have once what is under way is done. */
export function plannedReplicas({
  topic,
  partition,
  replicas,
  reassignment,
}: PartitionState): PartitionReplicas {
  const leaving = reassignment?.removingReplicas ?? []
  return { topic, partition, replicas: replicas.filter((id) => !leaving.includes(id)) }
}

/** Brokers that take requests. */
export const liveNodes = ({ nodes }: ClusterDescription): Node[] => nodes.filter(({ isFenced }) => !isFenced)

/** What each replica takes of a disk, by partition and broker; what is on its way from one directory to another apart. */
export class ReplicaSizes {
  readonly #bytes: ReadonlyMap<string, number>

  private constructor(bytes: ReadonlyMap<string, number>) {
    this.#bytes = bytes
  }

  static async of(
    admin: Admin,
    nodeIds: readonly number[],
    places?: readonly Place[],
  ): Promise<ReplicaSizes> {
    const dirs = await admin.describeLogDirs({ nodeIds, ...(places !== undefined && { partitions: places }) })
    const replicas = dirs.flatMap(({ nodeId, replicas: found }) =>
      found.filter(({ isFuture }) => !isFuture).map((replica) => ({ nodeId, ...replica })),
    )
    return new ReplicaSizes(
      new Map(replicas.map((replica) => [`${placeName(replica)}@${replica.nodeId}`, replica.sizeBytes])),
    )
  }

  /** 0 where the broker does not have it. */
  on(nodeId: number, place: Place): number {
    return this.#bytes.get(`${placeName(place)}@${nodeId}`) ?? 0
  }

  /** Of the partition: of the largest of these replicas. */
  most(nodeIds: readonly number[], place: Place): number {
    return Math.max(0, ...nodeIds.map((nodeId) => this.on(nodeId, place)))
  }
}
