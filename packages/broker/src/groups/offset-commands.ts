import { errors } from '@varve/protocol'
import type { KafkaError } from '../kafka-error.js'
import type { CommittedOffset } from './committed-offsets.js'
import type { Group } from './group.js'
import type { GroupEnvironment } from './group-environment.js'
import { type OffsetRecord, offsetRecord } from './group-records.js'
import type { MemberIdentity, Membership } from './membership.js'
import { errorOfStore, type Rebalances } from './rebalance.js'

export interface CommitRequest extends MemberIdentity {
  /** −1 of somebody who commits without being a member. */
  readonly generationId: number
  /** How long the offsets are to be kept, in ms, of clients that ask for it (OffsetCommit before version 5); else null. */
  readonly retentionMs: number | null
  readonly offsets: readonly OffsetToCommit[]
}

export interface OffsetToCommit {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** A topic that is no more; its name may be another's already. */
export interface DeletedTopic {
  readonly name: string
  readonly id: string
}

/** What is done with the offsets of a group. */
export class OffsetCommands {
  readonly #environment: GroupEnvironment
  readonly #membership: Membership
  readonly #rebalances: Rebalances

  constructor(environment: GroupEnvironment, membership: Membership, rebalances: Rebalances) {
    this.#environment = environment
    this.#membership = membership
    this.#rebalances = rebalances
  }

  /**
   * Stores offsets. Commits of a group do not wait for each other; they take effect in the order in which they came.
   *
   * @returns an error for each offset
   */
  async commit(group: Group, request: CommitRequest): Promise<KafkaError[]> {
    const { offsets, retentionMs } = request
    const refused = this.#commitError(group, request)
    if (refused !== null) return offsets.map(() => refused)
    const { clock, options } = this.#environment
    const commitTimestamp = clock.now()
    const expireTimestamp = retentionMs === null ? null : commitTimestamp + retentionMs
    const results: KafkaError[] = []
    const records: OffsetRecord[] = []
    for (const { topic, topicId, partition, offset, leaderEpoch, metadata } of offsets) {
      if (metadata.length > options.offsetMetadataMaxBytes) {
        results.push(errors.OFFSET_METADATA_TOO_LARGE)
        continue
      }
      const committed = { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, topicId }
      results.push(errors.NONE)
      records.push(offsetRecord(group.groupId, topic, partition, committed))
    }
    if (records.length === 0) return results
    for (const { topic, partition } of records) group.offsets.begin(topic, partition)
    try {
      await this.#environment.store(records)
      return results
    } catch (error) {
      const failed = isTooLarge(error) ? errors.INVALID_COMMIT_OFFSET_SIZE : errorOfStore(error)
      return results.map((result) => (result === errors.NONE ? failed : result))
    } finally {
      for (const { topic, partition } of records) group.offsets.settle(topic, partition)
    }
  }

  /**
   * Forgets offsets, and those of commits that are on their way.
   *
   * @returns an error for each, or one for the whole request
   */
  async delete(group: Group, partitions: readonly TopicPartition[]): Promise<KafkaError[] | KafkaError> {
    if (group.state !== 'Empty' && !group.isConsumerGroup) return errors.NON_EMPTY_GROUP
    const results = partitions.map(({ topic }) =>
      group.isSubscribedTo(topic) ? errors.GROUP_SUBSCRIBED_TO_TOPIC : errors.NONE,
    )
    const there = partitions.filter(
      ({ topic, partition }, index) =>
        results[index] === errors.NONE && group.offsets.partitions(topic).includes(partition),
    )
    if (there.length === 0) return results
    try {
      await this.#environment.store(
        there.map(({ topic, partition }) => offsetRecord(group.groupId, topic, partition, null)),
      )
      return results
    } catch (error) {
      return errorOfStore(error)
    }
  }

  /** The records that forget every offset. */
  tombstones(group: Group): OffsetRecord[] {
    return group.offsets
      .topics()
      .flatMap((topic) =>
        group.offsets
          .partitions(topic)
          .map((partition) => offsetRecord(group.groupId, topic, partition, null)),
      )
  }

  /** The records that forget what was committed for a topic, and not for a later one of its name. */
  tombstonesOf(group: Group, { name, id }: DeletedTopic): OffsetRecord[] {
    return group.offsets
      .partitions(name)
      .filter((partition) => [undefined, null, id].includes(group.offsets.get(name, partition)?.topicId))
      .map((partition) => offsetRecord(group.groupId, name, partition, null))
  }

  /**
   * The records that forget what has been kept for its time (KIP-211): of a group without members, since it has none; of
   * one that was never a group of members, or whose members do not read the topic, since the commit.
   */
  expired(group: Group, now: number): OffsetRecord[] {
    const since = expiresSince(group)
    if (since === null) return []
    const retentionMs = this.#environment.options.offsetsRetentionMinutes * 60_000
    const records: OffsetRecord[] = []
    for (const [topic, partition, committed] of group.offsets.entries()) {
      if (group.isSubscribedTo(topic) || group.offsets.isPending(topic, partition)) continue
      const { expireTimestamp } = committed
      const isOver = expireTimestamp === null ? now - since(committed) >= retentionMs : now >= expireTimestamp
      if (isOver) records.push(offsetRecord(group.groupId, topic, partition, null))
    }
    return records
  }

  #commitError(group: Group, request: CommitRequest): KafkaError | null {
    const { generationId, memberId, groupInstanceId } = request
    const isMember = generationId >= 0 || memberId !== '' || groupInstanceId !== null
    if (group.state === 'Empty' && generationId < 0) return null
    if (!isMember) return errors.UNKNOWN_MEMBER_ID
    const error = this.#membership.memberError(group, request, 'OffsetCommit')
    if (error !== null) return error
    if (generationId !== group.generationId) return errors.ILLEGAL_GENERATION
    if (group.state === 'CompletingRebalance') return errors.REBALANCE_IN_PROGRESS
    this.#rebalances.renewSession(group.members.get(memberId)!)
    return null
  }
}

/** From when on an offset's retention counts, or null if none of the group's expires now. */
function expiresSince(group: Group): ((committed: CommittedOffset) => number) | null {
  const sinceCommit = ({ commitTimestamp }: CommittedOffset): number => commitTimestamp
  if (group.protocolType === null) return sinceCommit
  if (group.state === 'Empty') {
    const { stateSince } = group
    return stateSince === null ? sinceCommit : () => stateSince
  }
  return group.state === 'Stable' && group.knowsSubscriptions ? sinceCommit : null
}

function isTooLarge(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'VARVE_BATCH_TOO_LARGE'
}
