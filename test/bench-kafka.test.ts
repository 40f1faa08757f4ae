/**
 * A comparison with Kafka that measures the wrong thing makes claims that are not true. Kafka is not needed here: these
 * tests look at how figures are read, judged and told, and at measurements of varve alone that are over in a moment.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from './support/tree.js'

/** Plain JavaScript without declarations. */
const load = (file: string): Promise<any> => import(pathToFileURL(join(root, file)).href)

const dir = mkdtempSync(join(tmpdir(), 'varve-bench-kafka-test-'))
afterAll(() => rmSync(dir, { recursive: true }))

const isBuilt: boolean = await (await load('scripts/load.mjs')).load.present()
const unlessBuilt = isBuilt ? '' : ' (the load is not built; build it with: npm run setup:conformance)'

describe.skipIf(!isBuilt)(`a measurement of varve${unlessBuilt}`, () => {
  let broker: any
  beforeAll(async () => {
    const { start } = await load('bench/kafka/servers.mjs')
    const { Broker } = await load('bench/kafka/broker.mjs')
    broker = new Broker(await start.varve(join(dir, 'broker')))
  })
  afterAll(() => broker.stop())

  test('counts what is acknowledged, whatever the acknowledgement', async () => {
    const { measureProducing } = await load('bench/kafka/producing.mjs')
    const context = { milliseconds: 20, workplace: { root: dir } }
    const common = { client: 'native', batch: '16 KB', codec: 'lz4', connections: 2 }
    for (const acks of ['all', 1, 0]) {
      const figures = await measureProducing(broker, { ...common, partitions: 3, acks }, context)
      expect(figures.perSecond, String(acks)).toBeCloseTo(figures.records / figures.seconds)
      expect(figures.records % 45, String(acks)).toBe(0)
      expect(figures.latencies === undefined, String(acks)).toBe(acks === 0)
    }
  })

  test('reads all that is there, and fails where something is missing', async () => {
    const { batchesOf, nativeClient } = await load('bench/kafka/native-client.mjs')
    const topic = await broker.createTopic(2)
    const limits = { connections: 1, inFlight: 1, seconds: 10, maxBytes: 1 << 30, maxRequests: 4 }
    const batches = batchesOf([topic], { batchesPerRequest: 2 })
    const { records } = await nativeClient(broker, { kind: 'produce', ...batches, ...limits })
    expect(records).toBe(4 * 2 * 15)
    await broker.assertRecords([topic], records)
    await expect(broker.assertRecords([topic], records + 1)).rejects.toThrow('121 records were acknowledged')

    const reading = { kind: 'consume', topic, connections: 3, maxPartitionBytes: 1 << 20, maxBytes: 1 << 20 }
    expect(await nativeClient(broker, { ...reading, records })).toMatchObject({ records: 3 * records })
    await expect(nativeClient(broker, { ...reading, records: records - 1 })).rejects.toThrow(
      '120 records came instead of 119',
    )
    await expect(
      nativeClient(broker, {
        kind: 'produce',
        ...batchesOf([{ name: 'none', partitions: 1 }], {}),
        ...limits,
      }),
    ).rejects.toThrow('the broker answered with error 3')
  })

  test('follows records from the producer to the consumer', async () => {
    const { batchesOf, nativeClient } = await load('bench/kafka/native-client.mjs')
    const topic = await broker.createTopic(1)
    const pace = { requestsPerSecond: 1000, warmUpSeconds: 0.01, seconds: 0.04 }
    const figures = await nativeClient(broker, { kind: 'endToEnd', ...batchesOf([topic], {}), ...pace })
    expect(figures).toMatchObject({ requests: 50, records: 750, latencies: { count: 40 } })
    expect(figures.seconds).toBeGreaterThan(0.049)
  })
})

test('what foreign clients print is read, and what is not there is noticed', async () => {
  const { javaArrived, javaConsumed, javaProduced } = await load('bench/kafka/foreign-clients.mjs')
  const produced =
    '4 records sent, 1.0 records/sec\n200000 records sent, 80000.0 records/sec (78.13 MB/sec), 320.5 ms avg latency, 700.00 ms max latency, 330 ms 50th, 600 ms 95th, 690 ms 99th, 699 ms 99.9th.\n'
  expect(javaProduced(produced)).toEqual({
    records: 200_000,
    seconds: 2.5,
    latencies: { p50: 330_000, p99: 690_000 },
  })
  expect(() => javaProduced('Exception in thread "main"')).toThrow('ProducerPerformance printed no figures')
  const consumed =
    '2026-11-27 03:00:00:000, 2026-11-27 03:00:04:000, 256.0000, 64.0000, 262144, 65536.0, 3000, 2000, 128.0, 131072.0\n'
  expect(javaConsumed(consumed)).toEqual({ records: 262_144, seconds: 2 })
  expect(() => javaConsumed('')).toThrow('ConsumerPerformance printed no figures')
  const arrived = '0\t3.1\nAvg latency: 0.9000 ms\nPercentiles: 50th = 1, 99th = 5, 99.9th = 9\n'
  expect(javaArrived(arrived)).toEqual({ latencies: { p50: 1000, p99: 5000 } })
})

