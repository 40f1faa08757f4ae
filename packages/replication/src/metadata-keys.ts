import type { BrokerRegistration } from './broker-registration.js'
import { ReplicationError } from './error.js'
import type { MetadataEntry } from './metadata-store.js'
import { noBroker, type PartitionState } from './partition-state.js'

/** The prefix of all brokers' registrations in the metadata store. */
export const brokerKeyPrefix = '/brokers/'
/** The prefix of all topics. */
export const topicKeyPrefix = '/topics/'
/** The prefix of all partitions' states. */
export const partitionKeyPrefix = '/partitions/'
/** Holds who is the controller, on its lease. */
export const controllerKey = '/controller'
/** Holds the next producer id that is free (KIP-730). */
export const producerIdsKey = '/producer-ids'

/** The key of a broker's registration. */
export function brokerKey(brokerId: number): string {
  return `${brokerKeyPrefix}${brokerId}`
}

/** The key of a topic. */
export function topicKey(name: string): string {
  return topicKeyPrefix + name
}

/** The key of a partition's state. */
export function partitionKey(topicId: string, partition: number): string {
  return `${partitionKeyPrefix}${topicId}/${partition}`
}

/** The partition that a {@link partitionKey} is of; null when it is none. */
export function partitionOfKey(key: string): { readonly topicId: string; readonly partition: number } | null {
  const match = /^([^/]+)\/(0|[1-9]\d{0,9})$/.exec(key.slice(partitionKeyPrefix.length))
  return match === null ? null : { topicId: match[1]!, partition: Number(match[2]) }
}

/** What the metadata store holds of a topic. It is put behind its partitions and removed before them. */
export interface TopicRegistration {
  /** The topic's name. */
  readonly name: string
  /** The id, which a topic of the same name created later does not share. */
  readonly topicId: string
  /** How many partitions there are: those with a lower number, and no others. */
  readonly partitions: number
  /** The topic's own configurations, by Kafka's names. */
  readonly configs: Readonly<Record<string, string>>
  /** The revision of the topic as it is now, for comparisons. */
  readonly revision: number
}

/** Who is the controller. */
export interface ControllerRegistration {
  /** The broker that is the controller. */
  readonly brokerId: number
  /** The revision at which this one became the controller; everything that it puts is compared with it. */
  readonly revision: number
  /** The store's lease that the candidacy ends with. */
  readonly lease: string
}

/** The version of the values' form. A broker that finds another must not guess. */
const formVersion = 1
/** A topic's: the two before it are those of a broker without a cluster. */
const topicFormVersion = 3

/** The value to put under {@link partitionKey}. The partition epoch is not part of it: that is the entry's revision. */
export function encodePartitionState(state: PartitionState): string {
  const { replicas, addingReplicas, removingReplicas, leader, leaderEpoch, isr } = state
  const { eligibleLeaderReplicas, lastKnownLeader, minInsyncReplicas } = state
  return JSON.stringify({
    version: formVersion,
    replicas,
    addingReplicas,
    removingReplicas,
    leader,
    leaderEpoch,
    isr,
    eligibleLeaderReplicas,
    lastKnownLeader,
    minInsyncReplicas,
  })
}

/** @throws ReplicationError `VARVE_METADATA_CORRUPT` when the value is not one that {@link encodePartitionState} wrote */
export function decodePartitionState(entry: MetadataEntry): PartitionState {
  const of = partitionOfKey(entry.key)
  const value = decoded(entry, formVersion)
  const { replicas, addingReplicas, removingReplicas, leader, leaderEpoch, isr } = value
  const { eligibleLeaderReplicas, lastKnownLeader, minInsyncReplicas } = value
  if (
    of === null ||
    !areBrokers(replicas) ||
    replicas.length === 0 ||
    !areBrokers(addingReplicas) ||
    !areBrokers(removingReplicas) ||
    !isBrokerOrNone(leader) ||
    !isCount(leaderEpoch) ||
    !areBrokers(isr) ||
    !areBrokers(eligibleLeaderReplicas) ||
    !isBrokerOrNone(lastKnownLeader) ||
    !isCount(minInsyncReplicas) ||
    minInsyncReplicas === 0
  ) {
    throw corrupt(entry)
  }
  return {
    ...of,
    replicas,
    addingReplicas,
    removingReplicas,
    leader,
    leaderEpoch,
    isr,
    eligibleLeaderReplicas,
    lastKnownLeader,
    minInsyncReplicas,
    partitionEpoch: entry.revision,
  }
}

/**
 * The value to put under {@link brokerKey}. The broker epoch is the revision at which a registration is first put, so it is
 * `null` then, and given whenever the same registration is put again.
 */
