// Members of a group share a topic. A record that two of them read, or none, is what groups must not do: when one comes,
// when one goes, when one dies, and when it goes on from where somebody else has stopped.

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import {
  Admin,
  Consumer,
  Producer,
  type ConsumerOptions,
  type RebalanceListener,
  type TopicPartition,
} from '../../src/index.js'
import { ManualClock } from '../manual-clock.js'
import { created, useRealBroker } from './real-broker.js'

const broker = useRealBroker()
let admin: Admin
let producer: Producer
beforeAll(() => {
  admin = new Admin({ brokers: broker.brokers })
  producer = new Producer({ brokers: broker.brokers, lingerMs: 0 })
})
afterAll(async () => {
  await producer.close()
  await admin.close()
})

/** A member that reads on and on, and what it has seen. */
class Member {
  readonly values: string[] = []
  readonly events: string[] = []
  readonly consumer: Consumer
  readonly ended: Promise<void>
  private readonly listeners = new Set<() => void>()

  constructor(topic: string, options: Partial<ConsumerOptions> = {}) {
    this.consumer = new Consumer({
      brokers: broker.brokers,
      groupId: `readers-of-${topic}`,
      offsetReset: 'earliest',
      heartbeatIntervalMs: 50,
      retryBackoffMs: 5,
      maxWaitMs: 50,
      ...options,
    })
    const note = (what: string) => (partitions: readonly TopicPartition[]) => {
      this.events.push(
        `${what} ${partitions
          .map(({ partition }) => partition)
          .sort()
          .join(',')}`,
      )
      this.changed()
    }
    const listener: RebalanceListener = {
      onAssigned: note('assigned'),
      onRevoked: note('revoked'),
      onLost: note('lost'),
    }
    this.consumer.subscribe([topic], listener)
    onTestFinished(async () => {
      await this.consumer.close()
      await this.ended
    })
    this.ended = this.run()
  }

  get partitions(): number[] {
    return this.consumer.assignment.map(({ partition }) => partition).sort()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.listeners.add(resolve))
  }

  private async run(): Promise<void> {
    for await (const { value } of this.consumer) {
      this.values.push(String(value))
      this.changed()
    }
  }

  private changed(): void {
    const listeners = [...this.listeners]
    this.listeners.clear()
    for (const listener of listeners) listener()
  }
}

async function topicOf(name: string, partitions: number): Promise<string> {
  await created(admin, { name, partitions })
  return name
}

const numbers = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => String(from + index))

async function send(topic: string, values: readonly string[], partitions: number): Promise<void> {
  await Promise.all(
    values.map(async (value, index) => producer.send(topic, { value, partition: index % partitions })),
  )
}

const committed = async (topic: string): Promise<number> =>
  (await admin.listGroupOffsets(`readers-of-${topic}`)).reduce((sum, { offset }) => sum + offset, 0)

test('one member reads everything, commits when it is closed, and the next goes on from there', async () => {
  const topic = await topicOf('passed-on', 3)
  await send(topic, numbers(0, 30), 3)
  const first = new Member(topic)
  await first.until(() => first.values.length === 30)
  expect(first.events).toEqual(['assigned 0,1,2'])
  await first.consumer.close()
  await first.ended
  expect(first.events).toEqual(['assigned 0,1,2', 'revoked 0,1,2'])
  expect(await committed(topic)).toBe(30)
  expect(await admin.describeGroups([`readers-of-${topic}`])).toMatchObject([{ state: 'Empty' }])
  await send(topic, numbers(30, 6), 3)
  const second = new Member(topic)
  await second.until(() => second.values.length === 6)
  expect(second.values.sort()).toEqual(numbers(30, 6))
})

test.each(['range', 'roundrobin', 'sticky', 'cooperative-sticky'] as const)(
  'a member comes and one goes, and every record has one reader: %s',
  { timeout: 120_000 },
  async (assignor) => {
    const topic = await topicOf(`shared-${assignor}`, 4)
    const options = { assignors: [assignor] }
    await send(topic, numbers(0, 40), 4)
    const first = new Member(topic, options)
    await first.until(() => first.values.length === 40)
    const second = new Member(topic, options)
    // A group may share out again before both have what they keep.
    await expect
      .poll(() => ({
        shares: [first.partitions.length, second.partitions.length],
        all: [...first.partitions, ...second.partitions].sort(),
      }))
      .toEqual({ shares: [2, 2], all: [0, 1, 2, 3] })
    await send(topic, numbers(40, 40), 4)
    await second.until(() => second.values.length === 20)
    await first.until(() => first.values.length === 60)
    if (assignor === 'cooperative-sticky') {
      // It went on with what it keeps, and gave up no more than it had to.
      expect(first.events.filter((event) => event.startsWith('revoked'))).toEqual([
        expect.stringMatching(/^revoked \d,\d$/),
      ])
    } else {
      expect(first.events).toContain('revoked 0,1,2,3')
    }
    await first.consumer.close()
    await second.until(() => second.partitions.length === 4)
    await send(topic, numbers(80, 8), 4)
    await second.until(() => second.values.length === 28)
    expect(
      [...first.values, ...second.values]
        .map(Number)
        .sort((a, b) => a - b)
        .map(String),
    ).toEqual(numbers(0, 88))
  },
)

