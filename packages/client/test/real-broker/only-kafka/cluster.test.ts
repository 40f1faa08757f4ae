// Three brokers, of which one is killed in the middle of things. A client that was only ever tried with one broker takes every
// answer for the leader's, and its broker for the cluster.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, inject, onTestFinished, test } from 'vitest'
import { startKafkaCluster, type RunningKafkaCluster } from '../../../../../scripts/kafka-broker.mjs'
import { cache } from '../../../../../scripts/paths.mjs'
import { Admin, Consumer, Producer, type NewTopic } from '../../../src/index.js'
import { created, eventually } from '../real-broker.js'

const provided = inject('kafka')
let kafka: RunningKafkaCluster | undefined
let admin: Admin
let directory: string

beforeEach((context) => {
  if (provided !== undefined && 'missing' in provided) context.skip(provided.missing)
})

beforeAll(async () => {
  if (provided === undefined || 'missing' in provided) return
  mkdirSync(cache, { recursive: true })
  directory = mkdtempSync(join(cache, 'kafka-cluster-'))
  kafka = await startKafkaCluster({
    directory,
    racks: ['a', 'b', 'c'],
    properties: {
      'min.insync.replicas': 2,
      'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
      // A broker that is killed is to be missed soon.
      'broker.session.timeout.ms': 2_000,
      'broker.heartbeat.interval.ms': 500,
    },
  })
  admin = new Admin({ brokers: kafka.brokers })
}, 120_000)

afterAll(async () => {
  await admin?.close()
  await kafka?.stop()
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
})

async function createdOn(name: string, ...replicas: number[][]): Promise<void> {
  const topic: NewTopic = { name, replicas }
  // Brokers register one after the other.
  await eventually(async () => expect((await admin.describeCluster()).nodes).toHaveLength(3))
  await created(admin, topic)
}

async function fill(topic: string, count: number): Promise<void> {
  await using producer = new Producer({ brokers: kafka!.brokers })
  for (let sent = 0; sent < count; sent++) void producer.send(topic, { partition: 0, value: `v${sent}` })
  await producer.flush()
}

test('replicas are moved, told apart and equal, and leaders elected', { timeout: 60_000 }, async () => {
  await createdOn('moved', [1, 2])
  await fill('moved', 100)
  const where = { topic: 'moved', partition: 0 }
  const { nodes } = await admin.describeCluster({ includeFenced: true })
  expect(nodes.map(({ nodeId, rack, isFenced }) => [nodeId, rack, isFenced])).toEqual([
    [1, 'a', false],
    [2, 'b', false],
    [3, 'c', false],
  ])
  const outcomes = await admin.alterPartitionReassignments([
    { ...where, replicas: [3, 1] },
    { topic: 'moved', partition: 9, replicas: [1] },
  ])
  expect(outcomes.map(({ error }) => error?.kafkaName)).toEqual([undefined, 'UNKNOWN_TOPIC_OR_PARTITION'])
  await eventually(async () => {
    expect(await admin.listPartitionReassignments()).toEqual([])
    const [topic] = await admin.describeTopicPartitions(['moved'])
    expect(topic!.partitions[0]).toMatchObject({ replicas: [3, 1], offlineReplicas: [] })
    expect([...topic!.partitions[0]!.isr].sort()).toEqual([1, 3])
  })
  const none = await admin.alterPartitionReassignments([{ ...where, replicas: null }])
  expect(none[0]!.error).toMatchObject({ kafkaName: 'NO_REASSIGNMENT_IN_PROGRESS' })
  await admin.electLeaders('preferred', [where])
  const again = await admin.electLeaders('preferred', [where, { topic: 'moved', partition: 9 }])
  expect(again).toMatchObject([
    { isElected: false, error: null },
    { isElected: false, error: { kafkaName: 'UNKNOWN_TOPIC_OR_PARTITION' } },
  ])
  await eventually(async () => {
    const reads = [1, 3].map((nodeId) => admin.readReplica({ ...where, nodeId, offset: 0 }))
    const [first, third] = await Promise.all(reads)
    expect(first!.highWatermark).toBe(100)
    expect(first!.records.equals(third!.records)).toBe(true)
  })
  const ends = [{ ...where, timestamp: 'latest' }] as const
  expect(await admin.listOffsets(ends, { replicaOn: 1 })).toMatchObject([{ offset: 100 }])
  await expect(admin.unregisterBroker(9)).rejects.toMatchObject({ kafkaName: 'BROKER_ID_NOT_REGISTERED' })
})

test('a consumer reads from the replica on its own rack', { timeout: 60_000 }, async () => {
  await createdOn('near', [1, 2])
  await fill('near', 20)
  const consumer = new Consumer({ brokers: kafka!.brokers, rack: 'b' })
  onTestFinished(() => consumer.close())
  consumer.assign([{ topic: 'near', partition: 0, offset: 0, end: 20 }])
  const values: string[] = []
  for await (const { value } of consumer) values.push(`${value}`)
  expect(values).toEqual(Array.from({ length: 20 }, (_, index) => `v${index}`))
})

test(
  'a leader is killed, and every record is written once and read once, in order',
  { timeout: 90_000 },
  async () => {
    await createdOn('survives', [3, 1, 2])
    await createdOn('survives-too', [1, 3, 2])
    const producer = new Producer({ brokers: kafka!.brokers, lingerMs: 1, batchBytes: 2_000 })
    onTestFinished(() => producer.close({ discard: true }))
    const consumer = new Consumer({ brokers: kafka!.brokers })
    onTestFinished(() => consumer.close())
    const topics = ['survives', 'survives-too']
    consumer.assign(topics.map((topic) => ({ topic, partition: 0, offset: 0 })))
    const count = 3_000
    const sending = (async () => {
      const sent: Array<Promise<unknown>> = []
      for (let number = 0; number < count; number++) {
        for (const topic of topics) sent.push(producer.send(topic, { value: `v${number}` }))
        if (number === 1_000) await kafka!.kill(3)
        if (number % 20 === 0) await new Promise(setImmediate)
      }
      await Promise.all(sent)
    })()
    const read: Record<string, string[]> = { survives: [], 'survives-too': [] }
    let left = count * topics.length
    for await (const { topic, value } of consumer) {
      read[topic]!.push(`${value}`)
      if (--left === 0) break
    }
    await sending
    const expected = Array.from({ length: count }, (_, number) => `v${number}`)
    for (const topic of topics) expect(read[topic]).toEqual(expected)
    expect((await admin.describeCluster({ includeFenced: true })).nodes[2]).toMatchObject({ isFenced: true })
  },
)
