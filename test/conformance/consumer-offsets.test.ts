/**
 * `__consumer_offsets` is in Kafka's formats so that Kafka's tools, and a Kafka that takes the directory over, understand it.
 * A field at the wrong place still comes back right from our own reader; Kafka's decoder is who must be asked.
 */
import { join } from 'node:path'
import { startBroker } from '@varve/broker'
import {
  consumerSubscription,
  joinGroup,
  leaveGroup,
  offsetCommit,
  offsetDelete,
  syncGroup,
} from '@varve/protocol'
import { Admin } from '@varve/client'
import { expect, test } from 'vitest'
import { RawClient } from '../../packages/broker/test/support/raw-client.js'
import { dumpLogSegments } from '../support/dump-log-segments.js'
import { kafkaToolsMissing } from '../support/kafka-tools.js'
import { temporaryDirectory } from '../support/tree.js'

test("Kafka's DumpLogSegments decodes what we keep of groups", { timeout: 120_000 }, async (context) => {
  if (kafkaToolsMissing !== null) context.skip(kafkaToolsMissing)
  const data = temporaryDirectory()
  const broker = await startBroker({ data })
  const admin = new Admin({ brokers: [broker.address] })
  const [topic] = await admin.createTopics([{ name: 'orders', partitions: 2 }])
  await admin.close()
  const client = await RawClient.connect(broker.port)
  const { memberId, generationId } = await client.request(joinGroup, 9, {
    groupId: 'readers',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 20_000,
    memberId: '',
    groupInstanceId: 'one',
    protocolType: 'consumer',
    protocols: [
      { name: 'range', metadata: consumerSubscription.encode({ topics: ['orders'], userData: null }, 0) },
    ],
  })
  const assignments = [{ memberId, assignment: Buffer.from('00000000000000000000', 'hex') }]
  await client.request(syncGroup, 5, {
    groupId: 'readers',
    generationId,
    memberId,
    groupInstanceId: 'one',
    assignments,
  })
  const commit = (version: number, partitionIndex: number, committedOffset: number, by: object) =>
    client.request(offsetCommit, version, {
      groupId: 'readers',
      ...by,
      topics: [
        { name: 'orders', partitions: [{ partitionIndex, committedOffset, committedMetadata: 'here' }] },
      ],
    })
  await commit(8, 0, 42, { memberId, generationIdOrMemberEpoch: generationId, groupInstanceId: 'one' })
  await client.request(leaveGroup, 5, { groupId: 'readers', members: [{ memberId }] })
  await commit(4, 1, 43, { retentionTimeMs: 1_000_000 })
  await client.request(offsetDelete, 0, {
    groupId: 'readers',
    topics: [{ name: 'orders', partitions: [{ partitionIndex: 1 }] }],
  })
  await client.close()
  await broker.close()

  const [dumped] = await dumpLogSegments([join(data, '__consumer_offsets-0')], {
    decoder: '--offsets-decoder',
  })
  expect(dumped!.complaints).toEqual([])
  const records = dumped!
    .lines('.log')
    .filter((line) => line.startsWith('| '))
    .map((line) => {
      const [, key, value] = /key: (\{.*\}) payload: (.*)$/.exec(line)!
      return { key: JSON.parse(key!), value: value === '<DELETE>' ? null : JSON.parse(value!) }
    })
  const groupKey = { type: '2', data: { group: 'readers' } }
  const offsetKey = (partition: number) => ({
    type: '1',
    data: { group: 'readers', topic: 'orders', partition },
  })
  expect(records).toMatchObject([
    {
      key: groupKey,
      value: {
        version: '3',
        data: {
          protocolType: 'consumer',
          generation: 1,
          protocol: 'range',
          leader: memberId,
          members: [
            {
              memberId,
              groupInstanceId: 'one',
              clientId: 'raw',
              clientHost: '/127.0.0.1',
              rebalanceTimeout: 20_000,
              sessionTimeout: 10_000,
            },
          ],
        },
      },
    },
    {
      key: offsetKey(0),
      value: {
        version: '4',
        data: { offset: 42, leaderEpoch: -1, metadata: 'here', topicId: topic!.topicId },
      },
    },
    { key: groupKey, value: { version: '3', data: { generation: 2, protocol: null, members: [] } } },
    { key: offsetKey(1), value: { version: '1', data: { offset: 43 } } },
    { key: offsetKey(1), value: null },
  ])
})
