// "Retries" and "exactly once" only go together if every batch keeps its number through every accident: an answer that got
// lost, a batch that was given up and leaves a gap, a broker that has forgotten the producer. The leader of these tests
// checks numbers as a broker does.

import { errors } from '@varve/protocol'
import { batchesIn } from '@varve/records'
import { expect, onTestFinished, test } from 'vitest'
import { Producer, type ProducerOptions } from '../src/index.js'
import { outcomeOf } from './outcome.js'
import type { ScriptedBroker } from './scripted-broker.js'
import { ScriptedCluster } from './scripted-cluster.js'

async function start(
  options: Partial<ProducerOptions> = {},
  brokers = 1,
): Promise<{ cluster: ScriptedCluster; producer: Producer }> {
  const cluster = await ScriptedCluster.start(brokers)
  onTestFinished(() => cluster.stop())
  cluster.topics['t'] = { leaders: [0] }
  const producer = new Producer({ brokers: cluster.addresses, lingerMs: 0, retryBackoffMs: 1, ...options })
  onTestFinished(() => producer.close({ discard: true }))
  return { cluster, producer }
}

// One record fills a batch.
const single = { batchBytes: 100 }
const values = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`.repeat(90))
const sendAll = (producer: Producer, all: string[]): Promise<unknown[]> =>
  Promise.all(all.map((value) => outcomeOf(producer.send('t', { value }).then(({ offset }) => offset))))
const numbersOf = (cluster: ScriptedCluster): Array<[number, number]> =>
  cluster.brokers[0]!.requests.filter(({ name }) => name === 'Produce').map(({ body }) => {
    const [batch] = batchesIn(body.topicData[0].partitionData[0].records)
    return [batch!.producerEpoch, batch!.baseSequence]
  })

test('batches are numbered, and follow one another without waiting', async () => {
  const { cluster, producer } = await start(single)
  let inFlight = 0
  let most = 0
  cluster.brokers[0]!.on('Produce', (request) => {
    most = Math.max(most, ++inFlight)
    setImmediate(() => {
      inFlight--
      request.answer(cluster.produce(request, 0))
    })
  })
  expect(await sendAll(producer, values(9))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  expect(numbersOf(cluster)).toEqual(values(9).map((_, index) => [0, index]))
  expect(cluster.brokers[0]!.count('InitProducerId')).toBe(1)
  expect(most).toBeGreaterThan(1)
  expect(most).toBeLessThanOrEqual(5)
})

test('nothing follows the first batch until that has been acknowledged: a leader would take any number for the first', async () => {
  const { cluster, producer } = await start(single)
  let requests = 0
  cluster.brokers[0]!.on('Produce', (request) => {
    // The first is lost before it is written, and those behind it would not be.
    if (++requests > 1) return cluster.produce(request, 0)
    setTimeout(() => request.socket.destroy(), 20)
    return undefined
  })
  const sent = sendAll(producer, values(6))
  await cluster.brokers[0]!.received('Produce')
  expect(await sent).toEqual([0, 1, 2, 3, 4, 5])
  expect(numbersOf(cluster).slice(0, 2)).toEqual([
    [0, 0],
    [0, 0],
  ])
  expect(cluster.log('t').values()).toEqual(values(6))
})

test('nor does anything follow the first batch of a new epoch', async () => {
  const { cluster, producer } = await start(single)
  let asked = 0
  let inFlight = 0
  const alone: boolean[] = []
  cluster.brokers[0]!.on('Produce', (request) => {
    const [batch] = batchesIn(request.body.topicData[0].partitionData[0].records)
    if (batch!.producerEpoch === 1 && batch!.baseSequence === 0) alone.push(inFlight === 0)
    inFlight++
    const response = cluster.produce(request, 0, () => (asked++ === 1 ? errors.MESSAGE_TOO_LARGE.code : 0))
    setImmediate(() => {
      if (batch!.producerEpoch === 1 && batch!.baseSequence === 0) alone.push(inFlight === 1)
      inFlight--
      request.answer(response)
    })
  })
  await sendAll(producer, values(6))
  expect(alone).toEqual([true, true])
})

test('an answer that got lost: everything is written once, in order, and knows its offset', async () => {
  const { cluster, producer } = await start(single)
  let answers = 0
  cluster.brokers[0]!.on('Produce', (request) => {
    const response = cluster.produce(request, 0)
    if (++answers !== 3) return response
    request.socket.destroy()
    return undefined
  })
  expect(await sendAll(producer, values(8))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  expect(cluster.log('t').values()).toEqual(values(8))
})

test('while an old leader keeps its answer, the new one gets no more than it can remember', async () => {
  const { cluster, producer } = await start(single, 2)
  const [old, next] = cluster.brokers as [ScriptedBroker, ScriptedBroker]
  cluster.topics['t'] = { leaders: [0, 1] }
  const [first, ...rest] = values(9)
  const send = (partition: number, value: string) =>
    producer.send('t', { partition, value }).then(({ offset }) => offset)
  expect(await send(0, 'known')).toBe(0)
  // The old leader has written it, and its followers have it.
  old.on('Produce', (request) => void cluster.produce(request, 0))
  const kept = send(0, first!)
  const { socket } = await old.received('Produce', 1)
  // The other partition tells that leaders have moved.
  next.on('Produce', (request) => {
    if (next.count('Produce') > 1) return cluster.produce(request, 1)
    cluster.topics['t'] = { leaders: [1, 1], epochs: [1, 1] }
    return cluster.produce(request, 1, () => errors.NOT_LEADER_OR_FOLLOWER.code)
  })
  await send(1, 'moved')
  expect(await Promise.all(rest.slice(0, 4).map((value) => send(0, value)))).toEqual([2, 3, 4, 5])
  const more = rest.slice(4).map((value) => send(0, value))
  // Whatever may be sent leaves with this one.
  await send(1, 'together')
  expect(cluster.log('t').values()).toEqual(['known', first, ...rest.slice(0, 4)])
  socket.destroy()
  expect(await kept).toBe(1)
  expect(await Promise.all(more)).toEqual([6, 7, 8, 9])
  expect(cluster.log('t').values()).toEqual(['known', first, ...rest])
})

test('a batch that is refused for good leaves a gap, which a new epoch closes', async () => {
  const { cluster, producer } = await start(single)
  let asked = 0
  cluster.brokers[0]!.on('Produce', (request) =>
    cluster.produce(request, 0, () => (asked++ === 1 ? errors.MESSAGE_TOO_LARGE.code : 0)),
  )
  expect(await sendAll(producer, values(6))).toEqual([0, 'VARVE_KAFKA_ERROR', 1, 2, 3, 4])
  expect(cluster.log('t').values()).toEqual(values(6).filter((_, index) => index !== 1))
  expect(numbersOf(cluster).at(-1)![0]).toBe(1)
})

test('the next epoch after the last is a new producer id', async () => {
  const { cluster, producer } = await start(single)
  let ids = 0
  cluster.brokers[0]!.on('InitProducerId', () => ({
    throttleTimeMs: 0,
    errorCode: 0,
    producerId: 7 + ids,
    producerEpoch: ids++ === 0 ? 0x7fff : 0,
  }))
  let asked = 0
  cluster.brokers[0]!.on('Produce', (request) =>
    cluster.produce(request, 0, () => (asked++ === 1 ? errors.MESSAGE_TOO_LARGE.code : 0)),
  )
  expect(await sendAll(producer, values(3))).toEqual([0, 'VARVE_KAFKA_ERROR', 1])
  expect(ids).toBe(2)
  expect(numbersOf(cluster).at(-1)).toEqual([0, 0])
})

test('an id that cannot be had yet is waited for, and one that never will be is an error', async () => {
  const { cluster, producer } = await start()
  const codes = [errors.COORDINATOR_LOAD_IN_PROGRESS.code, 0]
  cluster.brokers[0]!.on('InitProducerId', () => ({
    throttleTimeMs: 0,
    errorCode: codes.shift() ?? errors.CLUSTER_AUTHORIZATION_FAILED.code,
    producerId: 7,
    producerEpoch: 0,
  }))
  expect(await sendAll(producer, ['a'])).toEqual([0])
  const another = new Producer({ brokers: cluster.addresses, lingerMs: 0 })
  onTestFinished(() => another.close({ discard: true }))
  await expect(another.send('t', { value: 'b' })).rejects.toMatchObject({
    kafkaName: 'CLUSTER_AUTHORIZATION_FAILED',
  })
})

test('without idempotence there is no number', async () => {
  const { cluster, producer } = await start({ idempotence: false })
  expect(await sendAll(producer, ['a'])).toEqual([0])
  expect(numbersOf(cluster)).toEqual([[-1, -1]])
  expect(cluster.brokers[0]!.count('InitProducerId')).toBe(0)
})

test.each([{ acks: 1 }, { retries: 0 }, { maxInFlight: 6 }] as const)(
  'idempotence is refused where it cannot be: %o',
  async (options) => {
    expect(() => new Producer({ brokers: ['h:1'], idempotence: true, ...options })).toThrow("'idempotence'")
    await new Producer({ brokers: ['h:1'], ...options }).close()
  },
)
