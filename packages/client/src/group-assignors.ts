import {
  consumerAssignment,
  consumerSubscription,
  type ConsumerSubscription,
  type JoinGroupResponse,
} from '@varve/protocol'
import {
  cooperativeStickyAssignor,
  rangeAssignor,
  roundRobinAssignor,
  stickyAssignor,
  type AssignorMember,
  type GroupAssignment,
  type GroupAssignor,
} from '@varve/partitioning'
import { VarveError } from '@varve/records'
import { byTopic, type TopicPartition } from './topic-partition.js'

/** Kafka's names of the assignors. */
export type AssignorName = 'range' | 'roundrobin' | 'sticky' | 'cooperative-sticky'

const known: readonly GroupAssignor[] = [
  rangeAssignor,
  roundRobinAssignor,
  stickyAssignor,
  cooperativeStickyAssignor,
]

// Version 1 has what a member owns, 2 since which generation. No racks: version 3 would say nothing more.
const SUBSCRIPTION_VERSION = 2
const ASSIGNMENT_VERSION = 1

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function assignorsOf(names: readonly AssignorName[]): GroupAssignor[] {
  const found = names.map((name) => known.find((assignor) => assignor.name === name))
  if (found.length > 0 && !found.includes(undefined)) return found as GroupAssignor[]
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `'assignors' must be some of ${known.map(({ name }) => name).join(', ')}, not ${names.join(', ') || 'none'}`,
  )
}

/** What a member says of itself when it joins. */
export interface MemberState {
  readonly topics: readonly string[]
  readonly owned: readonly TopicPartition[]
  readonly generationId: number
}

/** A member's metadata in JoinGroup, under the protocol of one assignor. */
export function subscriptionBytes({ name }: GroupAssignor, state: MemberState): Buffer {
  const { topics, owned, generationId } = state
  const ownedPartitions = [...byTopic(owned)].map(([topic, partitions]) => ({
    topic,
    partitions: partitions.map(({ partition }) => partition),
  }))
  return consumerSubscription.encode(
    { topics, userData: userData(name, ownedPartitions, generationId), ownedPartitions, generationId },
    SUBSCRIPTION_VERSION,
  )
}

/** What the leader makes of its group's subscriptions. */
export function membersOf(name: string, members: JoinGroupResponse['members']): AssignorMember[] {
  return members.map(({ memberId, groupInstanceId, metadata }) => {
    const subscription = consumerSubscription.decode(metadata)
    return { memberId, groupInstanceId, topics: subscription.topics, ...ownedBy(name, subscription) }
  })
}

export function assignmentBytes(
  assignment: GroupAssignment,
): Array<{ memberId: string; assignment: Buffer }> {
  return [...assignment].map(([memberId, partitions]) => ({
    memberId,
    assignment: consumerAssignment.encode(
      {
        assignedPartitions: [...byTopic(partitions)].map(([topic, found]) => ({
          topic,
          partitions: found.map(({ partition }) => partition),
        })),
      },
      ASSIGNMENT_VERSION,
    ),
  }))
}

/** A member that its leader forgot is given nothing. */
export function assignedPartitions(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return []
  return consumerAssignment
    .decode(bytes)
    .assignedPartitions.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => ({ topic, partition })),
    )
}

type OwnedTopics = ReadonlyArray<{ topic: string; partitions: readonly number[] }>

/**
 * Java's sticky assignors tell of themselves in the user data as well: `sticky` all that the member had, which as an eager
 * member it no longer owns, and `cooperative-sticky` its generation.
 */
function userData(name: string, owned: OwnedTopics, generationId: number): Buffer | null {
  const generation = Buffer.alloc(4)
  generation.writeInt32BE(generationId)
  if (name === cooperativeStickyAssignor.name) return generation
  if (name !== stickyAssignor.name) return null
  const parts: Buffer[] = [int32s(owned.length)]
  for (const { topic, partitions } of owned) {
    const bytes = Buffer.from(topic)
    const length = Buffer.alloc(2)
    length.writeInt16BE(bytes.length)
    parts.push(length, bytes, int32s(partitions.length, ...partitions))
  }
  return Buffer.concat([...parts, generation])
}

function int32s(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, index) => bytes.writeInt32BE(value, index * 4))
  return bytes
}

function ownedBy(
  name: string,
  subscription: ConsumerSubscription,
): { owned: TopicPartition[]; generation: number } {
  const { userData: bytes, ownedPartitions, generationId } = subscription
  if (name === stickyAssignor.name) return bytes === null ? { owned: [], generation: -1 } : previousOf(bytes)
  const owned = ownedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  )
  // Before version 2 of the subscription only the user data has the generation.
  const isOld = generationId < 0 && bytes !== null && bytes.length === 4
  return { owned, generation: isOld ? bytes.readInt32BE() : generationId }
}

/** The user data of `sticky`. What cannot be read is a member that had nothing, as Java's assignor takes it. */
function previousOf(bytes: Buffer): { owned: TopicPartition[]; generation: number } {
  try {
    const owned: TopicPartition[] = []
    let at = 4
    for (let topics = bytes.readInt32BE(0); topics > 0; topics--) {
      const length = bytes.readInt16BE(at)
      const topic = bytes.toString('utf8', at + 2, at + 2 + length)
      at += 2 + length
      const count = bytes.readInt32BE(at)
      at += 4
      for (let index = 0; index < count; index++, at += 4)
        owned.push({ topic, partition: bytes.readInt32BE(at) })
    }
    // Version 0 ends here.
    return { owned, generation: at + 4 <= bytes.length ? bytes.readInt32BE(at) : -1 }
  } catch (error) {
    if (error instanceof RangeError) return { owned: [], generation: -1 }
    throw error
  }
}