test(
  'a member that dies without a word is replaced when its session is over',
  { timeout: 120_000 },
  async () => {
    const topic = await topicOf('orphaned', 2)
    const dying = new Consumer({
      brokers: broker.brokers,
      groupId: `readers-of-${topic}`,
      sessionTimeoutMs: 6_000,
      // Time stands still for it: no heartbeat is ever due.
      clock: new ManualClock(),
    })
    onTestFinished(() => dying.close())
    dying.subscribe([topic])
    const stop = new AbortController()
    const reading = dying.records({ signal: stop.signal }).next()
    const isStable = async (): Promise<boolean> => {
      const groups = await admin.listGroups({ states: ['Stable'] })
      return groups.some(({ groupId }) => groupId === `readers-of-${topic}`)
    }
    while (!(await isStable()));
    stop.abort()
    await expect(reading).rejects.toThrow()
    await send(topic, numbers(0, 4), 2)
    const heir = new Member(topic)
    await heir.until(() => heir.values.length === 4)
    expect(heir.partitions).toEqual([0, 1])
  },
)

test.each(['leader', 'follower'] as const)(
  'a static %s comes back to its partitions, and nobody else hears of it',
  { timeout: 120_000 },
  async (role) => {
    const topic = await topicOf(`static-${role}`, 4)
    const start = (groupInstanceId: string) => new Member(topic, { groupInstanceId, assignors: ['range'] })
    const leader = start('leader')
    await leader.until(() => leader.partitions.length === 4)
    const follower = start('follower')
    await leader.until(() => leader.partitions.length === 2)
    await follower.until(() => follower.partitions.length === 2)
    const [gone, other] = role === 'leader' ? [leader, follower] : [follower, leader]
    await send(topic, numbers(0, 8), 4)
    await gone.until(() => gone.values.length === 4)
    await other.until(() => other.values.length === 4)
    const { partitions } = gone
    const { length } = other.events
    await gone.consumer.close()
    const again = start(role)
    await again.until(() => again.partitions.length === 2)
    expect(again.partitions).toEqual(partitions)
    await send(topic, numbers(8, 8), 4)
    await again.until(() => again.values.length === 4)
    expect(again.values.every((value) => Number(value) >= 8)).toBe(true)
    await other.until(() => other.values.length === 8)
    expect(other.events).toHaveLength(length)
  },
)

test('partitions that are added find a member', { timeout: 120_000 }, async () => {
  const topic = await topicOf('growing', 1)
  const member = new Member(topic, { metadataMaxAgeMs: 100 })
  await member.until(() => member.partitions.length === 1)
  await admin.createPartitions([{ topic, count: 3 }])
  await member.until(() => member.partitions.length === 3)
  await send(topic, numbers(0, 3), 3)
  await member.until(() => member.values.length === 3)
})

test('a topic may be created after it was subscribed to', { timeout: 120_000 }, async () => {
  const member = new Member('later')
  await member.until(() => member.events.includes('assigned '))
  await topicOf('later', 2)
  await send('later', numbers(0, 2), 2)
  await member.until(() => member.values.length === 2)
})

test('offsets are committed by hand, and what is not committed comes again', async () => {
  const topic = await topicOf('by-hand', 1)
  await send(topic, numbers(0, 10), 1)
  const start = (): Consumer => {
    const consumer = new Consumer({
      brokers: broker.brokers,
      groupId: `readers-of-${topic}`,
      offsetReset: 'earliest',
      autoCommit: false,
    })
    onTestFinished(() => consumer.close())
    consumer.subscribe([topic])
    return consumer
  }
  const first = start()
  const seen: string[] = []
  for await (const { value } of first) {
    seen.push(String(value))
    if (seen.length === 4) await first.commit()
    if (seen.length === 6) break
  }
  const where = { topic, partition: 0 }
  expect(await first.committed([where])).toMatchObject([{ ...where, offset: 4 }])
  await first.close()
  const second = start()
  const { value } = await second.records().next()
  expect(String(value!.value)).toBe('4')
  await second.commit([{ ...where, offset: 9, metadata: 'nearly' }])
  expect(await second.committed([where])).toMatchObject([{ offset: 9, metadata: 'nearly' }])
})

test('a partition that is paused keeps its place, and goes on when it is resumed', async () => {
  const topic = await topicOf('pausing', 2)
  const member = new Member(topic)
  await member.until(() => member.partitions.length === 2)
  const where = { topic, partition: 0 }
  member.consumer.pause([where])
  expect(member.consumer.paused).toEqual([where])
  await send(topic, numbers(0, 10), 2)
  await member.until(() => member.values.length === 5)
  expect(member.values).toEqual(['1', '3', '5', '7', '9'])
  member.consumer.resume([where])
  await member.until(() => member.values.length === 10)
  expect(member.values.slice(5)).toEqual(['0', '2', '4', '6', '8'])
})

test('without a commit and without offsetReset there is nowhere to begin', async () => {
  const topic = await topicOf('nowhere', 1)
  const consumer = new Consumer({ brokers: broker.brokers, groupId: 'nobody', offsetReset: 'none' })
  onTestFinished(() => consumer.close())
  consumer.subscribe([topic])
  await expect(consumer.records().next()).rejects.toMatchObject({ code: 'VARVE_NO_OFFSET' })
})
