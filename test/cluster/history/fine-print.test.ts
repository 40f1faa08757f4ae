/**
 * Between what must not be and what may just be lies a moment, an offset or a promise. A rule that is a hair too strict accuses
 * a cluster of what Kafka allows, one that is a hair too lax misses what happens once a year.
 */
import { describe, expect, test } from 'vitest'
import { check } from './check.js'
import type { HistoryEvent, Ok } from './event.js'
import type { RuleName } from './finding.js'

type Without<Event, Key extends string> = Event extends unknown ? Omit<Event, Key> : never

/** What happened, in the order in which it is written; each client starts by itself. */
class Story {
  readonly events: HistoryEvent[] = []
  #operation = 0
  #now = 0

  at(time: number): this {
    this.#now = time
    return this
  }

  add(client: string, event: Without<HistoryEvent, 'time' | 'client'>): this {
    if (!this.events.some((one) => one.client === client)) this.events.push(startOf(client))
    this.events.push({ time: this.#now, client, ...event } as HistoryEvent)
    return this
  }

  invoke(client: string, call: object): this {
    return this.add(client, { type: 'invoke', operation: ++this.#operation, ...call } as HistoryEvent)
  }

  ok(client: string, result: Partial<Ok> = {}): this {
    return this.add(client, { type: 'ok', operation: this.#operation, ...result } as HistoryEvent)
  }

  send(client: string, value: string): this {
    return this.invoke(client, { call: 'produce', partition: 'orders-0', value })
  }

  /** From now on for so long. */
  sent(client: string, value: string, offset?: number, duration = 0): this {
    return this.send(client, value)
      .at(this.#now + duration)
      .ok(client, offset === undefined ? {} : { offset })
  }

  polled(client: string, records: Record<number, string>, position?: number): this {
    return this.invoke(client, { call: 'poll' }).ok(client, {
      records: { 'orders-0': Object.entries(records).map(([offset, value]) => [Number(offset), value]) },
      ...(position === undefined ? {} : { positions: { 'orders-0': position } }),
    })
  }

  final(ends: [number, number], records: Record<number, string>): this {
    return this.invoke('final', { call: 'listOffsets' })
      .ok('final', { ends: { 'orders-0': ends } })
      .polled('final', records, ends[1])
  }

  assigned(client: string, position: number | null, generation?: number): this {
    return this.add(client, { type: 'assigned', positions: { 'orders-0': position }, generation })
  }

  commit(client: string, offset: number, generation?: number): this {
    return this.invoke(client, { call: 'commit', offsets: { 'orders-0': offset }, generation })
  }

  told(client: string, offset: number | null): this {
    return this.invoke(client, { call: 'committed' }).ok(client, { offsets: { 'orders-0': offset } })
  }
}

function startOf(client: string): HistoryEvent {
  const start = { time: 0, client, type: 'start' } as const
  if (client === 'final') return { ...start, consumer: { final: true } }
  if (client.startsWith('reader')) return { ...start, consumer: {} }
  if (client.startsWith('member')) return { ...start, consumer: { group: 'g', reset: 'earliest' } }
  const acks = client.startsWith('one') ? 1 : 'all'
  return { ...start, producer: { acks, idempotent: client.startsWith('idempotent') } }
}

const four = { 0: 'a', 1: 'b', 2: 'c', 3: 'd' }
const log = (): Story =>
  ['a', 'b', 'c', 'd'].reduce((story, value, i) => story.sent('p', value, i), new Story())

const allowed: Record<string, Story> = {
  'a record whose offset nobody was told may have been deleted': new Story()
    .sent('p', 'a')
    .sent('p', 'b', 1)
    .final([1, 2], { 1: 'b' }),
  'at the moment in which it is sent a record may be read': new Story()
    .polled('reader', { 0: 'a' })
    .sent('p', 'a', 0),
  'at the moment in which another is acknowledged a record may still come before it': new Story()
    .at(1)
    .send('p', 'a')
    .at(5)
    .ok('p', { offset: 1 })
    .sent('p', 'b', 0),
  'what one broker alone acknowledged has no place until it is read': new Story()
    .sent('p', 'a', 5)
    .at(2)
    .sent('one', 'b', 3),
  'a consumer that has given up a partition begins anywhere': log()
    .polled('reader', { 2: 'c' })
    .add('reader', { type: 'revoked', partitions: ['orders-0'] })
    .polled('reader', { 0: 'a' }),
  'offsets at which nobody saw a record are passed': log()
    .polled('reader', four)
    .sent('p', 'e', 9)
    .polled('reader', { 9: 'e' }),
  'at the moment in which a commit is over the one before may still be told': new Story()
    .commit('member-1', 5)
    .ok('member-1')
    .at(2)
    .commit('member-1', 7)
    .at(4)
    .ok('member-1')
    .told('member-2', 5),
  'a commit that ends when another begins may come after it': new Story()
    .at(1)
    .commit('member-1', 5)
    .at(2)
    .ok('member-1')
    .commit('member-1', 7)
    .ok('member-1')
    .at(9)
    .told('member-2', 5),
  'a commit of unknown outcome may take effect at any time': new Story()
    .commit('member-1', 5)
    .at(1)
    .commit('member-2', 7)
    .ok('member-2')
    .at(3)
    .told('member-2', 7)
    .at(4)
    .told('member-2', 5),
  'a member may have asked for the offset at any time since it did something else': log()
    .polled('reader', four)
    .add('member-2', { type: 'revoked', partitions: [] })
    .at(5)
    .commit('member-1', 4)
    .ok('member-1')
    .at(9)
    .assigned('member-2', null)
    .polled('member-2', four),
  'at the moment in which a generation begins the one before may still commit': new Story()
    .at(1)
    .assigned('member-1', null, 2)
    .commit('member-2', 5, 1)
    .ok('member-2'),
  'a member may be told of its partition twice': new Story()
    .assigned('member-1', 0, 1)
    .assigned('member-1', 0, 1),
}

const anomalies: Record<string, [RuleName, Story]> = {
  'two records that nobody has read were acknowledged at one offset': [
    'two values at one offset',
    new Story().send('p', 'a').send('q', 'b').ok('q', { offset: 0 }).sent('q', 'c', 0),
  ],
  'a record was read where another had been acknowledged that nobody has read': [
    'two values at one offset',
    new Story().send('q', 'b').sent('p', 'a', 0).polled('reader', { 0: 'b' }),
  ],
  'a consumer says that it went back': [
    'poll goes back',
    log().polled('reader', four).polled('reader', {}, 2),
  ],
  'a consumer says that it passed a record': [
    'poll skips',
    log().polled('reader-1', four).polled('reader-2', { 0: 'a' }).polled('reader-2', {}, 3),
  ],
  'a commit of unknown outcome that was told is followed by one before it': [
    'committed offset goes back',
    new Story()
      .commit('member-1', 5)
      .ok('member-1')
      .at(2)
      .commit('member-1', 7)
      .at(4)
      .told('member-2', 7)
      .at(6)
      .told('member-2', 5),
  ],
  'a commit is told before it is made': [
    'offset that nobody committed',
    new Story().told('member-2', 5).at(3).commit('member-1', 5).ok('member-1'),
  ],
  'a generation that is over has committed a moment later': [
    'commit of an old generation',
    new Story().assigned('member-1', null, 2).at(1).commit('member-2', 5, 1).ok('member-2'),
  ],
}
describe('it is allowed that', () => {
  test.each(Object.entries(allowed))('%s', (_, { events }) => {
    const report = check(events)
    expect(report.anomalies, String(report)).toEqual([])
  })
})

describe('it is found if', () => {
  test.each(Object.entries(anomalies))('%s', (_, [rule, { events }]) => {
    expect(check(events).anomalies.map((finding) => finding.rule)).toEqual([rule])
  })
})

test('a send of unknown outcome that nobody has read is not even counted as lost', () => {
  const { events } = new Story().send('one', 'a').sent('p', 'b', 0).final([0, 1], { 0: 'b' })
  expect(check(events)).toMatchObject({ anomalies: [], tolerated: [], counts: { unknown: 1 } })
})
