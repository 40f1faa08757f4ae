/**
 * A benchmark that measures the wrong thing, or stops half way because one peer fails, is noticed late: when somebody
 * believes its figures. These tests look at how measurements are made, checked and told, with short ones of varve alone.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { root } from './support/tree.js'

/** Plain JavaScript without declarations. */
const load = (file: string): Promise<any> => import(pathToFileURL(join(root, 'bench', file)).href)

const dir = mkdtempSync(join(tmpdir(), 'varve-bench-test-'))
afterAll(() => rmSync(dir, { recursive: true }))

describe('a measurement', () => {
  test('of appends is made in a process of its own, checked, and has figures', async () => {
    const { apart } = await load('harness/apart.mjs')
    for (const subject of ['varve', 'fs-async', 'fs-sync']) {
      const figures = await apart(
        {
          section: 'append',
          phase: 'measure',
          subject,
          parameters: { bytes: 1024, inFlight: 64, durable: false },
          context: { dir: mkdtempSync(join(dir, `${subject}-`)), milliseconds: 20 },
        },
        15_000,
      )
      expect(figures.count, subject).toBeGreaterThan(0)
      expect(figures.perSecond, subject).toBeCloseTo(figures.count / figures.seconds, 0)
      expect(figures.latencies.p99, subject).toBeGreaterThanOrEqual(figures.latencies.p50)
    }
  })

  test('that fails rejects with the reason, and one that hangs is ended', async () => {
    const { apart } = await load('harness/apart.mjs')
    const call = (subject: string) => ({
      section: 'append',
      phase: 'measure',
      subject,
      parameters: { bytes: 1024, inFlight: 1, durable: false },
      context: { dir: mkdtempSync(join(dir, 'failing-')), milliseconds: 60_000 },
    })
    await expect(apart(call('nobody'), 15_000)).rejects.toThrow('nobody')
    await expect(apart(call('fs-sync'), 500)).rejects.toThrow('it took more than 0.5 s')
  })

  test('notices a value that is lost, doubled or out of order', async () => {
    const { Checksum, Payload } = await load('harness/payload.mjs')
    const payload = new Payload(100)
    const readBack = (indexes: number[]) => () => {
      const read = new Checksum()
      for (const index of indexes) read.add(payload.value(index))
      read.assertEquals(payload.checksum(4), 'x')
    }
    expect(readBack([0, 1, 2, 3])).not.toThrow()
    for (const wrong of [
      [0, 1, 2],
      [0, 1, 2, 2],
      [0, 2, 1, 3],
      [0, 1, 2, 3, 4],
    ]) {
      expect(readBack(wrong), String(wrong)).toThrow('were read back')
    }
  })
})

test('a log written by hand is read as it was written, whatever the sizes', async () => {
  const { replayFile, writesOf } = await load('subjects/framing.mjs')
  const path = join(dir, 'framed')
  const values = [0, 1, 8192, 8193, 65_536, 1 << 20, 5, 700_000, 700_000].map((length, i) =>
    Buffer.alloc(length, i + 1),
  )
  // What a write consists of is valid until the next one.
  const writes: Buffer[] = []
  for (const vectors of writesOf(values)) writes.push(Buffer.concat(vectors))
  expect(writes.length).toBeGreaterThan(2)
  writeFileSync(path, Buffer.concat(writes))
  const read: Buffer[] = []
  replayFile(path, (value: Buffer) => read.push(Buffer.from(value)))
  expect(read.map(({ length }) => length)).toEqual(values.map(({ length }) => length))
  expect(read.every((value, i) => value.equals(values[i]!))).toBe(true)
})

test('medians are taken of every number, and repetitions are given up before the time is', async () => {
  const { medians } = await load('harness/statistics.mjs')
  const runs = [3, 1, 2].map((n) => ({ n, deep: { n: n * 10 }, name: 'x' }))
  expect(medians(runs)).toEqual({ n: 2, deep: { n: 20 }, name: 'x' })

  const { Schedule } = await load('harness/schedule.mjs')
  const schedule = new Schedule(10_000, 60)
  expect(schedule.repetitions(10, 3)).toBe(3)
  schedule.took(400)
  expect(schedule.repetitions(10, 3)).toBe(2)
  expect(schedule.isOver).toBe(false)
  expect(new Schedule(-1, 60).isOver).toBe(true)
})

describe('the report', () => {
  const cell = (parameters: object, figures: Record<string, object>) => ({
    id: 'a cell',
    parameters,
    subjects: Object.fromEntries(Object.entries(figures).map(([who, median]) => [who, { median }])),
  })
  const durable = { bytes: 1024, inFlight: 1024, durable: true }

  test('says which aims are reached, from the figures and nothing else', async () => {
    const { judged } = await load('report/judged.mjs')
    const { aims } = await load('report/aims.mjs')
    const verdicts = (varve: number) => {
      const cells = [
        cell(durable, {
          varve: { perSecond: varve },
          lmdb: { perSecond: 100 },
          'fs-sync': { perSecond: 450 },
        }),
      ]
      const rows = judged(aims, [{ section: { name: 'append' }, cells }])
      return rows.filter(({ verdict }: any) => verdict !== null).map(({ verdict }: any) => verdict.reached)
    }
    expect(verdicts(399)).toEqual([false, false])
    expect(verdicts(400)).toEqual([true, false])
    expect(verdicts(451)).toEqual([true, true])
  })

  test('lists every cell in which somebody is ahead', async () => {
    const { losses } = await load('report/losses.mjs')
    const section = await load('sections/append.mjs')
    const figures = (perSecond: number) => ({
      perSecond,
      cpuMicrosecondsPerRecord: 1,
      latencies: { p50: 1, p99: 1 },
    })
    const of = (varve: number, sqlite: number) =>
      losses([{ section, cells: [cell(durable, { varve: figures(varve), sqlite: figures(sqlite) })] }])
    expect(of(200, 100)).toEqual([])
    expect(of(100, 200)).toMatchObject([{ cell: 'a cell', ratio: '0.50×' }])
  })

  test('draws a chart that is well formed, whatever stands in it', async () => {
    const { svg } = await load('report/chart.mjs')
    const bar = { title: 'a < b & c', value: 3, text: '3/s', isOurs: true }
    const drawn = svg('1 & 2', { groups: [{ title: '<x>', bars: [bar] }] })
    expect(drawn).toContain('a &lt; b &amp; c')
    expect(drawn.match(/<rect /g)).toHaveLength(1)
  })
})

test('every section has its cells, and every cell a row to be told from others', async () => {
  const { sections } = await load('sections/index.mjs')
  const { titles } = await load('subjects/index.mjs')
  const manifest = JSON.parse(readFileSync(join(root, 'bench', 'package.json'), 'utf8'))
  expect(Object.keys(manifest.optionalDependencies).sort()).toEqual([
    'better-sqlite3',
    'classic-level',
    'lmdb',
  ])
  for (const section of sections) {
    for (const full of [false, true]) {
      const cells = section.cells({ full })
      const rows = cells.map(({ id, parameters }: any) => `${id} ${JSON.stringify(parameters)}`)
      expect(new Set(rows).size, section.name).toBe(cells.length)
      for (const { subjects } of cells) for (const subject of subjects) expect(titles).toHaveProperty(subject)
      // Nothing measured is something to tell as well: a section must not break on it.
      const unmeasured = cells.map((one: any) => ({
        ...one,
        subjects: Object.fromEntries(
          one.subjects.map((subject: string) => [subject, { runs: [], error: 'no' }]),
        ),
      }))
      expect(section.tables(unmeasured).length, section.name).toBeGreaterThan(0)
    }
  }
})
