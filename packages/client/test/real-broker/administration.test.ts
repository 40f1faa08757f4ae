// A broker creates, changes, commits and deletes, and the next question must show it.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { Admin, Producer } from '../../src/index.js'
import { created, eventually, useRealBroker } from './real-broker.js'

const broker = useRealBroker()
let admin: Admin
beforeAll(() => {
  admin = new Admin({ brokers: broker.brokers })
})
afterAll(() => admin.close())

async function fill(topic: string, partition: number, count: number): Promise<void> {
  await using producer = new Producer({ brokers: broker.brokers })
  for (let sent = 0; sent < count; sent++) void producer.send(topic, { partition, value: `v${sent}` })
  await producer.flush()
}

test('a topic from its creation to its deletion', async () => {
  await created(admin, { name: 'life', partitions: 2, configs: { 'retention.ms': '3600000' } })
  await admin.createPartitions([{ topic: 'life', count: 3 }])
  await eventually(async () => {
    const [described] = await admin.describeTopicPartitions(['life'], { pageSize: 2 })
    expect(described!.partitions.map(({ partition, isr }) => [partition, isr.length])).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ])
  })
  await expect(admin.createPartitions([{ topic: 'life', count: 1 }])).rejects.toMatchObject({
    kafkaName: 'INVALID_PARTITIONS',
  })
  await fill('life', 2, 10)
  const where = { topic: 'life', partition: 2 }
  expect(await admin.deleteRecords([{ ...where, before: 4 }])).toEqual([{ ...where, logStartOffset: 4 }])
  expect(await admin.listOffsets([{ ...where, timestamp: 'earliest' }])).toMatchObject([{ offset: 4 }])
  expect(await admin.deleteRecords([{ ...where, before: 'latest' }])).toEqual([
    { ...where, logStartOffset: 10 },
  ])
  await admin.deleteTopics(['life'])
  await eventually(() =>
    expect(admin.describeTopics(['life'])).rejects.toMatchObject({ kafkaName: 'UNKNOWN_TOPIC_OR_PARTITION' }),
  )
})

test('settings of a topic change and go back', async () => {
  await created(admin, { name: 'set', configs: { 'retention.ms': '5000' } })
  const retention = async () => {
    const [found] = await admin.describeConfigs([{ type: 'topic', name: 'set', keys: ['retention.ms'] }])
    return found!.entries[0]!
  }
  expect(await retention()).toMatchObject({ value: '5000', source: 'topic', isDefault: false, type: 'long' })
  const change = (value: string) =>
    [{ type: 'topic', name: 'set', changes: [{ operation: 'set', name: 'retention.ms', value }] }] as const
  await admin.alterConfigs(change('7000'), { validateOnly: true })
  expect(await retention()).toMatchObject({ value: '5000' })
  await admin.alterConfigs(change('7000'))
  await eventually(async () => expect(await retention()).toMatchObject({ value: '7000' }))
  await admin.alterConfigs([
    { type: 'topic', name: 'set', changes: [{ operation: 'delete', name: 'retention.ms' }] },
  ])
  await eventually(async () =>
    expect(await retention()).toMatchObject({ value: '604800000', isDefault: true }),
  )
  await expect(admin.alterConfigs(change('never'))).rejects.toMatchObject({ kafkaName: 'INVALID_CONFIG' })
})

test('the broker tells of itself', async () => {
  const { nodes, controllerId, clusterId } = await admin.describeCluster()
  expect(nodes).toMatchObject([{ host: '127.0.0.1', port: broker.port }])
  expect(controllerId).toBe(nodes[0]!.nodeId)
  expect(clusterId).toHaveLength(22)
  const name = String(controllerId)
  const [settings] = await admin.describeConfigs([{ type: 'broker', name }])
  expect(settings!.entries.map((entry) => entry.name)).toContain('log.retention.ms')
  expect(await admin.listConfigResources(['broker'])).toEqual([{ type: 'broker', name }])
  await created(admin, { name: 'lying', partitions: 1 })
  await fill('lying', 0, 3)
  const [dir] = await admin.describeLogDirs({ partitions: [{ topic: 'lying', partition: 0 }] })
  expect(dir).toMatchObject({
    nodeId: controllerId,
    error: null,
    replicas: [{ topic: 'lying', partition: 0 }],
  })
  expect(dir!.replicas[0]!.sizeBytes).toBeGreaterThan(0)
  expect(await admin.describeProducers([{ topic: 'lying', partition: 0 }])).toMatchObject([
    { topic: 'lying' },
  ])
})

test('a group without members is moved, described and forgotten', async () => {
  await created(admin, { name: 'read', partitions: 2 })
  await fill('read', 0, 5)
  expect(await admin.listGroupOffsets('movers')).toEqual([])
  await admin.alterGroupOffsets('movers', [
    { topic: 'read', partition: 0, offset: 3, metadata: 'by hand' },
    { topic: 'read', partition: 1, offset: 0 },
  ])
  expect(await admin.listGroupOffsets('movers')).toMatchObject([
    { topic: 'read', partition: 0, offset: 3, metadata: 'by hand' },
    { topic: 'read', partition: 1, offset: 0 },
  ])
  expect(await admin.listGroups({ states: ['Empty'] })).toContainEqual(
    expect.objectContaining({ groupId: 'movers', state: 'Empty' }),
  )
  expect(await admin.describeGroups(['movers'])).toMatchObject([{ state: 'Empty', members: [] }])
  await admin.deleteGroupOffsets('movers', [{ topic: 'read', partition: 1 }])
  expect(await admin.listGroupOffsets('movers')).toHaveLength(1)
  await admin.deleteGroups(['movers'])
  expect(await admin.listGroups()).not.toContainEqual(expect.objectContaining({ groupId: 'movers' }))
  await expect(admin.deleteGroups(['movers'])).rejects.toMatchObject({ kafkaName: 'GROUP_ID_NOT_FOUND' })
})
