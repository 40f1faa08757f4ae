import { replaceReplica } from '@varve/partitioning'
import type { ClusterImage } from '../cluster-image.js'
import type { PartitionState } from '../partition-state.js'
import { preferredLeader } from './election.js'
import { mayLead } from './partition-target.js'
import type { PartitionWish } from './partition-intent.js'
import { placementBrokers } from './placement.js'
import { targetReplicas } from './reassignment.js'
import type {
  ControllerErrorName,
  DrainRequest,
  ElectLeadersRequest,
  ReassignRequest,
  TopicPartition,
} from './request.js'

/** A request to partitions one by one. */
export type PartitionsRequest = ReassignRequest | ElectLeadersRequest | DrainRequest

/** What is wished of a partition, or why it cannot be. */
export interface PartitionsWish extends TopicPartition {
  readonly wish: PartitionWish | ControllerErrorName
}

/** What a request wishes of which partitions. */
export function wishesOf(request: PartitionsRequest, image: ClusterImage): readonly PartitionsWish[] {
  switch (request.kind) {
    case 'reassign':
      return request.partitions.map(({ topic, partition, replicas }) => ({
        topic,
        partition,
        wish: replicas === null ? { kind: 'cancel' } : { kind: 'reassign', replicas },
      }))
    case 'elect leaders': {
      const { election } = request
      const partitions = request.partitions ?? inNeedOf(election, image)
      return partitions.map(({ topic, partition }) => ({
        topic,
        partition,
        wish: { kind: 'elect', election },
      }))
    }
    case 'drain':
      return drain(request.brokerId, image)
  }
}

/** Those partitions that are led by another than their preferred leader, or by none. */
export function inNeedOf(
  election: ElectLeadersRequest['election'],
  image: ClusterImage,
): readonly TopicPartition[] {
  const inNeed: TopicPartition[] = []
  for (const state of image.partitions()) {
    const topic = image.topicById(state.topicId)
    if (topic !== undefined && needs(election, state, image)) {
      inNeed.push({ topic: topic.name, partition: state.partition })
    }
  }
  return inNeed
}

function needs(
  election: ElectLeadersRequest['election'],
  state: PartitionState,
  image: ClusterImage,
): boolean {
  const isLive = (id: number): boolean => mayLead(image.brokers.get(id), state)
  const preferred = preferredLeader(state)
  return election === 'preferred'
    ? state.leader !== preferred && state.isr.includes(preferred) && isLive(preferred)
    : !isLive(state.leader) && state.replicas.some(isLive)
}

/** Each replica of the broker goes to another one, where racks and numbers of replicas suggest it. */
function drain(brokerId: number, image: ClusterImage): readonly PartitionsWish[] {
  const brokers = placementBrokers(image).filter(({ id }) => id !== brokerId)
  const targets = new Map<PartitionState, readonly number[]>()
  for (const state of image.partitions()) {
    targets.set(state, targetReplicas(state))
  }
  const wishes: PartitionsWish[] = []
  for (const state of image.partitionsOfBroker(brokerId)) {
    const topic = image.topicById(state.topicId)?.name
    const replicas = targets.get(state)!
    if (topic === undefined || !replicas.includes(brokerId)) {
      continue
    }
    if (brokers.every(({ id }) => replicas.includes(id))) {
      wishes.push({ topic, partition: state.partition, wish: 'INVALID_REPLICATION_FACTOR' })
      continue
    }
    const existing: (readonly number[])[] = []
    const others: (readonly number[])[] = []
    for (const [{ topicId }, target] of targets) {
      ;(topicId === state.topicId ? existing : others).push(target)
    }
    const target = replaceReplica({ brokers, replicas, leaving: brokerId, existing, others })
    targets.set(state, target)
    wishes.push({ topic, partition: state.partition, wish: { kind: 'reassign', replicas: target } })
  }
  return wishes
}
