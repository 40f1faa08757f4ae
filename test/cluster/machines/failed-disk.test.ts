/**
 * A broker with several data directories loses the disk of one of them. A cluster that lets the whole broker go, or waits for the
 * partitions on that disk, has lost more than a disk; one that trusts the empty disk in its place has lost the records, too.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { Admin, Producer } from '@varve/client'
import { expect, onTestFinished, test, vi } from 'vitest'
import { contentOfTopic } from '../../crash/broker-content.js'
import { BrokerProcess } from '../../support/broker-process.js'
import { EtcdProcess, etcdMissing } from '../../support/etcd.js'
import { temporaryDirectory, varve } from '../../support/tree.js'
import { Machines } from './machines.js'
import { diskMissing } from './missing.js'

const TOPIC = 'orders'
const PARTITIONS = 4
const ids = [1, 2, 3]
const patient = { timeout: 60_000, interval: 100 }

const missing = etcdMissing ?? diskMissing('ext4')

test.skipIf(missing !== null).for(['second', 'first'] as const)(
  `the %s disk of several that fails takes its partitions away from the broker, and nothing else${missing === null ? '' : ` (skipped: ${missing})`}`,
  { timeout: 300_000 },
  async (which) => {
    await using machines = Machines.create([])
    const disk = machines.disk('broker-1', 64, 'ext4')
    const etcd = await EtcdProcess.start()
    onTestFinished(() => etcd.close())
    const folder = temporaryDirectory()
    const [good, bad] = [join(folder, 'broker-1'), join(disk.directory, 'data')]
    const directories = which === 'first' ? [bad, good] : [good, bad]
    const running = new Map<number, BrokerProcess>()
    onTestFinished(async () => {
      await Promise.all([...running.values()].map((broker) => broker.stop('SIGKILL')))
    })
    const start = async (id: number): Promise<void> => {
      const cluster = ['--cluster', `${etcd.url}/failed-disk`, '--broker-id', String(id)]
      const several = ['--data', directories[1]!, '--low-disk-bytes', '0', '--admin-port', '0']
      const broker =
        id === 1
          ? BrokerProcess.start(directories[0]!, [...cluster, ...several])
          : BrokerProcess.start(join(folder, `broker-${id}`), cluster)
      running.set(id, await broker)
    }
    await Promise.all(ids.map(start))
    const addresses = (): string[] => [...running.values()].map(({ address }) => address)
    // The broker in question is not the one that is asked.
    const others = [running.get(2)!.address, running.get(3)!.address]
    await using admin = new Admin({ brokers: others })
    /** What `varve cluster …` prints. */
    const cli = (...args: string[]): string =>
      spawnSync(process.execPath, [varve, 'cluster', ...args, '--broker', others[0]!], { encoding: 'utf8' })
        .stdout
    const replicas = Array.from({ length: PARTITIONS }, () => [1, 2, 3])
    const configs = { 'min.insync.replicas': '2' }
    await admin.createTopics([
      { name: TOPIC, replicas, configs },
      { name: 'quiet', replicas, configs },
    ])

    /** The partitions of a topic that broker 1 has in a directory. */
    const placed = async (topic: string, dir: string): Promise<number[]> =>
      (await admin.describeLogDirs({ nodeIds: [1] }))
        .find(({ path }) => path === dir)!
        .replicas.filter((replica) => replica.topic === topic)
        .map(({ partition }) => partition)
        .sort()
    await vi.waitFor(async () => {
      for (const topic of [TOPIC, 'quiet'])
        for (const dir of [good, bad]) expect(await placed(topic, dir)).toHaveLength(PARTITIONS / 2)
    }, patient)
    const [lost, quietLost] = [await placed(TOPIC, bad), await placed('quiet', bad)]

    const acknowledged = Array.from({ length: PARTITIONS }, () => new Map<number, string>())
    const failures: unknown[] = []
    const ended = new AbortController()
    const producer = new Producer({ brokers: others, acks: -1 })
    const load = Promise.all(
      Array.from({ length: PARTITIONS * 4 }, async (_, n) => {
        const partition = n % PARTITIONS
        for (let i = 0; !ended.signal.aborted; i++) {
          const value = `${n}/${i}/`.padEnd(1000, 'x')
          try {
            const { offset } = await producer.send(TOPIC, { value, partition })
            acknowledged[partition]!.set(offset, value)
          } catch (error) {
            failures.push(error)
          }
        }
      }),
    )
    onTestFinished(async () => {
      ended.abort()
      await producer.close()
    })
    const expectProgress = async (): Promise<void> => {
      const before = acknowledged.map(({ size }) => size)
      await vi.waitFor(() => {
        for (const [partition, { size }] of acknowledged.entries())
          expect(size, `acknowledged of ${TOPIC}-${partition}`).toBeGreaterThan(before[partition]! + 50)
      }, patient)
    }
    await expectProgress()

    const expectLetGo = async (topic: string, gone: readonly number[]): Promise<void> =>
      await vi.waitFor(async () => {
        const [described] = await admin.describeTopics([topic])
        for (const { partition, leader, isr } of described!.partitions) {
          if (gone.includes(partition)) {
            expect(leader, `leader of ${topic}-${partition}`).not.toBe(1)
            expect([...isr].sort(), `in sync of ${topic}-${partition}`).toEqual([2, 3])
          } else {
            expect(leader, `leader of ${topic}-${partition}`).toBe(1)
            expect([...isr].sort(), `in sync of ${topic}-${partition}`).toEqual(ids)
          }
        }
      }, patient)
    disk.fail()
    await expectLetGo(TOPIC, lost)
    // Nobody writes to these, and their disk has failed all the same.
    await expectLetGo('quiet', quietLost)
    await expectProgress()
    await expectLetGo(TOPIC, lost)

    // Whoever looks is told.
    const first = running.get(1)!
    const failed = `the disk of the data directory ${bad} has failed: EROFS`
    await expect.poll(() => first.errors).toContain(`error: ${failed}`)
    const [admins] = /http:\S+(?=\/metrics)/.exec(first.banner)!
    const health = await fetch(`${admins}/healthz`)
    expect(health.status).toBe(503)
    const { problems } = (await health.json()) as { problems: string[] }
    for (const name of [`${TOPIC}-${lost[0]}`, `quiet-${quietLost[0]}`])
      expect(problems).toContainEqual(
        expect.stringMatching(new RegExp(`^${name}: ${failed}.* To recover, .*restart the broker$`)),
      )
    const dirs = await admin.describeLogDirs({ nodeIds: [1] })
    expect(dirs.map(({ path, error }) => [path, error?.kafkaName ?? null])).toEqual(
      directories.map((path) => [path, path === bad ? 'KAFKA_STORAGE_ERROR' : null]),
    )
    expect(cli('log-dirs')).toMatch(new RegExp(`^ *1 +${bad} .*KAFKA_STORAGE_ERROR`, 'm'))
    const status = cli('status')
    expect(status).toContain(`the data directory ${bad} of broker 1 has failed`)
    expect(status).toContain('4 partitions are under-replicated')

    // New partitions are put where there is a disk.
    await admin.createTopics([{ name: 'later', replicas, configs }])
    await vi.waitFor(async () => expect(await placed('later', good)).toEqual([0, 1, 2, 3]), patient)
    await expectLetGo('later', [])

    // A new disk, as the documentation says.
    expect(await first.stop(), 'it says that it could not close everything').toBe(1)
    disk.replace()
    await start(1)
    await vi.waitFor(() => expect(cli('status')).toContain('everything in sync'), patient)
    await expectProgress()
    ended.abort()
    await load
    expect(failures).toEqual([])

    const found = await contentOfTopic(addresses(), TOPIC, PARTITIONS)
    found.forEach((content, partition) => {
      const missed = [...acknowledged[partition]!].filter(([offset, value]) => content.get(offset) !== value)
      expect(missed, `lost of partition ${partition}`).toEqual([])
      expect(new Set(content.values()).size, 'nothing is stored twice').toBe(content.size)
    })
  },
)
