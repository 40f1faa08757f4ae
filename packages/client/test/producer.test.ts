// A producer promises three things that are easy to lose: every record has exactly one outcome, records of a
// partition are written in the order in which they were sent, and with retries off nothing is written twice. Each
// test breaks the connection, the leader or the broker's patience at a moment that once cost one of the three.

import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { errors } from '@varve/protocol'
import { defaultPartitioner, keyPartition, roundRobin } from '@varve/partitioning'
import { batchesIn } from '@varve/records'
import { Producer, type ProducerOptions } from '../src/producer.js'
import { RecordAccumulator } from '../src/record-accumulator.js'
import { sampleText } from '../../../test/support/sample-text.js'
import { HastyClock } from './hasty-clock.js'
import { ManualClock } from './manual-clock.js'
import { outcomeOf } from './outcome.js'
import type { ScriptedRequest } from './scripted-broker.js'
import { isPending, ScriptedCluster } from './scripted-cluster.js'

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'
const closing: Array<() => Promise<void>> = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function startCluster(...options: Parameters<typeof ScriptedCluster.start>): Promise<ScriptedCluster> {
  const cluster = await ScriptedCluster.start(...options)
  closing.push(() => cluster.stop())
  return cluster
}

function startProducer(cluster: ScriptedCluster, options: Partial<ProducerOptions> = {}): Producer {
  const producer = new Producer({ brokers: cluster.addresses, lingerMs: 0, retryBackoffMs: 1, ...options })
  closing.push(() => producer.close({ discard: true }))
  return producer
}

const outcomesOf = (promises: Array<Promise<unknown>>): Promise<unknown[]> =>
  Promise.all(promises.map(outcomeOf))
const recordsIn = ({ body }: ScriptedRequest): string[] =>
  body.topicData.flatMap(({ partitionData }: any) =>
    partitionData.flatMap(({ records }: any) =>
      [...batchesIn(records)].flatMap((batch) => Array.from(batch.records(), ({ value }) => String(value))),
    ),
  )

test('every record is told its own partition and offset', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0, 0] }
  const producer = startProducer(cluster)
  const sent = ['a', 'b', 'c', 'd'].map((value, index) => producer.send('t', { value, partition: index % 2 }))
  expect(await Promise.all(sent)).toEqual([
    { topic: 't', partition: 0, offset: 0 },
    { topic: 't', partition: 1, offset: 0 },
    { topic: 't', partition: 0, offset: 1 },
    { topic: 't', partition: 1, offset: 1 },
  ])
  expect(cluster.log('t', 0).values()).toEqual(['a', 'c'])
  expect(cluster.brokers[0]!.count('Produce')).toBe(1)
  expect(cluster.brokers[0]!.requests.at(-1)).toMatchObject({ version: 13, body: { acks: -1 } })
})

test('a cluster without topic ids is spoken to by name', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  await startProducer(cluster).send('t', { value: 'a' })
  expect(cluster.brokers[0]!.requests.at(-1)).toMatchObject({ name: 'Produce', version: 12 })
  expect(cluster.log('t').values()).toEqual(['a'])
})

test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)(
  'batches are compressed with %s',
  async (compression) => {
    const cluster = await startCluster()
    cluster.topics['t'] = { leaders: [0] }
    const producer = startProducer(cluster, { compression })
    const values = Array.from({ length: 50 }, (_, index) => `value ${index}`)
    await Promise.all(values.map((value) => producer.send('t', { value })))
    expect(cluster.log('t').values()).toEqual(values)
    expect([...batchesIn(cluster.log('t').batches[0]!)][0]!.compression).toBe(compression)
  },
)

test('batches are compressed at the level that is given', async () => {
  const value = sampleText(500, 1)
  const bytesAt = async (level: number): Promise<number> => {
    const cluster = await startCluster()
    cluster.topics['t'] = { leaders: [0] }
    await startProducer(cluster, { compression: { codec: 'zstd', level } }).send('t', { value })
    return cluster.log('t').batches[0]!.length
  }
  expect(await bytesAt(19)).toBeLessThan(await bytesAt(-100))
})

