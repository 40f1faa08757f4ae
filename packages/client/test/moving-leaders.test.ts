// Leaders move, brokers hang, and elections can lose records. A client that asks the old leader again, or waits for the one that
// hangs, stands still where others go on; one that does not notice what was lost reads on as if nothing had happened.

import { expect, onTestFinished, test } from 'vitest'
import { errors } from '@varve/protocol'
import { encodeBatch } from '@varve/records'
import { Admin } from '../src/admin.js'
import { Producer, type ProducerOptions } from '../src/producer.js'
import { startCluster, startConsumer, t0, take, TOPIC_ID } from './scripted-consumer.js'
import type { ScriptedCluster } from './scripted-cluster.js'

// Longer than any test: whoever waits for it fails. A producer that would wait beyond its delivery.timeout.ms does not.
const NEVER_MS = 100_000

function startProducer(cluster: ScriptedCluster, options: Partial<ProducerOptions> = {}): Producer {
  const producer = new Producer({ brokers: cluster.addresses, lingerMs: 0, retryBackoffMs: 1, ...options })
  onTestFinished(() => producer.close({ discard: true }))
  return producer
}

/** Two brokers that agree that 0 leads t-0, which 1 does in truth. */
async function movedTo1(epoch: number): Promise<ScriptedCluster> {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0], epochs: [4] }
  const { port } = cluster.brokers[1]!
  const nodeEndpoints = [{ nodeId: 1, host: '127.0.0.1', port, rack: null }]
  const hint = (response: any, field: string): any => {
    const [partition] = response.responses[0][field]
    partition.errorCode = errors.NOT_LEADER_OR_FOLLOWER.code
    partition.currentLeader = { leaderId: 1, leaderEpoch: epoch }
    if (field === 'partitions') partition.records = Buffer.alloc(0)
    return { ...response, nodeEndpoints }
  }
  const notLeader = errors.NOT_LEADER_OR_FOLLOWER.code
  cluster.brokers[0]!.on('Produce', (request) =>
    hint(
      cluster.produce(request, 0, () => notLeader),
      'partitionResponses',
    ),
  )
  cluster.brokers[0]!.on('Fetch', (request) => hint(cluster.fetchResponse(request, 0), 'partitions'))
  cluster.brokers[1]!.on('Produce', (request) => cluster.produce(request, 0))
  cluster.brokers[1]!.on('Fetch', (request) => cluster.fetch(request, 0))
  return cluster
}

test('a producer goes where the old leader sends it, without a pause and without asking for metadata', async () => {
  const cluster = await movedTo1(5)
  const producer = startProducer(cluster, { retryBackoffMs: NEVER_MS })
  expect(await producer.send('t', { value: 'a' })).toMatchObject({ offset: 0 })
  expect(await producer.send('t', { value: 'b' })).toMatchObject({ offset: 1 })
  expect(cluster.brokers.map((broker) => broker.count('Produce'))).toEqual([1, 2])
  expect(cluster.brokers.map((broker) => broker.count('Metadata'))).toEqual([1, 0])
})

test('so does a consumer', async () => {
  const cluster = await movedTo1(5)
  cluster.log('t').add({ value: 'a' }, { value: 'b' })
  const consumer = startConsumer(cluster, { retryBackoffMs: NEVER_MS })
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 2)).toEqual(['0:a', '1:b'])
  expect(cluster.brokers[0]!.count('Fetch')).toBe(1)
  expect((await cluster.brokers[1]!.received('Fetch')).body.topics[0].partitions[0].currentLeaderEpoch).toBe(
    5,
  )
})

test('a hint that is no news is not followed: metadata tells', async () => {
  const cluster = await movedTo1(4)
  const producer = startProducer(cluster)
  const sent = producer.send('t', { value: 'a' })
  await cluster.brokers[0]!.received('Produce', 1)
  expect(cluster.brokers[1]!.count('Produce')).toBe(0)
  cluster.brokers[1]!.on('Produce', (request) => cluster.produce(request, 1))
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [1], epochs: [6] }
  expect(await sent).toMatchObject({ offset: 0 })
})

