/**
 * What an operator sees who starts brokers of a cluster in any order, with ids, directories and addresses that are right or wrong:
 * a broker that waits and does not say for what, or begins anew in an empty prefix beside its data, costs a night.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Admin, Consumer, Producer } from '@varve/client'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { BrokerProcess } from '../../../test/support/broker-process.js'
import { startChild } from '../../../test/support/children.js'
import { EtcdProcess, etcdMissing } from '../../../test/support/etcd.js'
import { varve } from '../../../test/support/tree.js'
import { clusterLines } from '../src/cli/banner.js'
import { clusterOf } from '../src/cli/serve-cluster.js'

const timeout = 120_000
const directory = mkdtempSync(join(tmpdir(), 'varve-serve-cluster-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let names = 0
/** A name that no other test has. */
const anew = (): string => `t${++names}`

test('the banner tells which broker of which cluster it is, and who else is there', () => {
  const facts = { clusterId: 'abc', brokerId: 2, store: 'etcd://e:2379/varve' }
  expect(clusterLines({ ...facts, rack: 'b', brokerIds: [1, 2, 3] })).toEqual([
    'broker 2 in rack b, of the cluster abc at etcd://e:2379/varve',
    '3 brokers are there: 1, 2, 3',
  ])
  expect(clusterLines({ ...facts, rack: null, brokerIds: [2] })).toEqual([
    'broker 2, of the cluster abc at etcd://e:2379/varve',
    'it is the only broker there so far',
  ])
})

test('a password is read from its file, without the line break at its end', () => {
  const clusterPasswordFile = join(directory, 'password')
  writeFileSync(clusterPasswordFile, 'secret\n')
  const options = clusterOf({
    cluster: 'etcd://e',
    clusterUser: 'varve',
    clusterPasswordFile,
    sessionTimeout: 5,
  })
  expect(options).toEqual({
    url: 'etcd://e',
    etcd: { user: 'varve', password: 'secret' },
    sessionTimeoutSeconds: 5,
  })
  const missing = join(directory, 'nowhere')
  expect(() => clusterOf({ cluster: 'etcd://e', clusterPasswordFile: missing })).toThrow(
    /cannot read the password for etcd from .*nowhere.*Check --cluster-password-file/,
  )
  expect(clusterOf({ clusterUser: 'varve' })).toBeUndefined()
})

/** Runs `varve serve` until it ends, or until it has said something; resolves with all that it has said. */
async function said(args: readonly string[], what?: RegExp): Promise<string> {
  const child = startChild(process.execPath, [varve, 'serve', '--port', '0', ...args])
  let text = ''
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  if (what !== undefined) {
    await vi.waitFor(() => expect(text).toMatch(what), { timeout: 40_000 })
    child.kill()
  }
  await ended
  expect(child.exitCode).toBe(what === undefined ? 1 : null)
  return text
}

test.each([
  [['--cluster', 'http://127.0.0.1'], /^varve: the URL of an etcd is of the form etcd:/],
  [
    ['--cluster', 'etcd://127.0.0.1'],
    /^varve: .* needs an id that no other one has\. Give it one with --broker-id\n$/,
  ],
  [
    ['--cluster', 'etcd://127.0.0.1', '--broker-id', '1', '--host', '0.0.0.0'],
    /^varve: the listener PLAINTEXT is on all interfaces, .* advertised listeners such as PLAINTEXT:\/\/broker1\.example/,
  ],
  [
    ['--cluster', 'etcd://127.0.0.1', '--broker-id', '1', '--inter-broker-listener', 'INSIDE'],
    /^varve: no listener is called INSIDE, .* there are PLAINTEXT\n$/,
  ],
])('%j is refused in one line', async (args, line) => {
  expect(await said([...args, '--data', join(directory, anew())])).toMatch(line)
})