test('one request per leader carries the batches of all its partitions', async () => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0, 1, 0, 1] }
  const producer = startProducer(cluster, { partitioner: roundRobin() })
  await Promise.all(Array.from({ length: 8 }, (_, index) => producer.send('t', { value: `${index}` })))
  for (const broker of cluster.brokers) {
    expect(broker.count('Produce')).toBe(1)
    expect((await broker.received('Produce')).body.topicData[0].partitionData).toHaveLength(2)
  }
})

test('a batch leaves when it is full, and else when it has lingered', async () => {
  const clock = new ManualClock()
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const producer = startProducer(cluster, { clock, lingerMs: 1000, batchBytes: 500 })
  const value = 'x'.repeat(100)
  const sent = Array.from({ length: 7 }, () => producer.send('t', { value }))
  await sent[3]
  expect(await isPending(sent[4]!)).toBe(true)
  expect(cluster.log('t').endOffset).toBe(4)
  clock.advance(999)
  expect(await isPending(sent[4]!)).toBe(true)
  clock.advance(1)
  expect((await sent[6]!).offset).toBe(6)
})

test('flush does not wait for what lingers', async () => {
  const clock = new ManualClock()
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const producer = startProducer(cluster, { clock, lingerMs: 60_000 })
  const sent = producer.send('t', { value: 'a' })
  await producer.flush()
  expect(await isPending(sent)).toBe(false)
  expect(cluster.log('t').values()).toEqual(['a'])
  expect(clock.pending).toBe(0)
})

test('acks 0 asks for no response and knows no offset', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const producer = startProducer(cluster, { acks: 0 })
  expect(await producer.send('t', { value: 'a' })).toEqual({ topic: 't', partition: 0, offset: -1 })
  expect(await producer.send('t', { value: 'b' })).toEqual({ topic: 't', partition: 0, offset: -1 })
  await cluster.brokers[0]!.received('Produce', 1)
  expect(cluster.log('t').values()).toEqual(['a', 'b'])
})

test('send waits while the memory is full, in order, and drained tells when there is room', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const held: ScriptedRequest[] = []
  cluster.brokers[0]!.on('Produce', (request) => void held.push(request))
  const producer = startProducer(cluster, {
    maxBufferedBytes: 1000,
    lingerMs: 60_000,
    batchBytes: 400,
    maxInFlight: 1,
    retries: 0,
  })
  const values = Array.from({ length: 12 }, (_, index) => `${index}`.padStart(150, ' '))
  const sent = values.map((value) => producer.send('t', { value }))
  await cluster.brokers[0]!.received('Produce')
  expect(producer.bufferedBytes).toBeLessThan(1000 + 400)
  const drained = producer.drained()
  expect(await isPending(drained)).toBe(true)
  cluster.brokers[0]!.on('Produce', (request) => cluster.produce(request, 0))
  held[0]!.answer(cluster.produce(held[0]!, 0))
  await drained
  await producer.flush()
  await Promise.all(sent)
  expect(cluster.log('t').values()).toEqual(values)
  expect(producer.bufferedBytes).toBe(0)
})

test('waiting for memory does not break batches up', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0, 0, 0, 0] }
  const producer = startProducer(cluster, {
    maxBufferedBytes: 4000,
    batchBytes: 1000,
    partitioner: roundRobin(),
  })
  const value = 'x'.repeat(50)
  await Promise.all(Array.from({ length: 1000 }, () => producer.send('t', { value })))
  const batches = [0, 1, 2, 3].flatMap((partition) => cluster.log('t', partition).batches)
  // A full batch holds about sixteen of them.
  expect(batches.length).toBeLessThan(200)
})

test('records whose topic is not known yet fill the memory too', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  cluster.brokers[0]!.on('Metadata', () => undefined)
  const producer = startProducer(cluster, { maxBufferedBytes: 10_000 })
  const values = Array.from({ length: 200 }, (_, index) => `${index}`)
  const sent = values.map((value) => producer.send('t', { value }))
  const drained = producer.drained()
  const asked = await cluster.brokers[0]!.received('Metadata')
  expect(await isPending(drained)).toBe(true)
  asked.answer(cluster.metadata(asked))
  await drained
  await Promise.all(sent)
  expect(cluster.log('t').values()).toEqual(values)
})

