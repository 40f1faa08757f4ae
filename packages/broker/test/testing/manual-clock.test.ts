/**
 * The failure this guards against: a test turns the clock, and what should come of it comes later, by chance, or by the
 * machine's time.
 */
import { errors, heartbeat, metadata, offsetFetch } from '@varve/protocol'
import { encodeBatch } from '@varve/records'
import { readdir } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Broker, type BrokerOptions, ManualClock, startBroker } from '../../src/index.js'
import { commit, join, sync } from '../support/group-requests.js'
import { RawClient } from '../support/raw-client.js'
import { fetchFrom, produceBody, settle } from '../support/test-broker.js'
import { produce } from '@varve/protocol'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

async function start(options: BrokerOptions = {}) {
  const clock = new ManualClock()
  const broker = await startBroker({ clock, ...options })
  const client = await connect(broker)
  onTestFinished(() => broker.close())
  return { broker, client, clock }
}

async function connect(broker: Broker): Promise<RawClient> {
  const client = await RawClient.connect(broker.port)
  onTestFinished(() => client.close())
  return client
}

async function beat(client: RawClient, memberId: string, generationId = 1): Promise<string> {
  const request = { groupId: 'g', generationId, memberId, groupInstanceId: null }
  const { errorCode } = await client.request(heartbeat, 4, request)
  return Object.values(errors).find(({ code }) => code === errorCode)!.name
}

test('a session ends when its time is over, and at no other time', async () => {
  const { client, clock } = await start()
  const joined = await join(client, 9, { sessionTimeoutMs: 10_000 })
  await sync(client, 5, joined)
  await clock.advance(9_999)
  expect(await beat(client, joined.memberId)).toBe('NONE')
  await clock.advance(9_999)
  expect(await beat(client, joined.memberId)).toBe('NONE')
  await clock.advance(10_000)
  expect(await beat(client, joined.memberId)).toBe('UNKNOWN_MEMBER_ID')
})

test('a rebalance waits for a member that does not come as long as the clock says', async () => {
  const { broker, client, clock } = await start()
  const first = await join(client, 9, { sessionTimeoutMs: 30_000 })
  await sync(client, 5, first)
  const other = await connect(broker)
  const joining = join(other, 9, { sessionTimeoutMs: 30_000 })
  await expect.poll(() => beat(client, first.memberId)).toBe('REBALANCE_IN_PROGRESS')
  let joined = false
  void joining.then(() => (joined = true))
  // rebalanceTimeoutMs is 20 s.
  await clock.advance(19_999)
  await settle()
  expect(joined).toBe(false)
  await clock.advance(1)
  expect((await joining).generationId).toBe(2)
  expect(await beat(client, first.memberId)).toBe('UNKNOWN_MEMBER_ID')
})

test('offsets and their group are kept for their time', async () => {
  const { broker, client, clock } = await start({ topics: { t: 1 }, groups: { offsetsRetentionMinutes: 60 } })
  await commit(client, 9, 7)
  const committed = async () => {
    const { topics } = await client.request(offsetFetch, 7, {
      groupId: 'g',
      topics: [{ name: 't', partitionIndexes: [0] }],
      requireStable: false,
    })
    return topics[0]!.partitions[0]!.committedOffset
  }
  await clock.advance(59 * minute)
  expect(await committed()).toBe(7)
  const stored = (await broker.records('__consumer_offsets')).length
  await clock.advance(11 * minute)
  // It is stored when the promise resolves: a tombstone for the offset and one for the group.
  expect(await broker.records('__consumer_offsets')).toHaveLength(stored + 2)
  expect(await committed()).toBe(-1)
})

async function send(client: RawClient, topic: string, value: string, timestamp: number): Promise<void> {
  const batch = encodeBatch([{ value, timestamp }], { compression: 'none' })
  const { responses } = await client.request(produce, 9, produceBody(topic, batch))
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
}

const values = async (broker: Broker, topic: string): Promise<string[]> =>
  (await broker.records(topic)).map(({ value }) => String(value))