describe.skipIf(etcdMissing !== null)(
  `over an etcd${etcdMissing === null ? '' : ` (${etcdMissing})`}`,
  () => {
    let etcd: EtcdProcess
    beforeAll(async () => {
      etcd = await EtcdProcess.start()
    })
    afterAll(() => etcd.close())

    async function start(prefix: string, id: number, args: readonly string[] = []): Promise<BrokerProcess> {
      const data = join(directory, `${prefix}-${id}`)
      const cluster = ['--cluster', `${etcd.url}/${prefix}`, '--broker-id', String(id), '--rack', `r${id}`]
      const broker = await BrokerProcess.start(data, [...cluster, ...args])
      onTestFinished(() => void broker.child.kill('SIGKILL'))
      return broker
    }

    test(
      'three brokers keep what is acknowledged while each of them is stopped and started',
      { timeout },
      async () => {
        const prefix = anew()
        const running = await Promise.all([1, 2, 3].map((id) => start(prefix, id)))
        expect(running[0]!.banner).toContain(`  cluster     broker 1 in rack r1, of the cluster `)
        expect(running[0]!.banner).toContain(` at ${etcd.url}/${prefix}\n`)
        expect(running[0]!.banner).toContain(
          '  durability  os: what is acknowledged is in the memory of the replicas in sync',
        )
        const brokers = running.map(({ address }) => address)
        await using admin = new Admin({ brokers })
        const configs = { 'min.insync.replicas': '2' }
        await admin.createTopics([{ name: 'orders', partitions: 3, replicationFactor: 3, configs }])
        await using producer = new Producer({ brokers })
        let sent = 0
        for (const [place, broker] of running.entries()) {
          await producer.send('orders', { value: `v${sent++}` })
          expect(await broker.stop()).toBe(0)
          expect(broker.errors).toContain('Stopping\n')
          await producer.send('orders', { value: `v${sent++}` })
          const [described] = await admin.describeTopics(['orders'])
          // It has handed over what it led before it was gone.
          expect(described!.partitions.map(({ leader }) => leader)).not.toContain(place + 1)
          running[place] = await start(prefix, place + 1, ['--port', String(broker.port)])
        }
        await using consumer = new Consumer({ brokers, groupId: 'readers', offsetReset: 'earliest' })
        consumer.subscribe(['orders'])
        const values: string[] = []
        for await (const record of consumer) {
          values.push(record.value!.toString())
          if (values.length === sent) break
        }
        expect(values.sort()).toEqual(Array.from({ length: sent }, (_, n) => `v${n}`))
        expect((await admin.describeCluster()).nodes).toMatchObject([
          { rack: 'r1' },
          { rack: 'r2' },
          { rack: 'r3' },
        ])
      },
    )

    test(
      'a broker whose id is taken waits, and serves once the other one has ended',
      { timeout },
      async () => {
        const prefix = anew()
        const first = await start(prefix, 1)
        const child = startChild(process.execPath, [
          varve,
          'serve',
          '--port',
          '0',
          '--data',
          join(directory, anew()),
          '--log-format',
          'json',
          '--cluster',
          `${etcd.url}/${prefix}`,
          '--broker-id',
          '1',
          '--admin-port',
          '0',
        ])
        let text = ''
        child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        await vi.waitFor(
          () => expect(text).toMatch(/another process is registered as broker 1; .* This one waits/),
          {
            timeout: 40_000,
          },
        )
        expect(await first.stop()).toBe(0)
        await vi.waitFor(() => expect(text).toContain('is serving'), { timeout: 40_000 })
        expect(text).toMatch(
          /, as broker 1, of the cluster [\w-]{22} at .*; it is the only broker there so far"/,
        )
        child.kill()
      },
    )

    test(
      'a broker ends with 1 when another process is registered with its id and its data',
      { timeout },
      async () => {
        const prefix = anew()
        const former = await start(prefix, 1)
        const ended = new Promise((resolve) => former.child.once('exit', resolve))
        // By this its data are known. Whatever else is there may be gone while it is copied.
        const copy = join(directory, `${prefix}-copy-1`)
        mkdirSync(copy)
        copyFileSync(join(directory, `${prefix}-1`, 'meta.properties'), join(copy, 'meta.properties'))
        const later = await BrokerProcess.start(copy, ['--cluster', `${etcd.url}/${prefix}`])
        expect(await ended).toBe(1)
        expect(former.errors).toMatch(/another process is registered as broker 1; .* This one stops\n/)
        expect(await later.stop()).toBe(0)
      },
    )

    test(
      'a directory is not taken for that of another cluster, nor of another broker',
      { timeout },
      async () => {
        const prefix = anew()
        const data = join(directory, `${prefix}-1`)
        const first = await start(prefix, 1)
        await first.stop()
        const at = (name: string) => ['--data', data, '--cluster', `${etcd.url}/${name}`]
        const empty = anew()
        expect(await said(at(empty))).toMatch(
          /^varve: the data directory is of the cluster .*, and the metadata store knows of no cluster;/,
        )
        const other = anew()
        await (await start(other, 1)).stop()
        expect(await said(at(other))).toMatch(
          /^varve: the data directory is of the cluster .*, and the metadata store that of the cluster /,
        )
        expect(await said([...at(prefix), '--broker-id', '2'])).toMatch(/^varve: .*meta\.properties.*\n$/)
        const alone = join(directory, anew())
        const single = await BrokerProcess.start(alone)
        await single.stop()
        expect(
          await said(['--data', alone, '--cluster', `${etcd.url.replace('//', '//me:secret@')}/${prefix}`]),
        ).toBe(
          `varve: ${alone} is the data of a broker that is alone. Take it into a cluster that is new with: varve cluster import --data ${alone} --cluster ${etcd.url}/${prefix}, start it without --cluster, or choose another --data\n`,
        )
      },
    )

    test('a second signal ends a broker at once that cannot hand over', { timeout }, async () => {
      const own = await EtcdProcess.start()
      try {
        const broker = await BrokerProcess.start(join(directory, anew()), [
          '--cluster',
          own.url,
          '--broker-id',
          '1',
          '--close-timeout-ms',
          '600000',
          '--session-timeout',
          '600',
        ])
        // Whoever leaves without a word of the store cannot know that nobody needs it any more.
        own.pause()
        broker.child.kill('SIGTERM')
        await vi.waitFor(() => expect(broker.errors).toContain('Stopping'), { timeout: 40_000 })
        expect(await broker.stop('SIGTERM')).toBe(143)
      } finally {
        own.resume()
        await own.close()
      }
    })
  },
)

