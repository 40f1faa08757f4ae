import { recordKey, type RecordKey, versioned, type VersionedMessage } from './prefixed-message.js'
import { array, bytes, int32, int64, string, uuid } from './schema.js'
import type { Decoded, Encodable } from './schema.js'

/**
 * What the coordinator of groups keeps in `__consumer_offsets`, a compacted topic: the positions of groups, and their
 * members. A key without a value means that the position, or the group, is gone.
 */

const position = {
  group: string('0+'),
  topic: string('0+'),
  partition: int32('0+'),
}

/** Which position it is. */
export interface OffsetCommitKey extends Decoded<typeof position> {}
export const offsetCommitKey: RecordKey<OffsetCommitKey> = recordKey({
  type: 1,
  name: 'OffsetCommitKey',
  fields: position,
})

/** The same in topics of Kafka before 0.9.0, whose values are version 0 of today's. Nobody writes it any more. */
export const legacyOffsetCommitKey: RecordKey<OffsetCommitKey> = recordKey({
  type: 0,
  name: 'LegacyOffsetCommitKey',
  fields: position,
})

const committed = {
  offset: int64('0+'),
  leaderEpoch: int32('3+', { default: -1, ignorable: true }),
  metadata: string('0+'),
  commitTimestamp: int64('0+'),
  expireTimestamp: int64('1', { default: -1, ignorable: true }),
  topicId: uuid('4+', { tag: 0, ignorable: true }),
}

/**
 * The position. Kafka 4.4 writes version 4, and version 1 where the client named a time at which the position expires
 * (OffsetCommit before version 5), which no other version has.
 */
export interface OffsetCommitValue extends Decoded<typeof committed> {}
export type OffsetCommitValueInput = Encodable<typeof committed>
export const offsetCommitValue: VersionedMessage<OffsetCommitValue, OffsetCommitValueInput> = versioned({
  name: 'OffsetCommitValue',
  versions: '0-4',
  flexible: '4+',
  fields: committed,
})

const group = { group: string('0+') }

/** Which classic group it is. */
export interface GroupMetadataKey extends Decoded<typeof group> {}
export const groupMetadataKey: RecordKey<GroupMetadataKey> = recordKey({
  type: 2,
  name: 'GroupMetadataKey',
  fields: group,
})

const generation = {
  protocolType: string('0+'),
  generation: int32('0+'),
  protocol: string('0+', { nullable: '0+' }),
  leader: string('0+', { nullable: '0+' }),
  currentStateTimestamp: int64('2+', { default: -1, ignorable: true }),
  members: array('0+', {
    memberId: string('0+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null, ignorable: true }),
    clientId: string('0+'),
    clientHost: string('0+'),
    rebalanceTimeout: int32('1+', { default: -1, ignorable: true }),
    sessionTimeout: int32('0+'),
    subscription: bytes('0+'),
    assignment: bytes('0+'),
  }),
}

/** The members of a classic group's generation, times in milliseconds. Kafka 4.4 writes version 3, which older ones read too. */
export interface GroupMetadataValue extends Decoded<typeof generation> {}
export type GroupMetadataValueInput = Encodable<typeof generation>
export const groupMetadataValue: VersionedMessage<GroupMetadataValue, GroupMetadataValueInput> = versioned({
  name: 'GroupMetadataValue',
  versions: '0-4',
  flexible: '4+',
  fields: generation,
})
