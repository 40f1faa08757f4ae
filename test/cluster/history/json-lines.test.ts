/**
 * A history that is read otherwise than it was meant makes the checker accuse the innocent, or nobody. Programs in several
 * languages write it, and are killed while they do: what does not follow the format is refused with the line that it is in.
 */
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../../support/tree.js'
import { check } from './check.js'
import type { HistoryEvent } from './event.js'
import { generate } from './generator/generate.js'
import { History } from './history.js'
import { HistoryWriter, parseEvent, readHistory } from './json-lines.js'

const folder = temporaryDirectory()

test('a history is read as it was written, though each client wrote a file of its own', () => {
  const events = generate(7)
  const files = new Map<string, { path: string; writer: HistoryWriter }>()
  for (const event of events) {
    let file = files.get(event.client)
    if (file === undefined) {
      const path = join(folder, `${event.client}.jsonl`)
      files.set(event.client, (file = { path, writer: new HistoryWriter(path) }))
    }
    file.writer.write(event)
  }
  for (const { writer } of files.values()) writer.close()
  const read = readHistory(...[...files.values()].map(({ path }) => path))
  const byTimeAndClient = (all: readonly HistoryEvent[]): HistoryEvent[] =>
    [...all].sort((a, b) => a.time - b.time || (a.client < b.client ? -1 : a.client > b.client ? 1 : 0))
  expect(byTimeAndClient(read)).toEqual(byTimeAndClient(events))
  expect(check(read).anomalies).toEqual([])
})

test('of a program that was killed the line that it had begun is left out', () => {
  const path = join(folder, 'killed.jsonl')
  const writer = new HistoryWriter(path)
  writer.write({ time: 1, client: 'a', type: 'start', consumer: {} })
  writer.close()
  appendFileSync(path, '{"time":2,"client":"a","ty')
  expect(readHistory(path)).toHaveLength(1)
})

test('a line that is no event is refused, with the file and the line', () => {
  const path = join(folder, 'wrong.jsonl')
  writeFileSync(path, '{"time":1,"client":"a","type":"crash"}\n{"time":2,"client":"a","type":"nap"}\n')
  expect(() => readHistory(path)).toThrow(`${path}:2: no event of a history`)
})

test.each([
  ['{"time":-1,"client":"a","type":"crash"}', 'time is -1'],
  ['{"time":1.5,"client":"a","type":"crash"}', 'time is 1.5'],
  ['{"time":1,"type":"crash"}', 'client is missing'],
  ['{"time":1,"client":"a","type":"crash","reason":"x"}', 'reason does not belong there'],
  ['{"time":1,"client":"a","type":"start","producer":{"acks":"-1","idempotent":true}}', 'producer is'],
  ['{"time":1,"client":"a","type":"start","consumer":{"grupo":"g"}}', 'consumer is'],
  ['{"time":1,"client":"a","type":"invoke","call":"toString","operation":1}', 'no event of a history'],
  ['{"time":1,"client":"a","type":"ok","operation":1,"records":{"orders-0":[[1]]}}', 'records is'],
  ['{"time":1,"client":"a","type":"seek","partition":"orders-0"}', 'offset is missing'],
  ['{"time":1', 'not JSON'],
  ['[]', 'no event of a history'],
])('%s is refused: %s', (line, why) => {
  expect(() => parseEvent(line)).toThrow(why)
})

describe('of a client', () => {
  const start: HistoryEvent = {
    time: 1,
    client: 'a',
    type: 'start',
    producer: { acks: 'all', idempotent: true },
    consumer: {},
  }
  const produce = { client: 'a', type: 'invoke', call: 'produce', partition: 'orders-0' } as const
  const sent: HistoryEvent = { ...produce, time: 2, operation: 1, value: 'a.0' }
  const commit = { client: 'a', type: 'invoke', call: 'commit', offsets: {} } as const

  test.each<[string, HistoryEvent[]]>([
    ['a client starts once', [sent]],
    ['a client starts once', [start, start]],
    ['who starts again has a new name', [start, { time: 2, client: 'a', type: 'crash' }, sent]],
    ['the clock went back', [start, { ...sent, time: 0 }]],
    ['the client has had an operation of this number', [start, sent, { ...sent, value: 'a.1' }]],
    ['the value has been sent before', [start, sent, { ...sent, operation: 2 }]],
    ['there is no such operation', [start, { time: 2, client: 'a', type: 'ok', operation: 9 }]],
    [
      'the operation has ended before',
      [
        start,
        sent,
        { time: 3, client: 'a', type: 'info', operation: 1 },
        { time: 3, client: 'a', type: 'ok', operation: 1 },
      ],
    ],
    [
      'its start does not say that it does such things',
      [{ ...start, producer: undefined } as HistoryEvent, sent],
    ],
    ['the client has no group', [start, { ...commit, time: 2, operation: 1 }]],
    [
      'records are missing',
      [
        start,
        { time: 2, client: 'a', type: 'invoke', operation: 1, call: 'poll' },
        { time: 3, client: 'a', type: 'ok', operation: 1 },
      ],
    ],
  ])('it is refused that %s', (why, events) => {
    expect(() => new History(events)).toThrow(why)
  })
})