test.skipIf(etcdMissing !== null)(
  'a broker that is started before etcd waits, and is not ready until it is registered',
  { timeout },
  async () => {
    const etcd = await EtcdProcess.start()
    try {
      await etcd.kill()
      const child = startChild(process.execPath, [
        varve,
        'serve',
        '--port',
        '0',
        '--data',
        join(directory, anew()),
        '--log-format',
        'json',
        '--cluster',
        `${etcd.url}/early`,
        '--broker-id',
        '1',
        // Of this process alone, so that the port is known before anybody says it.
        '--admin-host',
        etcd.host,
        '--admin-port',
        '9644',
      ])
      let text = ''
      child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      await vi.waitFor(
        () => expect(text).toMatch(/waiting for the metadata store: etcd cannot be reached: /),
        {
          timeout: 40_000,
        },
      )
      const health = async (): Promise<[number, unknown]> => {
        const response = await fetch(`http://${etcd.host}:9644/healthz`)
        return [response.status, await response.json()]
      }
      expect(await health()).toEqual([503, { status: 'starting', problems: [], logs: { opened: 0, all: 0 } }])
      await etcd.run()
      await vi.waitFor(() => expect(text).toContain('is serving'), { timeout: 40_000 })
      expect(text).toContain('the metadata store can be reached now')
      expect(await health()).toEqual([200, { status: 'serving', problems: [] }])
      child.kill()
    } finally {
      await etcd.close()
    }
  },
)
