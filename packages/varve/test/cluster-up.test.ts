/**
 * The first cluster that anybody starts is one on a desk, and it is judged by what it leaves behind there: a port that is taken, an
 * etcd that nobody started, a directory in /tmp.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Admin, Consumer, Producer } from '@varve/client'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { BrokerProcess } from '../../../test/support/broker-process.js'
import { runChild, startChild } from '../../../test/support/children.js'
import { etcdCommand, EtcdProcess, etcdMissing } from '../../../test/support/etcd.js'
import { varve } from '../../../test/support/tree.js'
import { joiningText } from '../src/cli/cluster-add.js'
import { findEtcd } from '../src/cli/local-etcd.js'

const timeout = 120_000
const patience = { timeout: 30_000 }
const directory = mkdtempSync(join(tmpdir(), 'varve-cluster-up-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let names = 0
const anew = (): string => join(directory, `t${++names}`)

/** A `varve cluster up` with temporary directories of its own. */
class Up {
  readonly child: ChildProcess
  readonly temporary = anew()
  banner = ''
  errors = ''

  private constructor(args: readonly string[], environment: NodeJS.ProcessEnv) {
    mkdirSync(this.temporary)
    this.child = startChild(process.execPath, [varve, 'cluster', 'up', '--port', '0', ...args], {
      env: { ...process.env, ...environment, TMPDIR: this.temporary },
    })
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.banner += text))
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.errors += text))
  }

  static async start(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<Up> {
    const up = new Up(args, environment)
    await vi.waitFor(() => {
      if (up.child.exitCode !== null) throw new Error(`it has ended: ${up.errors}`)
      expect(up.banner).toContain('Ctrl-C stops it.')
    }, patience)
    return up
  }

  get brokers(): string[] {
    return [...this.banner.matchAll(/^ {2}broker \d+ +(\S+)/gm)].map(([, address]) => address!)
  }

  get pids(): number[] {
    return [...this.banner.matchAll(/process (\d+)$/gm)].map(([, pid]) => Number(pid))
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    const ended = once(this.child, 'exit') as Promise<[number | null]>
    this.child.kill(signal)
    return (await ended)[0]
  }
}

/** Processes whose command lines name a directory of this test. */
function left(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      } catch {
        return ''
      }
    })
    .filter((line) => line.includes(directory))
}

async function write(brokers: string[], topic: string, count: number): Promise<void> {
  await using producer = new Producer({ brokers })
  await Promise.all(Array.from({ length: count }, (_, n) => producer.send(topic, { value: `v${n}` })))
}

async function read(brokers: string[], topic: string, count: number): Promise<string[]> {
  await using consumer = new Consumer({ brokers, groupId: `g${++names}`, offsetReset: 'earliest' })
  consumer.subscribe([topic])
  const values: string[] = []
  for await (const { value } of consumer) if (values.push(value!.toString()) === count) break
  return values.sort()
}

const withoutEtcd = { PATH: directory, VARVE_ETCD: '' }

test(
  'where no etcd is installed all brokers share a process, and what they keep is found again',
  { timeout },
  async () => {
    const data = anew()
    const first = await Up.start(['--data', data, '--brokers', '2', '--racks', 'a', 'b'], withoutEtcd)
    expect(first.brokers).toHaveLength(2)
    expect(first.banner).toContain('  metadata    in this process, with all brokers')
    await using admin = new Admin({ brokers: first.brokers })
    expect((await admin.describeCluster()).nodes).toMatchObject([{ rack: 'a' }, { rack: 'b' }])
    await admin.createTopics([{ name: 'orders' }])
    const [orders] = await admin.describeTopics(['orders'])
    expect(orders!.partitions[0]!.replicas).toHaveLength(2)
    await write(first.brokers, 'orders', 20)
    expect(await first.stop()).toBe(0)
    expect(first.errors).toBe('Stopping\n')
    const again = await Up.start(['--data', data, '--brokers', '2'], withoutEtcd)
    expect(await read(again.brokers, 'orders', 20)).toHaveLength(20)
    expect(await again.stop('SIGTERM')).toBe(0)
    const [one, other] = [readdirSync(first.temporary), readdirSync(again.temporary)]
    expect([one, other]).toEqual([[], []])
  },
)

test('a temporary directory goes with it', { timeout }, async () => {
  const up = await Up.start(['--brokers', '1'], withoutEtcd)
  expect(readdirSync(up.temporary)).toHaveLength(1)
  expect(await up.stop()).toBe(0)
  expect(readdirSync(up.temporary)).toEqual([])
})

