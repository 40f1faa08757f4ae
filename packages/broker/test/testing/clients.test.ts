/**
 * The failure this guards against: what a broker does to requests in a test is not what a client meets in production, so that
 * the client's own way of coping is never seen. Here clients that people use meet it: kafkajs and ours.
 */
import { Consumer, Producer } from '@varve/client'
import { errors, heartbeat } from '@varve/protocol'
import { Kafka, logLevel, type Producer as KafkajsProducer } from 'kafkajs'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type Broker,
  type BrokerOptions,
  ManualClock,
  startBroker,
  type StoredRecord,
} from '../../src/index.js'
import { join, sync } from '../support/group-requests.js'
import { RawClient } from '../support/raw-client.js'
import { settle } from '../support/test-broker.js'

async function start(options: BrokerOptions = {}): Promise<Broker> {
  const broker = await startBroker({ topics: { orders: 1 }, ...options })
  onTestFinished(() => broker.close())
  return broker
}

const values = (records: readonly StoredRecord[]): string[] => records.map(({ value }) => String(value))

/** What both producers have in common, as far as these tests need it. */
interface AnyProducer {
  send(topic: string, value: string): Promise<unknown>
}

const ours = (broker: Broker, clientId = 'ours'): AnyProducer => {
  const producer = new Producer({ brokers: [broker.address], clientId, retryBackoffMs: 5, lingerMs: 0 })
  onTestFinished(() => producer.close())
  return { send: (topic, value) => producer.send(topic, { value }) }
}

const theirs = async (broker: Broker, clientId = 'kafkajs'): Promise<AnyProducer> => {
  const retry = { initialRetryTime: 5, maxRetryTime: 50 }
  const kafka = new Kafka({ brokers: [broker.address], clientId, logLevel: logLevel.NOTHING, retry })
  const producer: KafkajsProducer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  return { send: (topic, value) => producer.send({ topic, messages: [{ value }] }) }
}

describe.each([
  ['@varve/client', ours],
  ['kafkajs', theirs],
] as const)('the idempotent producer of %s', (_, open) => {
  test('writes once and in order what it has to send again, whether or not the answer was lost', async () => {
    const broker = await start()
    const producer = await open(broker)
    await producer.send('orders', '0')
    const lost = broker.faults.inject({ api: 'Produce', drop: true, when: 'after', times: 2 })
    const never = broker.faults.inject({ api: 'Produce', drop: true, times: 2 })
    const sent = Array.from({ length: 20 }, (__, n) => String(n))
    for (const value of sent.slice(1)) await producer.send('orders', value)
    expect([lost.hits, never.hits]).toEqual([2, 2])
    expect(values(await broker.records('orders'))).toEqual(sent)
  })

  test.each(['NOT_LEADER_OR_FOLLOWER', 'NOT_ENOUGH_REPLICAS', 'UNKNOWN_TOPIC_OR_PARTITION'] as const)(
    'tries again after %s',
    async (error) => {
      const broker = await start()
      const producer = await open(broker)
      const fault = broker.faults.inject({ api: 'Produce', topic: 'orders', error, times: 2 })
      await producer.send('orders', 'at last')
      expect(fault.hits).toBe(2)
      expect(values(await broker.records('orders'))).toEqual(['at last'])
    },
  )

  test('does not try again what cannot succeed', async () => {
    const broker = await start()
    const producer = await open(broker)
    const fault = broker.faults.inject({
      api: 'Produce',
      error: 'TOPIC_AUTHORIZATION_FAILED',
      times: Infinity,
    })
    await expect(producer.send('orders', 'never')).rejects.toThrow()
    expect(fault.hits).toBe(1)
    expect(await broker.records('orders')).toEqual([])
  })

  test('waits for the leader that metadata do not name yet', async () => {
    const broker = await start()
    const error = 'LEADER_NOT_AVAILABLE'
    const fault = broker.faults.inject({ api: 'Metadata', topic: 'orders', error, times: 2 })
    const producer = await open(broker)
    await producer.send('orders', 'x')
    expect(fault.hits).toBe(2)
  })

  test('goes on after a reset', async () => {
    const broker = await start()
    const producer = await open(broker)
    for (let round = 0; round < 3; round++) {
      await producer.send('orders', `a${round}`)
      await producer.send('orders', `b${round}`)
      expect(values(await broker.records('orders'))).toEqual([`a${round}`, `b${round}`])
      await broker.reset()
    }
  })
})