test('a broker that cannot be understood is not asked for ever', async () => {
  const cluster = await startCluster(1, { versions: { Metadata: [20, 21] } })
  expect(await outcomeOf(startProducer(cluster).send('t', { value: 'a' }))).toBe('VARVE_UNSUPPORTED_VERSION')
})

test('records that come before the metadata keep their place', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const producer = startProducer(cluster)
  const first = producer.send('t', { value: 'first' })
  await cluster.brokers[0]!.received('Metadata')
  const later = Array.from({ length: 5 }, (_, index) => producer.send('t', { value: `${index}` }))
  await Promise.all([first, ...later])
  expect(cluster.log('t').values()).toEqual(['first', '0', '1', '2', '3', '4'])
})

test('a connection lost in the middle of producing, retries off: rejected, and nothing is sent again', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const broker = cluster.brokers[0]!
  broker.on('Produce', (request) => {
    // Written, but the answer never arrives: the one case in which a retry would write twice.
    cluster.produce(request, 0)
    request.socket.destroy()
    return undefined
  })
  const producer = startProducer(cluster, { retries: 0 })
  expect(await outcomesOf([producer.send('t', { value: 'a' }), producer.send('t', { value: 'b' })])).toEqual([
    'VARVE_CONNECTION_CLOSED',
    'VARVE_CONNECTION_CLOSED',
  ])
  broker.on('Produce', (request) => cluster.produce(request, 0))
  expect(await producer.send('t', { value: 'c' })).toMatchObject({ offset: 2 })
  expect(cluster.log('t').values()).toEqual(['a', 'b', 'c'])
})

test('a connection lost while several requests are under way rejects all of them', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const broker = cluster.brokers[0]!
  broker.on('Produce', () => undefined)
  const producer = startProducer(cluster, { retries: 0, batchBytes: 100 })
  const sent = Array.from({ length: 5 }, (_, index) => producer.send('t', { value: `${index}`.repeat(90) }))
  const outcomes = outcomesOf(sent)
  await broker.received('Produce', 4)
  broker.dropConnections()
  expect(new Set(await outcomes)).toEqual(new Set(['VARVE_CONNECTION_CLOSED']))
})

test('with retries, a lost connection costs nothing but time', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const broker = cluster.brokers[0]!
  let lost = 0
  broker.on('Produce', (request) => {
    if (lost++ >= 2) return cluster.produce(request, 0)
    request.socket.destroy()
    return undefined
  })
  const producer = startProducer(cluster, { retries: 5, batchBytes: 100 })
  const values = Array.from({ length: 6 }, (_, index) => `${index}`.repeat(90))
  const sent = await Promise.all(values.map((value) => producer.send('t', { value })))
  expect(sent.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5])
  expect(cluster.log('t').values()).toEqual(values)
})

test('a batch that has to be sent again is not overtaken', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  let refused = 0
  cluster.brokers[0]!.on('Produce', (request) =>
    cluster.produce(request, 0, () => (refused++ < 3 ? errors.NOT_ENOUGH_REPLICAS.code : 0)),
  )
  const producer = startProducer(cluster, { retries: 5, batchBytes: 100 })
  const values = Array.from({ length: 6 }, (_, index) => `${index}`.repeat(90))
  await Promise.all(values.map((value) => producer.send('t', { value })))
  expect(cluster.log('t').values()).toEqual(values)
})

test('a timer that comes a moment too early does not end the retries', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  let refused = 0
  cluster.brokers[0]!.on('Produce', (request) =>
    cluster.produce(request, 0, () => (refused++ < 3 ? errors.NOT_ENOUGH_REPLICAS.code : 0)),
  )
  const producer = startProducer(cluster, { clock: new HastyClock(), lingerMs: 5, retryBackoffMs: 10 })
  expect(await producer.send('t', { value: 'a' })).toMatchObject({ offset: 0 })
})

