/**
 * A comparison of clusters that counts too little, or says so of the wrong broker, makes claims that are not true. Kafka is not
 * needed here: these tests look at arguments, at how figures are put together, judged and told, and at a measurement of varve
 * alone that is over in a moment.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { etcdMissing } from './support/etcd.js'
import { root } from './support/tree.js'

/** Plain JavaScript without declarations. */
const load = (file: string): Promise<any> => import(pathToFileURL(join(root, file)).href)

const directory = mkdtempSync(join(tmpdir(), 'varve-bench-cluster-test-'))
afterAll(() => rmSync(directory, { recursive: true }))

const isBuilt: boolean = await (await load('scripts/load.mjs')).load.present()
const missing = isBuilt ? etcdMissing : 'the load is not built; build it with: npm run setup:conformance'

describe.skipIf(missing !== null)(`a measurement of varve${missing === null ? '' : ` (${missing})`}`, () => {
  let cluster: any
  beforeAll(async () => {
    const { suite } = await load('bench/cluster/suite.mjs')
    cluster = await suite.begin('varve', directory, { stands: false, nodeOptions: [] })
  }, 120_000)
  afterAll(() => cluster?.stop())

  test(
    'counts what is committed on three brokers, whatever the acknowledgement',
    { timeout: 120_000 },
    async () => {
      const { measureProducing } = await load('bench/cluster/producing.mjs')
      const context = { milliseconds: 20, workplace: { root: directory } }
      const common = {
        client: 'native',
        batch: '16 KB',
        codec: 'lz4',
        replicationFactor: 3,
        minInsync: 2,
        producers: 2,
      }
      for (const acks of ['all', 1, 0]) {
        const figures = await measureProducing(cluster, { ...common, partitions: 6, acks }, context)
        expect(figures.perSecond, String(acks)).toBeCloseTo(figures.records / figures.seconds)
        // Three leaders of two partitions each, with a batch of 15 records for both in every request.
        expect(figures.records % 30, String(acks)).toBe(0)
        expect(figures.storeCpuSecondsPerGigabyte, String(acks)).toBeGreaterThanOrEqual(0)
        expect(figures.latencies === undefined, String(acks)).toBe(acks === 0)
      }
    },
  )

  test(
    'notices a record too many, and has a leader again after one was killed',
    { timeout: 120_000 },
    async () => {
      const topics = await cluster.createTopics([{ leaders: [1, 2, 3] }])
      await cluster.assertRecords(topics, 0)
      await expect(cluster.assertRecords(topics, -1)).rejects.toThrow(
        '-1 records were acknowledged, and 0 are there',
      )
      expect(await cluster.leaderOf(topics[0])).toBe(1)
      await cluster.kill(1)
      await cluster.led(topics)
      expect(await cluster.leaderOf(topics[0])).not.toBe(1)
      await cluster.restart(1)
      await cluster.inSync(topics)
    },
  )
})

test('arguments select cells, and what is no argument is told with the usage', async () => {
  const { benchClusterOptions } = await load('scripts/bench-cluster.mjs')
  const nothing = { full: false, quick: false, profile: false, names: [] }
  expect(benchClusterOptions([])).toEqual(nothing)
  expect(benchClusterOptions(['--full', '--only', 'produce', '--only', 'native, 1 MB'])).toEqual({
    ...nothing,
    full: true,
    names: ['produce', 'native, 1 MB'],
  })
  expect(benchClusterOptions(['--help'])).toBeNull()
  expect(benchClusterOptions(['-h', '--quick'])).toBeNull()
  for (const wrong of [['produce'], ['--all'], ['--only']])
    expect(() => benchClusterOptions(wrong), wrong.join()).toThrow(/\nusage: npm run bench:cluster -- /)
})

test('partitions are led by all brokers in equal parts, by each in a topic of its own for the native client', async () => {
  const { topicsFor } = await load('bench/cluster/producing.mjs')
  expect(topicsFor('native', 1)).toEqual([{ leaders: [1] }])
  expect(topicsFor('native', 6)).toEqual([{ leaders: [1, 1] }, { leaders: [2, 2] }, { leaders: [3, 3] }])
  expect(topicsFor('java', 6)).toEqual([{ leaders: [1, 2, 3, 1, 2, 3] }])
})

test('clients that ran together have sent the sum, and are as late as the latest', async () => {
  const { together } = await load('bench/cluster/producing.mjs')
  const figures = (records: number, seconds: number, p50: number, p99: number) => ({
    records,
    seconds,
    latencies: { p50, p99 },
  })
  expect(together([figures(10, 2, 5, 9), figures(20, 1, 4, 12)])).toEqual(figures(30, 2, 5, 12))
  expect(together([{ records: 1, seconds: 1, latencies: null }])).toEqual({ records: 1, seconds: 1 })
})

test('a percentile is one of the values, and of few the last one', async () => {
  const { percentile } = await load('bench/cluster/sections/failover.mjs')
  const values = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
  expect(percentile(values, 50)).toBe(5)
  expect(percentile(values, 99)).toBe(10)
  expect(percentile([7], 50)).toBe(7)
})