test.each([
  'NOT_LEADER_OR_FOLLOWER',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'LEADER_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'REQUEST_TIMED_OUT',
] as const)('%s is no end for a producer', async (name) => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { leaders: [0] }
  let asked = 0
  cluster.brokers[0]!.on('Produce', (request) => {
    if (asked++ > 1) cluster.topics['t'] = { leaders: [1], epochs: [1] }
    return cluster.produce(request, 0, () => errors[name].code)
  })
  expect(await startProducer(cluster).send('t', { value: 'a' })).toMatchObject({ offset: 0 })
  expect(cluster.log('t').values()).toEqual(['a'])
})

test.each([
  'NOT_LEADER_OR_FOLLOWER',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
] as const)('%s is no end for a consumer, be it of a fetch or of a look-up', async (name) => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { leaders: [0] }
  cluster.log('t').add({ value: 'a' })
  cluster.brokers[0]!.on('ListOffsets', (request) => {
    const response = cluster.listOffsets(request, 0)
    if (cluster.brokers[0]!.count('ListOffsets') > 2) return response
    response.topics[0].partitions[0].errorCode = errors[name].code
    return response
  })
  cluster.brokers[0]!.on('Fetch', (request) => {
    const response = cluster.fetchResponse(request, 0)
    const [partition] = response.responses[0].partitions
    Object.assign(partition, { errorCode: errors[name].code, records: Buffer.alloc(0) })
    if (cluster.brokers[0]!.count('Fetch') > 2) cluster.topics['t'] = { leaders: [1], epochs: [1] }
    return response
  })
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 'earliest' }])
  expect(await take(consumer, 1)).toEqual(['0:a'])
})

test('who has only an old leader epoch is not believed about the leader', async () => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { leaders: [1], epochs: [7] }
  const producer = startProducer(cluster)
  await producer.send('t', { value: 'a' })
  // Broker 0 has fallen behind, and is the one that is asked.
  for (const broker of cluster.brokers)
    broker.on('Metadata', (request) => {
      const stale = cluster.metadata(request)
      for (const topic of stale.topics)
        for (const partition of topic.partitions)
          Object.assign(partition, topic.name === 't' ? { leaderId: 0, leaderEpoch: 6 } : {})
      return stale
    })
  cluster.topics['u'] = { leaders: [0] }
  await producer.send('u', { value: 'a' })
  await producer.send('t', { value: 'b' })
  expect(cluster.brokers[0]!.count('Produce')).toBe(1)
  expect(cluster.log('t').values()).toEqual(['a', 'b'])
})

test('a broker that hangs is not the one that is asked for metadata', async () => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { leaders: [0, 1] }
  const producer = startProducer(cluster)
  await Promise.all([0, 1].map((partition) => producer.send('t', { partition, value: 'a' })))
  cluster.brokers[0]!.on('Produce', () => undefined)
  cluster.brokers[0]!.on('Metadata', () => undefined)
  void producer.send('t', { partition: 0, value: 'b' }).catch(() => undefined)
  await cluster.brokers[0]!.received('Produce', 1)
  cluster.topics['u'] = { leaders: [1] }
  expect(await producer.send('u', { value: 'c' })).toMatchObject({ offset: 0 })
})

test('records do not wait for a leader that hangs once metadata names another one', async () => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { leaders: [0] }
  const [still, alive] = cluster.brokers
  const producer = startProducer(cluster, { connectTimeoutMs: NEVER_MS, requestTimeoutMs: NEVER_MS })
  await producer.send('t', { value: 'a' })
  still!.on('Produce', () => undefined).on('Metadata', () => undefined)
  const sent = producer.send('t', { value: 'b' })
  await still!.received('Produce', 1)
  still!.on('ApiVersions', () => undefined)
  const dialled = still!.count('ApiVersions')
  // It is dialled anew, and only then another one is elected.
  alive!.on('Metadata', (request) => {
    if (still!.count('ApiVersions') > dialled) cluster.topics['t'] = { leaders: [1], epochs: [1] }
    return cluster.metadata(request)
  })
  still!.dropConnections()
  expect(await sent).toMatchObject({ offset: 1 })
  expect(cluster.log('t').values()).toEqual(['a', 'b'])
})