test('retries come to an end', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  cluster.brokers[0]!.on('Produce', (request) =>
    cluster.produce(request, 0, () => errors.NOT_ENOUGH_REPLICAS.code),
  )
  const producer = startProducer(cluster, { retries: 2 })
  const error: any = await producer.send('t', { value: 'a' }).catch((caught: unknown) => caught)
  expect(error).toMatchObject({
    code: 'VARVE_KAFKA_ERROR',
    kafkaName: 'NOT_ENOUGH_REPLICAS',
    retriable: true,
  })
  expect(error.message).toContain('t-0')
  expect(cluster.brokers[0]!.count('Produce')).toBe(3)
})

test('an error that will not pass is not retried and does not touch the other partition', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0, 0] }
  cluster.brokers[0]!.on('Produce', (request) =>
    cluster.produce(request, 0, (_, partition) => (partition === 1 ? errors.MESSAGE_TOO_LARGE.code : 0)),
  )
  const producer = startProducer(cluster, { retries: 5 })
  const outcomes = await Promise.allSettled(
    [0, 1].map((partition) => producer.send('t', { value: 'a', partition })),
  )
  expect(outcomes[0]).toMatchObject({ status: 'fulfilled', value: { offset: 0 } })
  expect(outcomes[1]).toMatchObject({
    status: 'rejected',
    reason: { kafkaName: 'MESSAGE_TOO_LARGE', retriable: false },
  })
  expect(cluster.brokers[0]!.count('Produce')).toBe(1)
})

test('the leader moves: records follow it', async () => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0] }
  const producer = startProducer(cluster, { retries: 5 })
  await producer.send('t', { value: 'a' })
  cluster.topics['t'].leaders = [1]
  await producer.send('t', { value: 'b' })
  expect(cluster.log('t').values()).toEqual(['a', 'b'])
  expect(cluster.brokers.map((broker) => broker.count('Produce'))).toEqual([2, 1])
})

test('the leader moves, retries off: that record is rejected, the next one finds the way', async () => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { leaders: [0] }
  const producer = startProducer(cluster, { retries: 0 })
  await producer.send('t', { value: 'a' })
  cluster.topics['t'].leaders = [1]
  await expect(producer.send('t', { value: 'b' })).rejects.toMatchObject({
    kafkaName: 'NOT_LEADER_OR_FOLLOWER',
  })
  await cluster.brokers[0]!.received('Metadata', 1)
  await expect(producer.send('t', { value: 'c' })).resolves.toMatchObject({ offset: 1 })
})

test('records wait for a partition without a leader, and not for ever', async () => {
  const clock = new ManualClock()
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0, -1] }
  const producer = startProducer(cluster, { clock, deliveryTimeoutMs: 5000, retryBackoffMs: 1000 })
  const waits = outcomeOf(producer.send('t', { value: 'a', partition: 1 }))
  await producer.send('t', { value: 'b', partition: 0 })
  for (let second = 1; second < 5; second++) {
    await clock.advanceToNext(1000)
    expect(await isPending(waits)).toBe(true)
  }
  await clock.advanceToNext(1000)
  expect(await waits).toBe('VARVE_DELIVERY_TIMEOUT')
})

test('a topic that is being created is waited for', async () => {
  const cluster = await startCluster()
  const producer = startProducer(cluster)
  const sent = producer.send('new', { value: 'a' })
  const asked = await cluster.brokers[0]!.received('Metadata')
  expect(asked.body.allowAutoTopicCreation).toBe(true)
  cluster.topics['new'] = { leaders: [0] }
  expect(await sent).toEqual({ topic: 'new', partition: 0, offset: 0 })
})

test('a topic that stays unknown is an error that names it', async () => {
  const clock = new ManualClock()
  const cluster = await startCluster()
  const producer = startProducer(cluster, { clock, allowAutoTopicCreation: false, retryBackoffMs: 1000 })
  const sent = producer.send('nowhere', { value: 'a' }).catch((error: unknown) => error)
  while (await isPending(sent)) await Promise.race([clock.advanceToNext(1000), sent])
  expect(await sent).toMatchObject({
    kafkaName: 'UNKNOWN_TOPIC_OR_PARTITION',
    message: expect.stringContaining("'nowhere'"),
  })
  expect((await cluster.brokers[0]!.received('Metadata')).body.allowAutoTopicCreation).toBe(false)
})

