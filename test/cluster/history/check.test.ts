/**
 * A checker that cries wolf is switched off. What it says of a history in which all is well, however much went wrong, is nothing;
 * and of one in which something is not, what a person needs to see it.
 */
import { describe, expect, test } from 'vitest'
import { isLongRun, progress, seed as firstSeed, timeout } from '../../support/long-run.js'
import { check } from './check.js'
import type { HistoryEvent } from './event.js'
import { generate } from './generator/generate.js'

const runs = isLongRun ? 50_000 : 150

test('there is no anomaly in what a correct cluster shows its clients', { timeout }, () => {
  const seen = { lost: 0, duplicates: 0, failed: 0, unknown: 0, crashes: 0, deletions: 0 }
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    progress(seed - firstSeed, runs, 'histories')
    const events = generate(seed)
    const report = check(events)
    if (report.anomalies.length > 0) expect.fail(`seed ${seed}\n${report}`)
    seen.lost += report.tolerated.filter(({ rule }) => rule === 'lost write').length
    seen.duplicates += report.tolerated.filter(({ rule }) => rule === 'duplicate').length
    seen.failed += report.counts.failed
    seen.unknown += report.counts.unknown
    seen.crashes += report.counts.crashes
    seen.deletions += events.filter(
      (event) => event.type === 'ok' && Object.values(event.ends ?? {}).some(([start]) => start > 0),
    ).length
  }
  // Of what never happens, the checker cannot think too badly.
  for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(runs / 10)
})

test('a history of 100,000 events is checked before anybody loses patience', { timeout }, () => {
  const events = generate(1, { steps: 190_000, partitions: 6, deletes: false })
  expect(events.length).toBeGreaterThan(100_000)
  const began = process.cpuUsage()
  const report = check(events)
  // Of the processor: what the others on the machine take of it is no fault of the checker's.
  expect(process.cpuUsage(began).user).toBeLessThan(8_000_000)
  expect(report.anomalies).toEqual([])
  expect(report.counts).toMatchObject({ partitions: 6, finallyRead: 6 })
  expect(report.counts.read).toBeGreaterThan(100_000)
})

const producer = (client: string, acks: 'all' | 1 = 'all'): HistoryEvent => ({
  time: 0,
  client,
  type: 'start',
  producer: { acks, idempotent: false },
})
const sent = (time: number, client: string, value: string, offset: number): HistoryEvent[] => [
  { time, client, type: 'invoke', operation: time, call: 'produce', partition: 'orders-0', value },
  { time: time + 500, client, type: 'ok', operation: time, offset },
]
const finalRead = (time: number, records: [number, string][], end: number): HistoryEvent[] => [
  { time, client: 'final', type: 'start', consumer: { final: true } },
  { time, client: 'final', type: 'invoke', operation: 1, call: 'listOffsets' },
  { time: time + 100, client: 'final', type: 'ok', operation: 1, ends: { 'orders-0': [0, end] } },
  { time: time + 100, client: 'final', type: 'assigned', positions: { 'orders-0': 0 } },
  { time: time + 200, client: 'final', type: 'invoke', operation: 2, call: 'poll' },
  {
    time: time + 900,
    client: 'final',
    type: 'ok',
    operation: 2,
    records: { 'orders-0': records },
    positions: { 'orders-0': end },
  },
]

describe('a report', () => {
  test('tells what is wrong, with who saw what, and when', () => {
    const events: HistoryEvent[] = [
      producer('a'),
      producer('b'),
      ...sent(1000, 'a', 'a.0', 0),
      ...sent(2000, 'b', 'b.0', 1),
      ...sent(3000, 'a', 'a.1', 2),
      { time: 4000, client: 'b', type: 'crash' },
      ...finalRead(
        5000,
        [
          [0, 'a.0'],
          [2, 'a.1'],
        ],
        3,
      ),
    ]
    expect(String(check(events))).toBe(
      `
15 events of 3 clients, 1 of which crashed
3 writes acknowledged, 0 failed, 0 unknown; 2 records read, 0 commits
1 of 1 partitions were read to the end

lost write × 1
orders-0: "b.0" was acknowledged at offset 1 with acks=all and nobody ever read it, though the final read went on to what is behind it, at 2
         2.000 ms  b      sends "b.0" to orders-0
         2.500 ms  b      is told that "b.0" is at offset 1
         4.000 ms  b      crashes
         5.100 ms  final  is assigned orders-0 at 0
         5.200 ms  final  polls
         5.900 ms  final  gets orders-0 0 "a.0", 2 "a.1", and is at 3`.trimStart(),
    )
  })

  test('counts what was acknowledged by one broker alone and is lost, and does not blame it on anybody', () => {
    const events = [
      producer('a', 1),
      ...sent(1000, 'a', 'a.0', 0),
      ...sent(2000, 'a', 'a.1', 1),
      ...sent(3000, 'a', 'a.2', 1),
      ...finalRead(
        5000,
        [
          [0, 'a.0'],
          [1, 'a.2'],
        ],
        2,
      ),
    ]
    const report = check(events)
    expect(report.anomalies).toEqual([])
    expect(report.tolerated).toMatchObject([{ rule: 'unseen write', subject: 'orders-0', offset: 1 }])
    expect(String(report)).toContain('tolerated: unseen write × 1')
  })

  test('says where nobody has read to the end, as no loss can be told there', () => {
    const report = check([producer('a'), ...sent(1000, 'a', 'a.0', 0)])
    expect(report.anomalies).toEqual([])
    expect(String(report)).toContain(
      '0 of 1 partitions were read to the end; of the others no loss can be told',
    )
  })

  test('shows of many findings and large polls what a person can read', () => {
    const records = Array.from({ length: 1000 }, (_, offset): [number, string] => [
      offset,
      `nobody.${offset}`,
    ])
    const told = String(check(finalRead(0, records, 1000)))
    expect(told).toContain('value from nowhere × 1000')
    expect(told).toContain('and 997 more')
    expect(told).toContain('(of 1000, 0 to 999)')
    expect(told.length).toBeLessThan(3000)
  })
})
