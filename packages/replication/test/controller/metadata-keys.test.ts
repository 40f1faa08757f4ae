// What one broker puts another reads, perhaps of another version. What does not parse is never guessed at.

import { expect, test } from 'vitest'
import {
  brokerKey,
  controllerKey,
  decodeBrokerRegistration,
  decodeControllerRegistration,
  decodePartitionState,
  decodeTopicRegistration,
  encodeBrokerRegistration,
  encodeControllerRegistration,
  encodePartitionState,
  encodeTopicRegistration,
  partitionKey,
  ReplicationError,
  topicKey,
  type BrokerRegistration,
  type MetadataEntry,
  type PartitionState,
} from '@varve/replication'

const state: PartitionState = {
  topicId: 'b8tRS7h4TJ2Vt43Dp85v2A',
  partition: 17,
  replicas: [3, 1, 2],
  addingReplicas: [2],
  removingReplicas: [3],
  leader: -1,
  leaderEpoch: 4,
  isr: [],
  eligibleLeaderReplicas: [1],
  lastKnownLeader: 3,
  minInsyncReplicas: 2,
  partitionEpoch: 99,
}

const registration: BrokerRegistration = {
  brokerId: 2,
  brokerEpoch: 41,
  revision: 44,
  incarnationId: 'incarnation',
  directoryId: 'directory',
  rack: null,
  endpoints: { PLAINTEXT: 'localhost:9092' },
  mayHaveLostRecords: true,
  fenced: false,
  shuttingDown: true,
  offlineReplicas: ['b8tRS7h4TJ2Vt43Dp85v2A:17'],
  lease: '7',
}

test('what is put of a partition is read back, and its epoch is the revision', () => {
  const key = partitionKey(state.topicId, state.partition)
  const value = encodePartitionState(state)
  expect(decodePartitionState({ key, value, revision: 99 })).toEqual(state)
  expect(decodePartitionState({ key, value, revision: 100 }).partitionEpoch).toBe(100)
  expect(value).not.toContain('99')
})

test('a registration takes its broker epoch from where it was first put', () => {
  const key = brokerKey(2)
  const first = {
    key,
    value: encodeBrokerRegistration({ ...registration, brokerEpoch: null }),
    revision: 41,
    lease: '7',
  }
  expect(decodeBrokerRegistration(first)).toEqual({ ...registration, brokerEpoch: 41, revision: 41 })
  const later = { key, value: encodeBrokerRegistration(registration), revision: 44, lease: '7' }
  expect(decodeBrokerRegistration(later)).toEqual(registration)
})

test('a topic and the controller are read back', () => {
  const topic = {
    name: 'orders',
    topicId: 'id',
    partitions: 3,
    configs: { 'min.insync.replicas': '2' },
    revision: 5,
  }
  expect(
    decodeTopicRegistration({ key: topicKey('orders'), value: encodeTopicRegistration(topic), revision: 5 }),
  ).toEqual(topic)
  const controller = { brokerId: 1, revision: 8, lease: '9' }
  const value = encodeControllerRegistration(controller)
  expect(decodeControllerRegistration({ key: controllerKey, value, revision: 8, lease: '9' })).toEqual(
    controller,
  )
})

test.each<[string, (entry: MetadataEntry) => unknown, MetadataEntry]>([
  ['no JSON', decodePartitionState, { key: partitionKey('id', 0), value: '{', revision: 1 }],
  ['no object', decodePartitionState, { key: partitionKey('id', 0), value: 'null', revision: 1 }],
  [
    'another version',
    decodePartitionState,
    {
      key: partitionKey('id', 0),
      value: encodePartitionState(state).replace('"version":1', '"version":2'),
      revision: 1,
    },
  ],
  [
    'a replica twice',
    decodePartitionState,
    { key: partitionKey('id', 0), value: encodePartitionState({ ...state, replicas: [1, 1] }), revision: 1 },
  ],
  [
    'a key that is none',
    decodePartitionState,
    { key: '/partitions/id/x', value: encodePartitionState(state), revision: 1 },
  ],
  [
    'a registration without a lease',
    decodeBrokerRegistration,
    { key: brokerKey(2), value: encodeBrokerRegistration(registration), revision: 1 },
  ],
  [
    'a topic without partitions',
    decodeTopicRegistration,
    { key: topicKey('t'), value: '{"version":3}', revision: 1 },
  ],
])('%s is corrupt', (_, decode, entry) => {
  expect(() => decode(entry)).toThrow(
    expect.objectContaining({ code: 'VARVE_METADATA_CORRUPT', name: ReplicationError.name }),
  )
})
