/**
 * The checker and its generator were made by the same hands, and may have forgotten the same. Porcupine knows nothing of anomalies:
 * it looks for an order in which everything that was seen can have happened to an append-only log, and says if there is none.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import { Random } from '../../../packages/replication/test/simulation/random.js'
import { check } from '../history/check.js'
import type { HistoryEvent } from '../history/event.js'
import { generate } from '../history/generator/generate.js'
import { History } from '../history/history.js'
import { readerMutations } from '../history/mutations/of-readers.js'
import { writeMutations } from '../history/mutations/of-writes.js'
import { porcupine, porcupineMissing, type PorcupineOptions } from './porcupine.js'

beforeEach((context) => {
  if (porcupineMissing !== null) context.skip(porcupineMissing)
})

async function verdictOn(events: readonly HistoryEvent[], options?: PorcupineOptions): Promise<string> {
  const verdicts = new Set((await porcupine(events, options)).map(({ verdict }) => verdict))
  return verdicts.has('illegal') ? 'illegal' : [...verdicts].join(' and ')
}

test('what a correct cluster shows its clients is that of a log', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    expect(await verdictOn(generate(seed)), `seed ${seed}`).toBe('ok')
    expect(await verdictOn(generate(seed), { sliceOffsets: 7 }), `seed ${seed}, in slices`).toBe('ok')
  }
})

test('a long history is judged by slices of its offsets', async () => {
  const verdicts = await porcupine(generate(1, { steps: 60_000, partitions: 3, deletes: false }))
  expect(verdicts.map(({ partition, verdict }) => `${partition} ${verdict}`)).toEqual([
    'orders-0 ok',
    'orders-1 ok',
    'orders-2 ok',
  ])
  for (const { slices, operations } of verdicts) {
    expect(slices).toBeGreaterThan(1)
    expect(operations).toBeGreaterThan(1000)
  }
})

test('when the time is over the verdict is unknown', async () => {
  expect(await verdictOn(generate(1), { timeoutMs: 0 })).toBe('unknown')
})

/** What concerns groups, and what nobody knows the offset of, does not show in a partition; nor does what is missing at the end. */
const invisible = new Set([
  'a record that was acknowledged without an offset is gone',
  'the end is behind what the final reader read',
  'the committed offset is one that another commit has replaced',
  'the committed offset is forgotten',
  'the committed offset is one that nobody committed',
  'a member begins at the first record of all',
  'a member begins behind a record that its group has not read',
  'a commit of a generation that is over is accepted',
  'two members own one partition',
])
/** Sends under way at once may come in any order, for all that a log knows: whether it shows depends on what others saw. */
const mutations = [...writeMutations, ...readerMutations].filter(({ finds }) => finds !== 'reordered writes')

describe.each([
  { verdict: 'illegal', of: mutations.filter(({ name }) => !invisible.has(name)) },
  { verdict: 'ok', of: mutations.filter(({ name }) => invisible.has(name)) },
])('the verdict is “$verdict”', ({ verdict, of }) => {
  test.each(of)('if $name', async ({ name, mutate }) => {
    let tried = 0
    for (let seed = 1; seed < 100 && tried < 3; seed++) {
      const events = mutate(new History(generate(seed, { deletes: false })), new Random(seed, name))
      if (events === null) continue
      tried++
      expect(await verdictOn(events), `seed ${seed}`).toBe(verdict)
    }
    expect(tried).toBe(3)
  })
})

const producer: HistoryEvent = {
  time: 0,
  client: 'a',
  type: 'start',
  producer: { acks: 'all', idempotent: true },
}
const reader: HistoryEvent = { time: 0, client: 'r', type: 'start', consumer: {} }
const send = (time: number, operation: number): HistoryEvent => ({
  time,
  client: 'a',
  operation,
  type: 'invoke',
  call: 'produce',
  partition: 'orders-0',
  value: `a.${operation}`,
})
const acknowledged = (time: number, operation: number, offset: number): HistoryEvent => ({
  time,
  client: 'a',
  operation,
  type: 'ok',
  offset,
})
const told = (time: number, end: number): HistoryEvent[] => [
  { time, client: 'r', operation: time, type: 'invoke', call: 'listOffsets' },
  { time: time + 1, client: 'r', operation: time, type: 'ok', ends: { 'orders-0': [0, end] } },
]

test('an end that was told late is stale only for who asks for the newest', async () => {
  const stale = [producer, reader, send(1, 0), acknowledged(2, 0, 0), ...told(3, 0)]
  expect(await verdictOn(stale)).toBe('ok')
  expect(await porcupine(stale, { fresh: true })).toEqual([
    {
      partition: 'orders-0',
      verdict: 'illegal',
      operations: 2,
      slices: 1,
      offsets: [0, 1000],
      noPlaceOf: 'the end 0, told by r, 3 to 4 µs',
    },
  ])
  const meanwhile = [producer, reader, send(1, 0), ...told(3, 0), acknowledged(5, 0, 0)]
  expect(await verdictOn(meanwhile, { fresh: true })).toBe('ok')
})

const polled = (time: number, records: [number, string][], position: number): HistoryEvent[] => [
  { time, client: 'r', operation: time, type: 'invoke', call: 'poll' },
  {
    time: time + 1,
    client: 'r',
    operation: time,
    type: 'ok',
    records: { 'orders-0': records },
    positions: { 'orders-0': position },
  },
]
const assigned: HistoryEvent = { time: 0, client: 'r', type: 'assigned', positions: { 'orders-0': 0 } }
const finalReader: HistoryEvent = { ...reader, consumer: { final: true } } as HistoryEvent
const two = [producer, reader, send(1, 0), acknowledged(2, 0, 0), send(3, 1), acknowledged(4, 1, 1)]

test.each<[verdict: string, why: string, events: HistoryEvent[]]>([
  ['ok', 'a reader sees two records', [...two, ...polled(5, [[0, 'a.0']], 1), ...polled(7, [[1, 'a.1']], 2)]],
  ['illegal', 'a reader passes a record', [...two, ...polled(5, [[0, 'a.0']], 1), ...polled(7, [], 2)]],
  [
    'illegal',
    'a reader has passed a record before it is there',
    [producer, reader, assigned, ...polled(1, [], 1), send(3, 0), acknowledged(4, 0, 0)],
  ],
  [
    'illegal',
    'an end is told before there is what lies before it',
    [producer, reader, ...told(1, 1), send(3, 0), acknowledged(4, 0, 0)],
  ],
  [
    'illegal',
    'the final reader is told an end before a record that was acknowledged',
    [producer, finalReader, send(1, 0), acknowledged(2, 0, 0), ...told(3, 0)],
  ],
  [
    'ok',
    'a reader that has given up a partition begins again',
    [
      ...two,
      ...polled(5, [[0, 'a.0']], 1),
      { time: 7, client: 'r', type: 'revoked', partitions: ['orders-0'] },
      ...polled(8, [[0, 'a.0']], 1),
    ],
  ],
])('the verdict is “%s” if %s', async (verdict, _, events) => {
  expect(await verdictOn(events)).toBe(verdict)
})

test('that an idempotent producer has sent in another order is seen by the checker alone', async () => {
  const events = [producer, send(1, 0), send(2, 1), acknowledged(3, 1, 0), acknowledged(4, 0, 1)]
  expect(await verdictOn(events)).toBe('ok')
  expect(check(events).anomalies).toMatchObject([{ rule: 'reordered writes' }])
})

test('what is no history is refused', async () => {
  await expect(porcupine([send(1, 0)])).rejects.toThrow('a did something before its start')
})
