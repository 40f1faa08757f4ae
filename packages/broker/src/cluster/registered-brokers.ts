import { isAvailable, noBroker } from '@varve/replication'
import type { BrokerNode, ClusterView } from '../cluster-view.js'
import type { Partition } from '../partition.js'
import type { Endpoint } from '../request-context.js'
import { parseEndpoint } from './broker-peers.js'
import type { ClusterMember } from './cluster-member.js'

/** The cluster as its members' registrations show it. */
export class RegisteredBrokers implements ClusterView {
  readonly #brokerId: number
  readonly #member: ClusterMember

  constructor(brokerId: number, member: ClusterMember) {
    this.#brokerId = brokerId
    this.#member = member
  }

  get controllerId(): number {
    return this.#member.image.controller?.brokerId ?? noBroker
  }

  get controllerEpoch(): number {
    return this.#member.image.controller?.revision ?? 0
  }

  nodes(endpoint: Endpoint): BrokerNode[] {
    const nodes: BrokerNode[] = []
    for (const {
      brokerId: nodeId,
      endpoints,
      rack,
      fenced: isFenced,
    } of this.#member.image.brokers.values()) {
      const there = endpoints[endpoint.listener]
      // A broker without this listener cannot be reached from where the client is.
      if (there === undefined) continue
      const { host, port } = nodeId === this.#brokerId ? endpoint : parseEndpoint(there)
      nodes.push({ nodeId, host, port, rack, isFenced })
    }
    return nodes.sort((a, b) => a.nodeId - b.nodeId)
  }

  brokerIds(): ReadonlySet<number> {
    return new Set(this.#member.image.brokers.keys())
  }

  get availableBrokers(): number {
    return [...this.#member.image.brokers.values()].filter(isAvailable).length
  }

  leaderOf({ state: { leader } }: Partition): number {
    return this.#member.image.brokers.has(leader) ? leader : noBroker
  }

  offlineReplicas({ state }: Partition): number[] {
    const { topicId, partition, replicas } = state
    return replicas.filter((id) => {
      const registration = this.#member.image.brokers.get(id)
      return registration === undefined || registration.offlineReplicas.includes(`${topicId}:${partition}`)
    })
  }
}
