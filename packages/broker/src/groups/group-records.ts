import {
  groupMetadataKey,
  groupMetadataValue,
  type GroupMetadataValue,
  type GroupMetadataValueInput,
  legacyOffsetCommitKey,
  offsetCommitKey,
  offsetCommitValue,
  recordTypeOf,
  ZERO_UUID,
} from '@varve/protocol'
import type { RecordInput } from '@varve/records'
import type { CommittedOffset } from './committed-offsets.js'
import type { Group } from './group.js'
import type { GroupMember } from './group-member.js'

/** What a coordinator keeps, as `__consumer_offsets` holds it: in Kafka's own formats, so that Kafka's tools read it. */
export type GroupRecord = OffsetRecord | GroupMetadataRecord

/** An offset that was committed, or with null that it is gone. */
export interface OffsetRecord {
  readonly kind: 'offset'
  readonly groupId: string
  readonly topic: string
  readonly partition: number
  readonly committed: CommittedOffset | null
}

/** The members of a generation, or with null that the group is gone. */
export interface GroupMetadataRecord {
  readonly kind: 'group'
  readonly groupId: string
  readonly value: GroupMetadataValueInput | null
}

/** What Kafka 4.4 writes. An offset with a time of its own to expire at needs the one version that has a place for it. */
const offsetVersion = 4
const expiringOffsetVersion = 1
const groupVersion = 3

export function offsetRecord(
  groupId: string,
  topic: string,
  partition: number,
  committed: CommittedOffset | null,
): OffsetRecord {
  return { kind: 'offset', groupId, topic, partition, committed }
}

export function groupTombstone(groupId: string): GroupMetadataRecord {
  return { kind: 'group', groupId, value: null }
}

/** The group as it is, or as it would be with other members or assignments. */
export function groupMetadataRecord(
  group: Group,
  members: Iterable<GroupMember> = group.members.values(),
  assignmentOf: (member: GroupMember) => Buffer = ({ assignment }) => assignment,
  leader: string | null = group.leaderId,
): GroupMetadataRecord {
  const value = {
    protocolType: group.protocolType ?? '',
    generation: group.generationId,
    protocol: group.protocolName,
    leader,
    currentStateTimestamp: group.stateSince ?? -1,
    members: Array.from(members, (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: member.metadataFor(group.protocolName),
      assignment: assignmentOf(member),
    })),
  }
  return { kind: 'group', groupId: group.groupId, value }
}

/** @param timestamp of the record, in ms since the epoch */
export function encodeRecord(record: GroupRecord, timestamp: number): RecordInput {
  if (record.kind === 'group') {
    const key = groupMetadataKey.encode({ group: record.groupId })
    const value = record.value === null ? null : groupMetadataValue.encode(record.value, groupVersion)
    return { key, value, timestamp }
  }
  const { groupId: group, topic, partition, committed } = record
  return {
    key: offsetCommitKey.encode({ group, topic, partition }),
    value: committed === null ? null : encodeOffset(committed),
    timestamp,
  }
}

function encodeOffset(committed: CommittedOffset): Buffer {
  const { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, topicId } = committed
  const value = { offset, metadata, commitTimestamp }
  return expireTimestamp === null
    ? offsetCommitValue.encode({ ...value, leaderEpoch, topicId: topicId ?? ZERO_UUID }, offsetVersion)
    : offsetCommitValue.encode({ ...value, expireTimestamp }, expiringOffsetVersion)
}

/**
 * A record of `__consumer_offsets`, or null for one of a kind that is not kept here, such as the newer groups' of Kafka.
 *
 * @throws ProtocolError when it is one of these and cannot be decoded
 */
export function decodeRecord(key: Buffer, value: Buffer | null): GroupRecord | null {
  switch (recordTypeOf(key)) {
    case legacyOffsetCommitKey.type:
      return decodeOffset(legacyOffsetCommitKey.decode(key), value)
    case offsetCommitKey.type:
      return decodeOffset(offsetCommitKey.decode(key), value)
    case groupMetadataKey.type: {
      const { group } = groupMetadataKey.decode(key)
      return { kind: 'group', groupId: group, value: value === null ? null : decodeGroup(value) }
    }
    default:
      return null
  }
}

function decodeOffset(
  { group, topic, partition }: { group: string; topic: string; partition: number },
  value: Buffer | null,
): OffsetRecord {
  if (value === null) return offsetRecord(group, topic, partition, null)
  const { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, topicId } =
    offsetCommitValue.decode(value)
  return offsetRecord(group, topic, partition, {
    offset,
    leaderEpoch,
    metadata,
    commitTimestamp,
    expireTimestamp: expireTimestamp === -1 ? null : expireTimestamp,
    topicId: topicId === ZERO_UUID ? null : topicId,
  })
}

/** The record's buffers are views of a batch that is read and dropped. */
function decodeGroup(bytes: Buffer): GroupMetadataValue {
  const value = groupMetadataValue.decode(bytes)
  for (const member of value.members) {
    member.subscription = Buffer.from(member.subscription)
    member.assignment = Buffer.from(member.assignment)
  }
  return value
}