describe('the report', () => {
  const cell = (parameters: object, varve: object, kafka: object, id = 'a cell') => ({
    id,
    parameters,
    subjects: { varve: { median: varve }, kafka: { median: kafka } },
  })
  const judge = async (section: string, cells: object[]) => {
    const { judged } = await load('bench/report/judged.mjs')
    const { aims } = await load('bench/cluster/aims.mjs')
    return judged(aims, [{ section: { name: section }, cells }])
      .filter(({ verdict }: any) => verdict !== null)
      .map(({ work, verdict }: any) => [work, verdict.reached, verdict.measured])
  }
  const usualCells = async () => {
    const { cells } = await load('bench/cluster/sections/produce.mjs')
    return (acks: unknown, minInsync: number) =>
      cells({ full: false }).find(
        ({ parameters }: any) =>
          parameters.client === 'native' && parameters.acks === acks && parameters.minInsync === minInsync,
      )
  }

  test('judges what replication costs by the share of throughput that each keeps', async () => {
    const usual = await usualCells()
    const figures = (perSecond: number) => ({ perSecond, cpuSecondsPerGigabyte: 1 })
    const measured = (all: number) => [
      cell(usual('all', 2).parameters, figures(all), figures(60)),
      cell(usual('all', 3).parameters, figures(79), figures(60)),
      cell(usual(1, 2).parameters, figures(200), figures(120)),
    ]
    const of = async (all: number) =>
      (await judge('cluster-produce', measured(all))).filter(([work]: any) => / against /.test(work))
    expect(await of(100)).toEqual([
      ['acks all against acks 1, 16 KB batches', true, '0.50× (Kafka: 0.50×)'],
      ['min.insync.replicas 3 against 2, acks all, 16 KB batches', false, '0.79× (Kafka: 1.0×)'],
    ])
    expect((await of(98)).map(([, reached]: any) => reached)).toEqual([false, true])
    expect(await judge('cluster-produce', [])).toEqual([])
  })

  test('judges failover and many partitions, and tells both figures', async () => {
    const gone = (p50: number, p99: number) => ({ rounds: 10, milliseconds: { p50, p99 } })
    expect(
      await judge('cluster-failover', [cell({ misfortune: 'killed' }, gone(60, 9100), gone(9000, 9000))]),
    ).toEqual([['leader killed, until the first acknowledged write: p99', false, '9.1 s (Kafka: 9.0 s)']])
    const many = (startMilliseconds: number, busiest: number) => ({
      startMilliseconds,
      failoverMilliseconds: 100,
      residentBytes: 300e6,
      idleCpuPercent: { 1: 1, 2: busiest, 3: 1 },
    })
    const judgedMany = await judge('cluster-partitions', [cell({}, many(1000, 3), many(2000, 4))])
    expect(
      judgedMany.map(([work, reached]: any) => [work.replace('2,000 partitions × 3: ', ''), reached]),
    ).toEqual([
      ['start', true],
      ['a third of them fail over', true],
      ['memory of the three brokers', false],
      ['CPU time without anything to do', true],
    ])
  })

  test('has a row for every cell, measured or not, and a word that selects it', async () => {
    const { selected } = await load('bench/kafka/run.mjs')
    const { sections } = await load('bench/cluster/sections/index.mjs')
    for (const section of sections) {
      const [usual, all] = [false, true].map((full) => section.cells({ full }).map(({ id }: any) => id))
      expect(new Set(all).size, section.name).toBe(all.length)
      // What a short run measures has its place in the page of the long one.
      expect(all, section.name).toEqual(expect.arrayContaining(usual))
      const failed = section.cells({ full: true }).map((one: any) => ({
        ...one,
        subjects: Object.fromEntries(one.subjects.map((who: string) => [who, { runs: [], error: 'no' }])),
      }))
      for (const table of section.tables(failed))
        expect(JSON.stringify(table.rows), table.name).not.toContain('NaN')
    }
    const ids = (...names: string[]) => selected(sections, names).flatMap(({ cells }: any) => cells).length
    expect(selected(sections, []).length).toBe(sections.length)
    expect(ids('native, 1 MB')).toBe(2)
    expect(ids('failover')).toBe(2)
    expect(ids('nothing is called so')).toBe(0)
  })

  test("tells varve's etcd by itself, in a table that has no Kafka", async () => {
    const { tables } = await load('bench/cluster/sections/partitions.mjs')
    const figures = (residentBytes: number) => ({
      createMilliseconds: 1000,
      failoverMilliseconds: 50,
      startMilliseconds: 1500,
      residentBytes,
      idleCpuPercent: { 1: 1, 2: 2, 3: 3 },
    })
    const ours = { ...figures(225e6), storeIdleCpuPercent: 2, storeResidentBytes: 31e6 }
    const [, cpu, memory] = tables([cell({}, ours, figures(1200e6))])
    expect(memory.rows).toEqual([
      ['the three brokers', '225 MB', '1200 MB', '0.19×'],
      ["varve's etcd", '31 MB', '', '–'],
    ])
    expect(cpu.rows.map(([who, , kafka]: string[]) => [who, kafka])).toEqual([
      ['broker 1', '1.0 %'],
      ['broker 2', '2.0 %'],
      ['broker 3', '3.0 %'],
      ["varve's etcd", ''],
    ])
  })
})
