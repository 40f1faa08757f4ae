import { replaceReplica, ReplicaLoad } from '@varve/partitioning'
import type { ClusterImage } from '../cluster-image.js'
import type { PartitionState } from '../partition-state.js'
import { preferredLeader } from './election.js'
import { mayLead } from './partition-target.js'
import type { PartitionWish } from './partition-intent.js'
import { placementBrokers, type ReplicaSpread } from './placement.js'
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
export function wishesOf(
  request: PartitionsRequest,
  image: ClusterImage,
  spread: ReplicaSpread,
): readonly PartitionsWish[] {
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
      return drain(request.brokerId, image, spread)
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
function drain(brokerId: number, image: ClusterImage, spread: ReplicaSpread): readonly PartitionsWish[] {
  const brokers = placementBrokers(image).filter(({ id }) => id !== brokerId)
  const ofAll = spread.all.without(new ReplicaLoad())
  const ofTopics = new Map<string, ReplicaLoad>()
  const wishes: PartitionsWish[] = []
  for (const state of image.partitionsOfBroker(brokerId)) {
    const { topicId, partition } = state
    const topic = image.topicById(topicId)?.name
    const replicas = targetReplicas(state)
    if (topic === undefined || !replicas.includes(brokerId)) {
      continue
    }
    if (brokers.every(({ id }) => replicas.includes(id))) {
      wishes.push({ topic, partition, wish: 'INVALID_REPLICATION_FACTOR' })
      continue
    }
    const existing = ofTopics.get(topicId) ?? spread.ofTopic(topicId)
    ofTopics.set(topicId, existing)
    const others = ofAll.without(existing)
    const target = replaceReplica({ brokers, replicas, leaving: brokerId, existing, others })
    for (const load of [existing, ofAll]) {
      load.remove(replicas)
      load.add(target)
    }
    wishes.push({ topic, partition, wish: { kind: 'reassign', replicas: target } })
  }
  return wishes
}
