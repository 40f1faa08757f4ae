import { offsetCommit, offsetFetch, type OffsetFetchResponse } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Connection } from './connection.js'
import { KafkaError } from './kafka-error.js'
import { byTopic, partitionName, type TopicPartition } from './topic-partition.js'

/** Where a group goes on in a partition. */
export interface GroupOffset extends TopicPartition {
  /** The offset of the next record to read. */
  readonly offset: number
  /** Of the last record that was read, −1 where that is not known. */
  readonly leaderEpoch?: number
  /** Any text that was committed beside the offset. */
  readonly metadata?: string | null
}

export interface CommittedOffset extends TopicPartition {
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
}

/** Who commits: a member of a group, or nobody in particular (generation −1, no member id). */
export interface Committer {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
}

export interface RequestLimits {
  signal?: AbortSignal
  timeoutMs?: number
}

// From version 10 on topics are named by id alone, which says nothing about topics that have been deleted.
const LAST_WITH_NAMES = 9
const GROUPS_FROM_VERSION = 8
const STABLE_FROM_VERSION = 7
const INSTANCE_FROM_VERSION = 7
const RETENTION_VERSIONS = { from: 2, to: 4 }

/** Without an offset committed. */
const NONE = -1

export function simpleCommitter(groupId: string): Committer {
  return { groupId, generationId: -1, memberId: '', groupInstanceId: null }
}

/**
 * What the group has committed, of all partitions for null; partitions without a commit are left out.
 *
 * @param requireStable refuse to answer (UNSTABLE_OFFSET_COMMIT) while a transaction may still change an offset
 * @throws KafkaError of the group, or of the first partition that has one
 */
export async function fetchCommitted(
  connection: Connection,
  groupId: string,
  partitions: readonly TopicPartition[] | null,
  requireStable: boolean,
  limits: RequestLimits = {},
): Promise<CommittedOffset[]> {
  const version = connection.versionOf(offsetFetch, LAST_WITH_NAMES)
  const topics =
    partitions === null
      ? null
      : [...byTopic(partitions)].map(([name, found]) => ({
          name,
          partitionIndexes: found.map(({ partition }) => partition),
        }))
  const body = {
    ...(version >= GROUPS_FROM_VERSION ? { groups: [{ groupId, topics }] } : { groupId, topics }),
    ...(version >= STABLE_FROM_VERSION ? { requireStable } : {}),
  }
  const response = await connection.request(offsetFetch, body, { ...limits, maxVersion: LAST_WITH_NAMES })
  const answer = version >= GROUPS_FROM_VERSION ? groupAnswer(response, groupId) : response
  const what = `Looking up the committed offsets of group '${groupId}'`
  if (answer.errorCode !== 0) throw new KafkaError(answer.errorCode, what)
  const found: CommittedOffset[] = []
  for (const { name: topic, partitions: answers } of answer.topics) {
    for (const { partitionIndex, committedOffset, committedLeaderEpoch, metadata, errorCode } of answers) {
      if (errorCode !== 0) throw new KafkaError(errorCode, `${what} for ${topic}-${partitionIndex}`)
      if (committedOffset === NONE) continue
      found.push({
        topic,
        partition: partitionIndex,
        offset: committedOffset,
        leaderEpoch: committedLeaderEpoch,
        metadata: metadata ?? '',
      })
    }
  }
  return found
}

/** @throws KafkaError of the first partition that has one, with an AggregateError as its `cause` where several have. */
export async function commitOffsets(
  connection: Connection,
  committer: Committer,
  offsets: readonly GroupOffset[],
  limits: RequestLimits = {},
): Promise<void> {
  const { groupId, generationId, memberId, groupInstanceId } = committer
  const version = connection.versionOf(offsetCommit, LAST_WITH_NAMES)
  if (groupInstanceId !== null && version < INSTANCE_FROM_VERSION) {
    const problem = `The broker at ${connection.address} is too old for static members (groupInstanceId)`
    throw new VarveError('VARVE_UNSUPPORTED_VERSION', problem)
  }
  const isRetentionAsked = version >= RETENTION_VERSIONS.from && version <= RETENTION_VERSIONS.to
  const body = {
    groupId,
    generationIdOrMemberEpoch: generationId,
    memberId,
    ...(version >= INSTANCE_FROM_VERSION ? { groupInstanceId } : {}),
    ...(isRetentionAsked ? { retentionTimeMs: -1 } : {}),
    topics: [...byTopic(offsets)].map(([name, partitions]) => ({
      name,
      partitions: partitions.map(({ partition, offset, leaderEpoch, metadata }) => ({
        partitionIndex: partition,
        committedOffset: offset,
        committedLeaderEpoch: leaderEpoch ?? -1,
        committedMetadata: metadata ?? '',
      })),
    })),
  }
  const response = await connection.request(offsetCommit, body, { ...limits, maxVersion: LAST_WITH_NAMES })
  const answers = new Map(
    response.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, errorCode }) => [`${name}-${partitionIndex}`, errorCode]),
    ),
  )
  const failures: VarveError[] = []
  for (const where of offsets) {
    const what = `Committing offset ${where.offset} of ${partitionName(where)} for group '${groupId}'`
    const errorCode = answers.get(partitionName(where))
    if (errorCode === undefined) {
      const problem = `${what} was not answered: the broker's response to OffsetCommit does not name the partition`
      failures.push(new VarveError('VARVE_INVALID_RESPONSE', problem))
    } else if (errorCode !== 0) failures.push(new KafkaError(errorCode, what))
  }
  if (failures.length > 1) failures[0]!.cause = new AggregateError(failures, 'Several offsets were refused')
  if (failures[0] !== undefined) throw failures[0]
}

function groupAnswer(response: OffsetFetchResponse, groupId: string): OffsetFetchResponse['groups'][number] {
  const answer = response.groups.find((group) => group.groupId === groupId)
  if (answer !== undefined) return answer
  throw new VarveError(
    'VARVE_INVALID_RESPONSE',
    `The broker's response to OffsetFetch does not name group '${groupId}'`,
  )
}