describe('the report', () => {
  const cell = (parameters: object, varve: object, kafka: object, id = 'a cell') => ({
    id,
    parameters,
    subjects: { varve: { median: varve }, kafka: { median: kafka } },
  })
  const judge = async (section: string, cells: object[]) => {
    const { judged } = await load('bench/report/judged.mjs')
    const { aims } = await load('bench/kafka/aims.mjs')
    return judged(aims, [{ section: { name: section }, cells }]).filter(
      ({ verdict }: any) => verdict !== null,
    )
  }

  test('judges an aim by its worst cell', async () => {
    const parameters = { client: 'java', batch: '16 KB' }
    const figures = (perSecond: number, cpuSecondsPerGigabyte: number) => ({
      perSecond,
      cpuSecondsPerGigabyte,
    })
    const good = cell(parameters, figures(200, 1), figures(100, 4), 'good')
    const bad = cell(parameters, figures(99, 1.1), figures(100, 4), 'bad')
    const reached = async (cells: object[]) =>
      (await judge('kafka-produce', cells)).map(({ verdict }: any) => verdict.reached)
    expect(await reached([good])).toEqual([true, true])
    expect(await reached([good, bad, good])).toEqual([false, false])
    const [cpu] = await judge('kafka-produce', [good, bad, good])
    expect(cpu.verdict.measured).toBe('2 of 3 cells; the worst: bad: 0.28× (1.10 s/GB against 4.00 s/GB)')
  })

  test('judges what needs no Kafka by itself, and says what is not there as nothing', async () => {
    const footprint = (readyMilliseconds: number) => ({
      readyMilliseconds,
      idleBytes: 80e6,
      connectedBytes: 301e6,
    })
    const reached = async (milliseconds: number) =>
      (await judge('kafka-footprint', [cell({}, footprint(milliseconds), footprint(3000))])).map(
        ({ verdict }: any) => verdict.reached,
      )
    expect(await reached(150)).toEqual([true, true, false])
    expect(await reached(151)).toEqual([false, true, false])
    expect(await judge('kafka-footprint', [])).toEqual([])
  })

  test('has a row for every cell, measured or not, and a word that selects it', async () => {
    const { selected } = await load('bench/kafka/run.mjs')
    const { sections } = await load('bench/kafka/sections/index.mjs')
    for (const section of sections) {
      const [usual, all] = [false, true].map((full) => section.cells({ full }).map(({ id }: any) => id))
      expect(new Set(all).size, section.name).toBe(all.length)
      // What a short run measures has its place in the page of the long one.
      expect(all, section.name).toEqual(expect.arrayContaining(usual))
      const failed = section.cells({ full: true }).map((one: any) => ({
        ...one,
        subjects: Object.fromEntries(one.subjects.map((who: string) => [who, { runs: [], error: 'no' }])),
      }))
      expect(section.tables(failed).length, section.name).toBeGreaterThan(0)
    }
    const ids = (...names: string[]) => selected(sections, names).flatMap(({ cells }: any) => cells).length
    expect(selected(sections, []).length).toBe(sections.length)
    expect(ids('native, 1 MB')).toBe(2)
    expect(ids('consume')).toBe(7)
    expect(ids('nothing is called so')).toBe(0)
  })
})

test('a long run goes on where it ended', async () => {
  const { FinishedCells } = await load('bench/kafka/finished-cells.mjs')
  const path = join(dir, 'finished.json')
  const first = FinishedCells.open(path)
  first.add('a', { id: 'one', subjects: {} })
  first.add('b', { id: 'two', subjects: {} })
  const second = FinishedCells.open(path)
  expect(second.has('a', 'one')).toBe(true)
  expect(second.has('a', 'two')).toBe(false)
  expect(second.of('b')).toEqual([{ id: 'two', subjects: {} }])
  second.end()
  expect(FinishedCells.open(path).has('a', 'one')).toBe(false)
})