test('an etcd of elsewhere, and data that goes with nothing, do not go together', { timeout }, async () => {
  const run = (...args: string[]) =>
    runChild(process.execPath, [varve, 'cluster', 'up', ...args], { env: { ...process.env, ...withoutEtcd } })
  const { code, stderr } = await run('--cluster', 'etcd://127.0.0.1:1')
  expect([code, stderr]).toEqual([
    2,
    'varve: the etcd keeps what has to go with the data of the brokers. Say where that is to be: --data DIRECTORY\n',
  ])
  const data = anew()
  mkdirSync(join(data, 'etcd'), { recursive: true })
  expect((await run('--data', data)).stderr).toMatch(
    /^varve: .* has the data of an etcd, and none is installed here/,
  )
})

test('an etcd is looked for in PATH, or where VARVE_ETCD says', () => {
  expect(findEtcd({ PATH: directory })).toBeNull()
  expect(findEtcd({ PATH: directory, VARVE_ETCD: '/opt/etcd' })).toBe('/opt/etcd')
})

test('who wants to add a broker is told what to do on its machine', () => {
  const text = joiningText(4, [
    { nodeId: 1, rack: 'a' },
    { nodeId: 2, rack: 'b' },
  ])
  expect(text).toContain('Broker 4 is not there; 1 (rack a), 2 (rack b) are.')
  expect(text).toContain('--broker-id 4 --rack RACK --data DIRECTORY')
  expect(text).toContain('Replicas are spread over 2 racks: a, b.')
  expect(joiningText(2, [{ nodeId: 1, rack: null }])).toContain('No broker has a rack')
})

describe.skipIf(etcdMissing !== null)(
  `with an etcd${etcdMissing === null ? '' : ` (${etcdMissing})`}`,
  () => {
    const withEtcd = { VARVE_ETCD: etcdCommand }

    test(
      'each broker has a process, of which one may be killed, and nothing is left of any',
      { timeout },
      async () => {
        const up = await Up.start([], withEtcd)
        expect(up.pids).toHaveLength(3)
        await using admin = new Admin({ brokers: up.brokers })
        await admin.createTopics([{ name: 'orders', partitions: 3, replicationFactor: 3 }])
        await write(up.brokers, 'orders', 30)
        process.kill(up.pids[0]!, 'SIGKILL')
        await vi.waitFor(
          () => expect(up.errors).toContain('broker 1 has ended by SIGKILL; the others go on'),
          patience,
        )
        expect(await read(up.brokers, 'orders', 30)).toHaveLength(30)
        expect(await up.stop()).toBe(0)
        expect(left()).toEqual([])
        expect(readdirSync(up.temporary)).toEqual([])
      },
    )

    test(
      'brokers end when whoever started them is killed, and are started again with their data',
      { timeout },
      async () => {
        const etcd = await EtcdProcess.start()
        try {
          const args = ['--brokers', '2', '--data', anew(), '--cluster', `${etcd.url}/up`]
          const up = await Up.start(args, withoutEtcd)
          await write(up.brokers, 'orders', 10)
          await up.stop('SIGKILL')
          await vi.waitFor(() => expect(left()).toEqual([]), patience)
          const again = await Up.start(args, withoutEtcd)
          expect(again.banner).toContain(`  metadata    ${etcd.url}/up\n`)
          expect(await read(again.brokers, 'orders', 10)).toHaveLength(10)
          expect(await again.stop()).toBe(0)
        } finally {
          await etcd.close()
        }
      },
    )

    test(
      'a broker that was alone is imported, and has its records and committed offsets in the cluster',
      { timeout },
      async () => {
        const etcd = await EtcdProcess.start()
        try {
          const [data, url] = [anew(), `${etcd.url}/imported`]
          const alone = await BrokerProcess.start(data, ['--durability', 'os'])
          await write([alone.address], 'orders', 10)
          const imported = ['cluster', 'import', '--data', data, '--cluster', url]
          const refused = await runChild(process.execPath, [varve, ...imported])
          expect([refused.code, refused.stderr]).toEqual([
            1,
            `varve: the broker in ${data} runs. Stop it, and import it then\n`,
          ])
          await alone.stop()
          const { code, stdout, stderr } = await runChild(process.execPath, [varve, ...imported])
          expect([code, stderr]).toEqual([0, ''])
          const [, command] = /Start it with:\n {2}varve (.*)\n/.exec(stdout.toString())!
          expect(command).toBe(`serve --cluster ${url} --broker-id 0 --data ${data}`)
          const started = await BrokerProcess.start(data, ['--cluster', url, '--broker-id', '0'])
          expect(await read([started.address], 'orders', 10)).toHaveLength(10)
          const next = await runChild(process.execPath, [
            varve,
            'cluster',
            'add',
            '--broker',
            started.address,
          ])
          expect(next.stdout.toString()).toContain(
            'varve serve --cluster etcd://HOST:PORT/PREFIX --broker-id 1 --data DIRECTORY',
          )
          await started.stop()
        } finally {
          await etcd.close()
        }
      },
    )
  },
)
