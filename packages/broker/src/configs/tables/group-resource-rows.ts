import type { GroupConfigRow } from '../config-definition.js'

/**
 * Configurations of a single group. All of them are of protocols that are not served here; a classic group has none. Names,
 * types and defaults are those of Apache Kafka 4.4.
 */
// oxfmt-ignore
export const groupResourceRows: readonly GroupConfigRow[] = [
  ['consumer.assignment.interval.ms', 'INT', '1000', 'group.consumer.assignment.interval.ms', 'How long assignments of the group are at least apart.'],
  ['consumer.heartbeat.interval.ms', 'INT', '5000', 'group.consumer.heartbeat.interval.ms', 'How often members send heartbeats.'],
  ['consumer.session.timeout.ms', 'INT', '45000', 'group.consumer.session.timeout.ms', 'After how long without a heartbeat a member is out.'],
  ['errors.deadletterqueue.copy.record.enable', 'BOOLEAN', 'false', null, 'Whether a dead letter has the record with it.'],
  ['errors.deadletterqueue.topic.name', 'STRING', '', null, "The topic of the group's dead letters."],
  ['share.assignment.interval.ms', 'INT', '1000', 'group.share.assignment.interval.ms', 'How long assignments of the share group are at least apart.'],
  ['share.auto.offset.reset', 'STRING', 'latest', null, 'Where a share group begins to read.'],
  ['share.delivery.count.limit', 'INT', '5', 'group.share.delivery.count.limit', 'How often a record is delivered at most.'],
  ['share.heartbeat.interval.ms', 'INT', '5000', 'group.share.heartbeat.interval.ms', 'How often members of the share group send heartbeats.'],
  ['share.isolation.level', 'STRING', 'read_uncommitted', null, 'Whether a share group reads what is not committed.'],
  ['share.partition.max.record.locks', 'INT', '2000', 'group.share.partition.max.record.locks', 'How many records of a partition may be acquired at once.'],
  ['share.record.lock.duration.ms', 'INT', '30000', 'group.share.record.lock.duration.ms', 'For how long an acquired record is locked.'],
  ['share.renew.acknowledge.enable', 'BOOLEAN', 'true', null, 'Whether a member may lock an acquired record for longer.'],
  ['share.session.timeout.ms', 'INT', '45000', 'group.share.session.timeout.ms', 'After how long without a heartbeat a member of the share group is out.'],
  ['streams.assignment.interval.ms', 'INT', '1000', 'group.streams.assignment.interval.ms', 'How long assignments of the streams group are at least apart.'],
  ['streams.assignor.name', 'STRING', 'sticky', 'group.streams.assignors', 'The assignor of the streams group.'],
  ['streams.heartbeat.interval.ms', 'INT', '5000', 'group.streams.heartbeat.interval.ms', 'How often members of the streams group send heartbeats.'],
  ['streams.initial.rebalance.delay.ms', 'INT', '3000', 'group.streams.initial.rebalance.delay.ms', 'How long the first rebalance of the streams group waits for more members.'],
  ['streams.num.standby.replicas', 'INT', '0', 'group.streams.num.standby.replicas', "Standby replicas of the streams group's state."],
  ['streams.rack.aware.assignment.tags', 'LIST', '', 'group.streams.rack.aware.assignment.tags', 'Tags of clients by which standby replicas are spread.'],
  ['streams.session.timeout.ms', 'INT', '45000', 'group.streams.session.timeout.ms', 'After how long without a heartbeat a member of the streams group is out.'],
]