/** A member of the group `g`, and the values that it has been given. */
function member(broker: Broker, clientId: string, sessionTimeoutMs = 60_000) {
  const consumer = new Consumer({
    brokers: [broker.address],
    clientId,
    groupId: 'g',
    sessionTimeoutMs,
    heartbeatIntervalMs: 20,
    maxWaitMs: 20,
    offsetReset: 'earliest',
    retryBackoffMs: 5,
    onCommitError: () => {},
  })
  const owned = new Set<number>()
  const waiting: (() => void)[] = []
  const changed = (): void => {
    for (const wake of waiting.splice(0)) wake()
  }
  consumer.subscribe(['orders'], {
    onAssigned: (partitions) => {
      for (const { partition } of partitions) owned.add(partition)
      changed()
    },
    onRevoked: (partitions) => {
      for (const { partition } of partitions) owned.delete(partition)
      changed()
    },
    onLost: (partitions) => {
      for (const { partition } of partitions) owned.delete(partition)
      changed()
    },
  })
  const got: string[] = []
  const reading = (async () => {
    for await (const { value } of consumer) {
      got.push(String(value))
      changed()
    }
  })().catch(() => {})
  onTestFinished(async () => {
    await consumer.close()
    await reading
  })
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise<void>((resolve) => waiting.push(resolve))
  }
  return { owned, got, until }
}

test('the partitions of a member that is not heard of are another one’s when the clock says so', async () => {
  const clock = new ManualClock()
  const broker = await start({ clock, topics: { orders: 2 } })
  const silent = await RawClient.connect(broker.port)
  onTestFinished(() => silent.close())
  const joined = await join(silent, 9, { sessionTimeoutMs: 10_000 })
  await sync(silent, 5, joined)
  const other = member(broker, 'other')
  const beat = { groupId: 'g', generationId: 1, memberId: joined.memberId, groupInstanceId: null }
  await expect
    .poll(async () => (await silent.request(heartbeat, 4, beat)).errorCode)
    .toBe(errors.REBALANCE_IN_PROGRESS.code)
  await clock.advance(9_999)
  await settle()
  expect(other.owned.size).toBe(0)
  await clock.advance(1)
  await other.until(() => other.owned.size === 2)
})

test('a member goes on after a reset, with what is written then', async () => {
  const broker = await start({ topics: { orders: { records: [{ value: 'seed' }] } } })
  const producer = ours(broker)
  const one = member(broker, 'one')
  await one.until(() => one.got.length === 1)
  await broker.reset()
  // Once or twice: because its offset is out of range, and because it has joined anew and its group has committed nothing.
  await one.until(() => one.got.length >= 2)
  await producer.send('orders', 'new')
  await one.until(() => one.got.includes('new'))
  expect(one.got.slice(0, -1)).toEqual(one.got.slice(0, -1).map(() => 'seed'))
})

test('a consumer reads on after errors and lost connections', async () => {
  const broker = await start({ topics: { orders: { records: [{ value: 'a' }, { value: 'b' }] } } })
  const errors = broker.faults.inject({
    api: 'Fetch',
    topic: 'orders',
    error: 'NOT_LEADER_OR_FOLLOWER',
    times: 2,
  })
  const drops = broker.faults.inject({ api: 'Fetch', drop: true, when: 'after', times: 2 })
  const coordinator = broker.faults.inject({ api: 'FindCoordinator', error: 'COORDINATOR_NOT_AVAILABLE' })
  const one = member(broker, 'one')
  await one.until(() => one.got.length === 2)
  expect(one.got).toEqual(['a', 'b'])
  expect([errors.hits, drops.hits, coordinator.hits]).toEqual([2, 2, 1])
})

test('any number of brokers live beside each other', async () => {
  const brokers = await Promise.all(Array.from({ length: 8 }, () => start()))
  expect(new Set(brokers.map(({ address }) => address)).size).toBe(8)
  expect(new Set(brokers.map(({ clusterId }) => clusterId)).size).toBe(8)
  const fault = brokers[3]!.faults.inject({ api: 'Produce', drop: true, when: 'after' })
  await Promise.all(
    brokers.map(async (broker, n) => {
      const producer = n % 2 === 0 ? ours(broker) : await theirs(broker)
      await producer.send('orders', `of ${n}`)
    }),
  )
  await brokers[5]!.reset()
  const found = await Promise.all(brokers.map(async (broker) => values(await broker.records('orders'))))
  expect(found).toEqual(brokers.map((_, n) => (n === 5 ? [] : [`of ${n}`])))
  expect(fault.hits).toBe(1)
})