test('a topic whose name is not allowed is not asked for twice', async () => {
  const cluster = await startCluster()
  cluster.brokers[0]!.on('Metadata', (request) => {
    const response = cluster.metadata(request)
    response.topics[0].errorCode = errors.INVALID_TOPIC_EXCEPTION.code
    return response
  })
  const producer = startProducer(cluster)
  await expect(producer.send('no/such', { value: 'a' })).rejects.toMatchObject({
    kafkaName: 'INVALID_TOPIC_EXCEPTION',
  })
  expect(cluster.brokers[0]!.count('Metadata')).toBe(1)
})

test('nobody there, retries off: rejected at once', async () => {
  const cluster = await startCluster()
  await cluster.stop()
  const producer = startProducer(cluster, { retries: 0 })
  const error: any = await producer.send('t', { value: 'a' }).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'VARVE_NO_BROKER' })
  expect(error.message).toContain(cluster.addresses[0])
})

test('nobody there at first, with retries: delivered when somebody comes', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  await cluster.brokers[0]!.stop()
  const producer = startProducer(cluster)
  const sent = producer.send('t', { value: 'a' })
  expect(await isPending(sent)).toBe(true)
  await cluster.brokers[0]!.listen()
  expect(await sent).toMatchObject({ offset: 0 })
})

test('a record that cannot be encoded is rejected alone', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const producer = startProducer(cluster)
  const outcomes = await outcomesOf([
    producer.send('t', { value: 'a' }),
    producer.send('t', { value: 5 as never }),
    producer.send('t', { value: 'b', partition: 9 }),
    ...[undefined, null, 'text', {}, ['v']].map((given) => producer.send('t', given as never)),
    producer.send('t', { value: 'c' }),
  ])
  expect(outcomes).toMatchObject([
    { offset: 0 },
    'VARVE_RECORD_INVALID',
    'VARVE_UNKNOWN_PARTITION',
    ...Array.from({ length: 5 }, () => 'VARVE_RECORD_INVALID'),
    { offset: 1 },
  ])
})

test('an error of our own is not taken for a refresh that failed: what waits is rejected with it', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const setPartitions = vi.spyOn(RecordAccumulator.prototype, 'setPartitions')
  onTestFinished(() => setPartitions.mockRestore())
  const defect = new RangeError('Maximum call stack size exceeded')
  setPartitions.mockImplementationOnce(function (this: RecordAccumulator, topic) {
    // The records have left the place where they waited for metadata when it happens.
    setPartitions.mockRestore()
    this.setPartitions(topic)
    throw defect
  })
  const producer = startProducer(cluster, { lingerMs: 60_000 })
  const sent = [producer.send('t', { value: 'a' }), producer.send('unknown', { value: 'b' })]
  const outcomes = await Promise.allSettled(sent)
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({
      status: 'rejected',
      reason: { code: 'VARVE_INTERNAL', retriable: false, cause: defect },
    })
  }
  expect(producer.bufferedBytes).toBe(0)
  await producer.flush()
  const next = producer.send('t', { value: 'c' })
  await producer.flush()
  expect(await next).toMatchObject({ offset: 0 })
})

test('records without a key fill batches also while batches of keyed records are closed', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0, 0, 0, 0] }
  const partitioner = defaultPartitioner(() => 0)
  const producer = startProducer(cluster, { partitioner, batchBytes: 1_000, lingerMs: 60_000 })
  const key = [...'abcdefghij'].find((each) => keyPartition(Buffer.from(each), 4) === 3)!
  const keyed: Array<Promise<{ partition: number }>> = []
  const unkeyed: Array<Promise<{ partition: number }>> = []
  for (let index = 0; index < 20; index++) {
    keyed.push(producer.send('t', { key, value: 'x'.repeat(900) }))
    unkeyed.push(producer.send('t', { value: 'y' }))
  }
  await producer.flush()
  const partitionsOf = async (sent: typeof keyed): Promise<Set<number>> =>
    new Set((await Promise.all(sent)).map(({ partition }) => partition))
  expect([await partitionsOf(keyed), await partitionsOf(unkeyed)]).toEqual([new Set([3]), new Set([0])])
  expect(cluster.log('t').batches).toHaveLength(1)
})