test('a broker that has left the cluster is not asked any more', async () => {
  const cluster = await startCluster(2)
  for (const [node, broker] of cluster.brokers.entries())
    broker.on('DescribeLogDirs', () => ({
      throttleTimeMs: 0,
      errorCode: 0,
      results: [{ errorCode: 0, logDir: `/${node}`, topics: [], totalBytes: 1, usableBytes: 1 }],
    }))
  const admin = new Admin({ brokers: [cluster.addresses[0]!] })
  onTestFinished(() => admin.close())
  expect(await admin.describeLogDirs()).toHaveLength(2)
  cluster.brokers[0]!.on('Metadata', (request) => {
    const response = cluster.metadata(request)
    return { ...response, brokers: response.brokers.slice(0, 1) }
  })
  await cluster.brokers[1]!.stop()
  expect((await admin.describeLogDirs()).map(({ path }) => path)).toEqual(['/0'])
})

test('a leader is not given longer than anybody waits for the records', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const producer = startProducer(cluster, { deliveryTimeoutMs: 20_000 })
  await producer.send('t', { value: 'a' })
  const { timeoutMs } = (await cluster.brokers[0]!.received('Produce')).body
  expect(timeoutMs).toBeGreaterThan(0)
  expect(timeoutMs).toBeLessThanOrEqual(20_000)
})

/** t-0 led by 0, with records in epoch 3. */
async function ledInEpoch3(): Promise<ScriptedCluster> {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0], epochs: [3] }
  append(cluster, 3, 'a', 'b', 'c', 'd')
  return cluster
}

function append(cluster: ScriptedCluster, epoch: number, ...values: string[]): void {
  for (const value of values) {
    const batch = encodeBatch([{ value }], { now: 1_700_000_000_000 })
    batch.writeInt32BE(epoch, 12)
    cluster.log('t').append(batch)
  }
}

/** An unclean election: what came after offset 2 is lost, and others are written there in epoch 5. */
function electUnclean(cluster: ScriptedCluster): void {
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [1], epochs: [5] }
  const log = cluster.log('t')
  log.batches.splice(2)
  log.endOffset = 2
  append(cluster, 5, 'C', 'D', 'E')
  cluster.brokers[1]!.on('Fetch', (request) => {
    const [asked] = request.body.topics[0].partitions
    if (asked.lastFetchedEpoch !== 3 || asked.fetchOffset <= 2) return cluster.fetch(request, 1)
    const response = cluster.fetchResponse(request, 1)
    Object.assign(response.responses[0].partitions[0], {
      records: Buffer.alloc(0),
      divergingEpoch: { epoch: 3, endOffset: 2 },
    })
    return response
  })
}

test('records that an unclean election has taken are noticed, and read on where the logs part', async () => {
  const cluster = await ledInEpoch3()
  const consumer = startConsumer(cluster, { offsetReset: 'earliest' })
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 4)).toEqual(['0:a', '1:b', '2:c', '3:d'])
  electUnclean(cluster)
  cluster.brokers[0]!.dropConnections()
  expect(await take(consumer, 3)).toEqual(['2:C', '3:D', '4:E'])
})

test('without an offset to go on at, lost records end the iteration, and a seek gets past them', async () => {
  const cluster = await ledInEpoch3()
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 4)).toHaveLength(4)
  electUnclean(cluster)
  cluster.brokers[0]!.dropConnections()
  await expect(take(consumer, 1)).rejects.toMatchObject({
    code: 'VARVE_LOG_TRUNCATED',
    message: expect.stringMatching(/t-0 .*from offset 2 up to 4/),
  })
  consumer.seek(t0, 2)
  expect(await take(consumer, 1)).toEqual(['2:C'])
})

