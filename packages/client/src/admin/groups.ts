import {
  consumerAssignment,
  consumerGroupDescribe,
  consumerSubscription,
  deleteGroups,
  describeGroups,
  errors,
  listGroups,
  ProtocolError,
  type ConsumerGroupDescribeResponse,
  type DescribeGroupsResponse,
} from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Connection } from '../connection.js'
import { KafkaError } from '../kafka-error.js'
import type { TopicPartition } from '../topic-partition.js'
import { allOrThrow, inOrder, type AdminRequests, type Outcome } from './requests.js'

/** Kafka's names of a group's states, e.g. `Stable`, `Empty`, `PreparingRebalance`; empty where the broker is too old to say. */
export type GroupState = string

export interface ListedGroup {
  readonly groupId: string
  /** `consumer` for groups of consumers; empty for a group that only ever had offsets committed. */
  readonly protocolType: string
  readonly state: GroupState
  /** `classic`, `consumer` (KIP-848), `share` …; empty where the broker is too old to say. */
  readonly type: string
}

export interface GroupFilter {
  /** Only groups in one of these states, e.g. `['Stable', 'Empty']`. */
  states?: readonly string[]
  /** Only groups of these types (KIP-848). */
  types?: readonly string[]
}

export interface GroupMember {
  readonly memberId: string
  /** Of a static member (KIP-345), else null. */
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** The topics that it subscribes to; empty where its protocol is not that of consumers, or cannot be read. */
  readonly topics: readonly string[]
  /** What it is to read now. */
  readonly assignment: readonly TopicPartition[]
}

export interface GroupDescription {
  readonly groupId: string
  readonly state: GroupState
  readonly type: 'classic' | 'consumer'
  readonly protocolType: string
  /** The assignor, e.g. `range`; empty while there is none. */
  readonly assignor: string
  readonly coordinator: number
  readonly members: readonly GroupMember[]
}

const STATES_FROM_VERSION = 4
const TYPES_FROM_VERSION = 5
const UNAUTHORISED_OPERATIONS = { includeAuthorizedOperations: false }

export async function list(
  requests: AdminRequests,
  { states = [], types = [] }: GroupFilter,
  signal: AbortSignal | undefined,
): Promise<ListedGroup[]> {
  const nodes = await requests.anywhere(signal, async () => {
    await requests.cluster.refresh([], { signal })
    return requests.cluster.nodeIds
  })
  const outcomes = await requests.atNodes(
    nodes.map((nodeId) => ({ nodeId })),
    signal,
    async (connection) => {
      const version = connection.versionOf(listGroups)
      if (types.length > 0 && version < TYPES_FROM_VERSION) throw tooOld(connection, 'types of groups')
      const body = {
        ...(version >= STATES_FROM_VERSION ? { statesFilter: states } : {}),
        ...(version >= TYPES_FROM_VERSION ? { typesFilter: types } : {}),
      }
      if (states.length > 0 && version < STATES_FROM_VERSION) throw tooOld(connection, 'states of groups')
      const { errorCode, groups } = await connection.request(listGroups, body, { signal })
      if (errorCode !== 0) return [new KafkaError(errorCode, `Listing the groups of ${connection.address}`)]
      return [
        groups.map(({ groupId, protocolType, groupState, groupType }): ListedGroup => ({
          groupId,
          protocolType,
          state: groupState,
          type: groupType,
        })),
      ]
    },
  )
  return allOrThrow(outcomes)
    .flat()
    .sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
}

export async function describe(
  requests: AdminRequests,
  groupIds: readonly string[],
  signal: AbortSignal | undefined,
): Promise<GroupDescription[]> {
  return allOrThrow(
    await requests.atCoordinators(groupIds, signal, async (connection, asked) => {
      const nodeId = requests.cluster.nodeAt(connection)
      const { groups } = await connection.request(
        describeGroups,
        { groups: asked, ...(connection.versionOf(describeGroups) >= 3 ? UNAUTHORISED_OPERATIONS : {}) },
        { signal },
      )
      const outcomes = inOrder(asked, groups, byGroupId, 'DescribeGroups', (group) =>
        classicGroup(group, nodeId),
      )
      return withConsumerGroups(connection, asked, outcomes, nodeId, signal)
    }),
  )
}