test('a partitioner that throws between batches loses nothing in silence', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const partitioner = {
    partition: () => 0,
    onNewBatch() {
      throw new TypeError('no such field')
    },
  }
  // The second record waits for the memory that the first one fills, so that its batch may not linger.
  const producer = startProducer(cluster, { partitioner, maxBufferedBytes: 1, lingerMs: 60_000 })
  const outcomes = await outcomesOf(['a', 'b'].map((value) => producer.send('t', { value })))
  expect(outcomes).toEqual(['VARVE_INTERNAL', 'VARVE_INTERNAL'])
})

test('a partitioner that throws while another batch is completed spoils neither that nor the memory', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  cluster.brokers[0]!.on('Produce', () => undefined)
  let batches = 0
  const partitioner = {
    partition: () => 0,
    onNewBatch() {
      if (++batches > 1) throw new TypeError('no such field')
    },
  }
  const producer = startProducer(cluster, { partitioner, maxBufferedBytes: 1, lingerMs: 60_000 })
  const sent = ['a', 'b', 'c'].map((value) => producer.send('t', { value }))
  const outcomes = outcomesOf(sent)
  const request = await cluster.brokers[0]!.received('Produce')
  request.answer(cluster.produce(request, 0))
  expect(await outcomes).toMatchObject([{ offset: 0 }, 'VARVE_INTERNAL', 'VARVE_INTERNAL'])
  expect(producer.bufferedBytes).toBe(0)
})

test('a response that leaves a partition out is an error of its records', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  cluster.brokers[0]!.on('Produce', () => ({ responses: [], throttleTimeMs: 0 }))
  expect(await outcomeOf(startProducer(cluster).send('t', { value: 'a' }))).toBe('VARVE_INVALID_RESPONSE')
})

test('close delivers what is there and refuses the rest', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const producer = startProducer(cluster, { lingerMs: 60_000 })
  const sent = producer.send('t', { value: 'a' })
  await producer.close()
  expect((await sent).offset).toBe(0)
  expect(await outcomeOf(producer.send('t', { value: 'b' }))).toBe('VARVE_CLIENT_CLOSED')
})

test('close with discard waits for nothing', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  cluster.brokers[0]!.on('Produce', () => undefined)
  const producer = startProducer(cluster, { batchBytes: 100, lingerMs: 60_000, retries: 0 })
  const sent = outcomesOf(['x'.repeat(90), 'lingers'].map((value) => producer.send('t', { value })))
  const unknown = outcomeOf(producer.send('unknown', { value: 'a' }))
  await cluster.brokers[0]!.received('Produce')
  await producer.close({ discard: true })
  expect(await sent).toEqual(['VARVE_CONNECTION_CLOSED', 'VARVE_CLIENT_CLOSED'])
  expect(await unknown).toBe('VARVE_CLIENT_CLOSED')
})

test('requests come in order: what one carries comes before what the next does', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const producer = startProducer(cluster, { retries: 0, batchBytes: 200 })
  const values = Array.from({ length: 500 }, (_, index) => `${index}`.padEnd(60, '.'))
  await Promise.all(values.map((value) => producer.send('t', { value })))
  const requests = cluster.brokers[0]!.requests.filter(({ name }) => name === 'Produce')
  expect(requests.flatMap(recordsIn)).toEqual(values)
})

test.each([
  { brokers: [] },
  { brokers: ['host:port'] },
  { acks: 2 },
  { lingerMs: -1 },
  { compression: 'brotli' },
  { compression: { codec: 'zstd', level: 23 } },
  { compression: { codec: 'snappy', level: 1 } },
  { retries: 1.5 },
])('options that make no sense are refused: %o', (wrong) => {
  expect(() => new Producer({ brokers: ['localhost'], ...(wrong as object) })).toThrow(
    expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }),
  )
})