test('a broker too old to compare epochs is not told of one', async () => {
  const cluster = await startCluster(1, { versions: { Fetch: [4, 11] } })
  cluster.topics['t'] = { leaders: [0], epochs: [3] }
  append(cluster, 3, 'a', 'b')
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 1)).toEqual(['0:a'])
  cluster.notify()
  append(cluster, 3, 'c')
  cluster.notify()
  expect(await take(consumer, 1)).toEqual(['1:b'])
})

/** t-0 led by 0, which sends consumers of rack b to broker 1. */
async function withFollower(): Promise<ScriptedCluster> {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0] }
  cluster.brokers[0]!.on('Fetch', (request) => {
    if (request.body.rackId !== 'b') return cluster.fetch(request, 0)
    const response = cluster.fetchResponse(request, 0)
    Object.assign(response.responses[0].partitions[0], { records: Buffer.alloc(0), preferredReadReplica: 1 })
    return response
  })
  cluster.brokers[1]!.on('Fetch', (request) => cluster.fetch(request, 0))
  return cluster
}

test('a consumer reads from the follower that the leader names for its rack', async () => {
  const cluster = await withFollower()
  cluster.log('t').add({ value: 'a' }).add({ value: 'b' })
  const consumer = startConsumer(cluster, { rack: 'b' })
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 2)).toEqual(['0:a', '1:b'])
  expect(cluster.brokers[0]!.count('Fetch')).toBe(1)
  expect(cluster.brokers[1]!.count('Fetch')).toBeGreaterThan(0)
})

test('without a rack it reads from the leader', async () => {
  const cluster = await withFollower()
  cluster.log('t').add({ value: 'a' })
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 1)).toEqual(['0:a'])
  expect(cluster.brokers[1]!.count('Fetch')).toBe(0)
})

test.each(['has not come that far', 'is a follower no more', 'goes away'])(
  'a follower that %s sends the consumer back to the leader',
  async (how) => {
    const cluster = await withFollower()
    cluster.log('t').add({ value: 'a' })
    cluster.brokers[1]!.on('Fetch', (request) => {
      // From now on the leader sends nobody there.
      cluster.brokers[0]!.on('Fetch', (later) => cluster.fetch(later, 0))
      if (how === 'goes away') {
        request.socket.destroy()
        return undefined
      }
      const response = cluster.fetchResponse(request, 0)
      const error = how === 'has not come that far' ? 'OFFSET_OUT_OF_RANGE' : 'NOT_LEADER_OR_FOLLOWER'
      const records = Buffer.alloc(0)
      Object.assign(response.responses[0].partitions[0], { errorCode: errors[error].code, records })
      return response
    })
    const consumer = startConsumer(cluster, { rack: 'b' })
    consumer.assign([{ ...t0, offset: 0 }])
    expect(await take(consumer, 1)).toEqual(['0:a'])
    expect(cluster.brokers[1]!.count('Fetch')).toBe(1)
  },
)

test('a follower that nobody knows is asked for, and not for ever', async () => {
  const cluster = await withFollower()
  cluster.log('t').add({ value: 'a' })
  let asked = 0
  cluster.brokers[0]!.on('Fetch', (request) => {
    if (++asked > 3) return cluster.fetch(request, 0)
    const response = cluster.fetchResponse(request, 0)
    Object.assign(response.responses[0].partitions[0], { records: Buffer.alloc(0), preferredReadReplica: 9 })
    return response
  })
  const consumer = startConsumer(cluster, { rack: 'b' })
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 1)).toEqual(['0:a'])
  expect(cluster.brokers.reduce((sum, broker) => sum + broker.count('Metadata'), 0)).toBeGreaterThan(1)
})