export function encodeBrokerRegistration(
  registration: Omit<BrokerRegistration, 'brokerId' | 'brokerEpoch' | 'revision' | 'lease'> & {
    readonly brokerEpoch: number | null
  },
): string {
  const { brokerEpoch, incarnationId, directoryId, rack, endpoints } = registration
  const { mayHaveLostRecords, fenced, shuttingDown, offlineReplicas } = registration
  return JSON.stringify({
    version: formVersion,
    brokerEpoch,
    incarnationId,
    directoryId,
    rack,
    endpoints,
    mayHaveLostRecords,
    fenced,
    shuttingDown,
    offlineReplicas,
  })
}

/** @throws ReplicationError `VARVE_METADATA_CORRUPT` when the value is not one that {@link encodeBrokerRegistration} wrote */
export function decodeBrokerRegistration(entry: MetadataEntry): BrokerRegistration {
  const brokerId = entry.key.slice(brokerKeyPrefix.length)
  const value = decoded(entry, formVersion)
  const { brokerEpoch, incarnationId, directoryId, rack, endpoints } = value
  const { mayHaveLostRecords, fenced, shuttingDown, offlineReplicas } = value
  if (
    !isDecimal(brokerId) ||
    (brokerEpoch !== null && !isCount(brokerEpoch)) ||
    typeof incarnationId !== 'string' ||
    typeof directoryId !== 'string' ||
    (rack !== null && typeof rack !== 'string') ||
    !areStrings(endpoints) ||
    typeof mayHaveLostRecords !== 'boolean' ||
    typeof fenced !== 'boolean' ||
    typeof shuttingDown !== 'boolean' ||
    !Array.isArray(offlineReplicas) ||
    !areStrings(offlineReplicas) ||
    entry.lease === undefined
  ) {
    throw corrupt(entry)
  }
  return {
    brokerId: Number(brokerId),
    brokerEpoch: brokerEpoch ?? entry.revision,
    revision: entry.revision,
    incarnationId,
    directoryId,
    rack,
    endpoints,
    mayHaveLostRecords,
    fenced,
    shuttingDown,
    offlineReplicas: offlineReplicas as string[],
    lease: entry.lease,
  }
}

/** The value to put under {@link topicKey}. */
export function encodeTopicRegistration(topic: Omit<TopicRegistration, 'name' | 'revision'>): string {
  const { topicId, partitions, configs } = topic
  return JSON.stringify({ version: topicFormVersion, topicId, partitions, configs })
}

/** @throws ReplicationError `VARVE_METADATA_CORRUPT` when the value is not one that {@link encodeTopicRegistration} wrote */
export function decodeTopicRegistration(entry: MetadataEntry): TopicRegistration {
  const name = entry.key.slice(topicKeyPrefix.length)
  const { topicId, partitions, configs } = decoded(entry, topicFormVersion)
  if (typeof topicId !== 'string' || !isCount(partitions) || partitions === 0 || !areStrings(configs)) {
    throw corrupt(entry)
  }
  return { name, topicId, partitions, configs, revision: entry.revision }
}

/** The value to put under {@link controllerKey}. */
export function encodeControllerRegistration({ brokerId }: Pick<ControllerRegistration, 'brokerId'>): string {
  return JSON.stringify({ version: formVersion, brokerId })
}

/** @throws ReplicationError `VARVE_METADATA_CORRUPT` when the value is not one that {@link encodeControllerRegistration} wrote */
export function decodeControllerRegistration(entry: MetadataEntry): ControllerRegistration {
  const { brokerId } = decoded(entry, formVersion)
  if (!isCount(brokerId) || entry.lease === undefined) {
    throw corrupt(entry)
  }
  return { brokerId, revision: entry.revision, lease: entry.lease }
}

function decoded(entry: MetadataEntry, version: number): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(entry.value)
  } catch (cause) {
    throw corrupt(entry, cause)
  }
  const fields = (value ?? {}) as Record<string, unknown>
  if (fields.version !== version) {
    throw corrupt(entry)
  }
  return fields
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isBrokerOrNone(value: unknown): value is number {
  return value === noBroker || isCount(value)
}

function areBrokers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount) && new Set(value).size === value.length
}

function areStrings(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((each) => typeof each === 'string')
  )
}

function isDecimal(value: string): boolean {
  return /^(0|[1-9]\d{0,9})$/.test(value)
}

/** What is thrown where an entry is not what this version wrote. */
export function corrupt(entry: MetadataEntry, cause?: unknown): ReplicationError {
  return new ReplicationError(
    'VARVE_METADATA_CORRUPT',
    `the metadata entry ${entry.key} is not one that this version wrote: ${entry.value.slice(0, 120)}`,
    { cause },
  )
}