test('records are gone when the clock has been turned beyond their retention', async () => {
  const { broker, client, clock } = await start({
    topics: {
      short: { configs: { 'retention.ms': hour, 'segment.ms': 10 * minute } },
      week: { records: [{ value: 'seed' }] },
    },
  })
  for (const age of [50, 30, 10]) await send(client, 'short', `${age} minutes`, clock.now() - age * minute)
  await clock.advance(9 * minute)
  expect(await values(broker, 'short')).toEqual(['50 minutes', '30 minutes', '10 minutes'])
  // Segments are rolled by their records' times, 10 minutes apart, so that each can go by itself.
  await clock.advance(7 * minute)
  expect(await values(broker, 'short')).toEqual(['30 minutes', '10 minutes'])
  expect((await fetchFrom(client, 'short')).logStartOffset).toBe(-1)
  expect((await fetchFrom(client, 'short', { offset: 1 })).logStartOffset).toBe(1)
  await clock.advance(6 * day)
  expect(await values(broker, 'short')).toEqual([])
  expect(await values(broker, 'week')).toEqual(['seed'])
  await clock.advance(2 * day)
  expect(await values(broker, 'week')).toEqual([])
})

test('LogAppendTime is the time of the clock, and segments age by it', async () => {
  const { broker, client, clock } = await start({
    topics: { t: { configs: { 'message.timestamp.type': 'LogAppendTime', 'segment.ms': hour } } },
  })
  const began = clock.now()
  await send(client, 't', 'a', 0)
  await clock.advance(hour)
  await send(client, 't', 'b', 0)
  await clock.advance(1)
  await send(client, 't', 'c', 0)
  expect((await broker.records('t')).map(({ timestamp }) => timestamp - began)).toEqual([0, hour, hour + 1])
  const files = await readdir(joinPath(broker.dataDirectories[0]!, 't-0'))
  expect(files.filter((name) => name.endsWith('.log')).sort()).toEqual([
    '00000000000000000000.log',
    '00000000000000000002.log',
  ])
})

test('long polls and the end of the broker go by the clock of those who wait for them', async () => {
  const { broker, client, clock } = await start({ topics: { t: 1 } })
  expect((await fetchFrom(client, 't', { maxWaitMs: 20 })).errorCode).toBe(0)
  expect(clock.pending).toBe(0)
  const { brokers } = await client.request(metadata, 12, { topics: null })
  expect(brokers).toHaveLength(1)
  await broker.close()
})

test('several brokers can share a clock, and one that is closed does not keep it', async () => {
  const clock = new ManualClock()
  const topics = { t: { configs: { 'retention.ms': minute }, records: [{ value: 'x' }] } }
  const brokers = await Promise.all([1, 2, 3].map(() => startBroker({ clock, topics })))
  await brokers[2]!.close()
  await clock.advance(hour)
  expect(await Promise.all(brokers.slice(0, 2).map((broker) => values(broker, 't')))).toEqual([[], []])
  await Promise.all(brokers.map((broker) => broker.close()))
  await clock.advance(hour)
  expect(clock.pending).toBe(0)
})

test('timers fire in their order, at their time, and those set meanwhile too', () => {
  const clock = new ManualClock(1000)
  const fired: string[] = []
  const fire = (what: string) => fired.push(`${what} at ${clock.now()}`)
  clock.setTimeout(() => fire('second'), 20)
  clock.setTimeout(() => {
    fire('first')
    clock.setTimeout(() => fire('set by the first'), 5)
    clock.setTimeout(() => fire('too late'), 91)
  }, 10)
  const cleared = clock.setTimeout(() => fire('cleared'), 15)
  clock.clearTimeout(cleared)
  void clock.advance(100)
  expect(fired).toEqual(['first at 1010', 'set by the first at 1015', 'second at 1020'])
  expect(clock.now()).toBe(1100)
  expect(clock.pending).toBe(1)
  expect(() => clock.advance(-1)).toThrow('not by -1')
})
