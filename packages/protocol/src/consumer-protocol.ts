import { versioned, type VersionedMessage } from './prefixed-message.js'
import { array, bytes, int32, string } from './schema.js'
import type { Decoded, Encodable } from './schema.js'

/**
 * What consumers tell each other through JoinGroup and SyncGroup, in groups of the protocol type `consumer`. A broker
 * passes it on as bytes and looks into it only to know which topics a group consumes.
 */

const subscription = {
  topics: array('0+', 'string'),
  userData: bytes('0+', { nullable: '0+', default: null }),
  ownedPartitions: array(
    '1+',
    {
      topic: string('1+'),
      partitions: array('1+', 'int32'),
    },
    { ignorable: true },
  ),
  generationId: int32('2+', { default: -1, ignorable: true }),
  rackId: string('3+', { nullable: '3+', default: null, ignorable: true }),
}

/** A member's metadata in JoinGroup. Version 1 has the partitions that it still holds, 2 since when, 3 its rack. */
export interface ConsumerSubscription extends Decoded<typeof subscription> {}
export type ConsumerSubscriptionInput = Encodable<typeof subscription>
export const consumerSubscription: VersionedMessage<ConsumerSubscription, ConsumerSubscriptionInput> =
  versioned({
    name: 'ConsumerProtocolSubscription',
    versions: '0-3',
    flexible: 'none',
    fields: subscription,
    grows: true,
  })

const assignment = {
  assignedPartitions: array('0+', {
    topic: string('0+'),
    partitions: array('0+', 'int32'),
  }),
  userData: bytes('0+', { nullable: '0+', default: null }),
}

/** A member's assignment in SyncGroup: the same in all versions. */
export interface ConsumerAssignment extends Decoded<typeof assignment> {}
export type ConsumerAssignmentInput = Encodable<typeof assignment>
export const consumerAssignment: VersionedMessage<ConsumerAssignment, ConsumerAssignmentInput> = versioned({
  name: 'ConsumerProtocolAssignment',
  versions: '0-3',
  flexible: 'none',
  fields: assignment,
  grows: true,
})