export async function remove(
  requests: AdminRequests,
  groupIds: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const outcomes = await requests.atCoordinators(groupIds, signal, async (connection, asked) => {
    const { results } = await connection.request(deleteGroups, { groupsNames: asked }, { signal })
    return inOrder(asked, results, byGroupId, 'DeleteGroups', ({ groupId, errorCode, errorMessage }) =>
      errorCode === 0 ? undefined : new KafkaError(errorCode, `Deleting group '${groupId}'`, errorMessage),
    )
  })
  allOrThrow(outcomes)
}

const byGroupId = {
  item: (groupId: string): string => groupId,
  answer: ({ groupId }: { groupId: string }): string => groupId,
}

/** What DescribeGroups does not know may be a group of the consumer protocol, which another request tells about. */
async function withConsumerGroups(
  connection: Connection,
  asked: readonly string[],
  outcomes: Array<Outcome<GroupDescription>>,
  nodeId: number,
  signal: AbortSignal | undefined,
): Promise<Array<Outcome<GroupDescription>>> {
  if (!connection.versions.has(consumerGroupDescribe.key)) return outcomes
  const unknown = asked.filter((_, index) => isUnknown(outcomes[index]!))
  if (unknown.length === 0) return outcomes
  const { groups } = await connection.request(
    consumerGroupDescribe,
    { groupIds: unknown, ...UNAUTHORISED_OPERATIONS },
    { signal },
  )
  const found = new Map(
    groups.filter(({ errorCode }) => errorCode === 0).map((group) => [group.groupId, group]),
  )
  return outcomes.map((outcome, index) => {
    const group = isUnknown(outcome) ? found.get(asked[index]!) : undefined
    return group === undefined ? outcome : consumerGroup(group, nodeId)
  })
}

function isUnknown(outcome: Outcome<GroupDescription>): boolean {
  return outcome instanceof KafkaError && outcome.kafkaCode === errors.GROUP_ID_NOT_FOUND.code
}

function classicGroup(
  group: DescribeGroupsResponse['groups'][number],
  coordinator: number,
): Outcome<GroupDescription> {
  const { groupId, groupState, protocolType, protocolData } = group
  const what = `Describing group '${groupId}'`
  if (group.errorCode !== 0) return new KafkaError(group.errorCode, what, group.errorMessage)
  // How brokers before version 6 say that there is no such group.
  if (groupState === 'Dead') return new KafkaError(errors.GROUP_ID_NOT_FOUND.code, what)
  const members = group.members.map((member): GroupMember => {
    const { memberId, groupInstanceId, clientId, clientHost, memberMetadata, memberAssignment } = member
    const isConsumer = protocolType === 'consumer'
    return {
      memberId,
      groupInstanceId,
      clientId,
      clientHost,
      topics: (isConsumer ? decoded(consumerSubscription, memberMetadata)?.topics : undefined) ?? [],
      assignment: isConsumer ? assignmentOf(memberAssignment) : [],
    }
  })
  return {
    groupId,
    state: groupState,
    type: 'classic',
    protocolType,
    assignor: protocolData,
    coordinator,
    members,
  }
}

function assignmentOf(bytes: Buffer): TopicPartition[] {
  const { assignedPartitions = [] } = decoded(consumerAssignment, bytes) ?? {}
  return assignedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  )
}

/**
 * What a member or its leader wrote, which no broker checks; undefined where there is nothing yet, or nothing that can be
 * read: the others are to be described all the same.
 */
function decoded<T>({ decode }: { decode(bytes: Buffer): T }, bytes: Buffer): T | undefined {
  if (bytes.length === 0) return undefined
  try {
    return decode(bytes)
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

function consumerGroup(
  group: ConsumerGroupDescribeResponse['groups'][number],
  coordinator: number,
): GroupDescription {
  const members = group.members.map((member): GroupMember => ({
    memberId: member.memberId,
    groupInstanceId: member.instanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    topics: member.subscribedTopicNames,
    assignment: member.assignment.topicPartitions.flatMap(({ topicName, partitions }) =>
      partitions.map((partition) => ({ topic: topicName, partition })),
    ),
  }))
  const { groupId, groupState, assignorName } = group
  return {
    groupId,
    state: groupState,
    type: 'consumer',
    protocolType: 'consumer',
    assignor: assignorName,
    coordinator,
    members,
  }
}

function tooOld(connection: Connection, what: string): VarveError {
  return new VarveError(
    'VARVE_UNSUPPORTED_VERSION',
    `The broker at ${connection.address} is too old to be asked for ${what}`,
  )
}
