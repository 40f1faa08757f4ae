import type { Partition } from './partition.js'
import type { Endpoint } from './request-context.js'

/** A broker as clients are told of it. */
export interface BrokerNode {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
  /** It is registered, and is neither elected nor in sync until the controller has noted it (KIP-1073). */
  readonly isFenced: boolean
}

/** What a broker tells its clients of the cluster that it is in. */
export interface ClusterView {
  /** -1 while there is none. */
  readonly controllerId: number
  /** The revision of the metadata store at which it has become the controller; 0 for a broker that is alone. */
  readonly controllerEpoch: number
  /** The registered brokers, where they are reached by the listener that `endpoint` is of. */
  nodes(endpoint: Endpoint): BrokerNode[]
  /** The ids of all registered brokers. */
  brokerIds(): ReadonlySet<number>
  /** How many of them may get replicas. */
  readonly availableBrokers: number
  /** The leader of a partition as far as it can be reached; -1 for none. */
  leaderOf(partition: Partition): number
  /** The replicas that cannot be reached, or whose log cannot be read. */
  offlineReplicas(partition: Partition): number[]
}

/**
 * The brokers that clients may talk to. Where all leases have run out at once, as after a pause of the metadata store, whoever answers is
 * there all the same: a client that is told of no broker has nobody left to ask, and a member of a group may never come back.
 *
 * @param nodeId of the broker that answers
 */
export function aliveNodes(cluster: ClusterView, endpoint: Endpoint, nodeId: number): BrokerNode[] {
  const alive = cluster.nodes(endpoint).filter(({ isFenced }) => !isFenced)
  const { host, port } = endpoint
  return alive.length > 0 ? alive : [{ nodeId, host, port, rack: null, isFenced: true }]
}

/** Where the leaders are that an answer names, so that its client need not ask for them (KIP-951). */
export function leaderNodes(
  cluster: ClusterView,
  endpoint: Endpoint,
  leaderIds: ReadonlySet<number>,
): BrokerNode[] {
  return cluster.nodes(endpoint).filter(({ nodeId }) => leaderIds.has(nodeId))
}

/** The view of a broker that is alone, and its own controller. */
export function soleView(nodeId: number, rack: string | null): ClusterView {
  const ids: ReadonlySet<number> = new Set([nodeId])
  return {
    controllerId: nodeId,
    controllerEpoch: 0,
    nodes: ({ host, port }) => [{ nodeId, host, port, rack, isFenced: false }],
    brokerIds: () => ids,
    availableBrokers: 1,
    // A partition that only cannot be written keeps its leader: consumers go on reading what is durable.
    leaderOf: () => nodeId,
    offlineReplicas: ({ readable }) => (readable ? [] : [nodeId]),
  }
}
