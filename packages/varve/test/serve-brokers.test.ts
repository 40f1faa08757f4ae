/**
 * Several brokers of one process are one thing to whoever runs them: started, stopped, killed and found again together. One that goes on
 * without another, or that is started beside the data of another, loses sight of records that were acknowledged.
 */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Admin, Consumer, Producer } from '@varve/client'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { BrokerProcess } from '../../../test/support/broker-process.js'
import { runChild, startChild } from '../../../test/support/children.js'
import { EtcdProcess, etcdMissing } from '../../../test/support/etcd.js'
import { varve } from '../../../test/support/tree.js'
import { brokersBanner, brokersLine } from '../src/cli/brokers-banner.js'
import { eachBroker, type SeveralOptions } from '../src/cli/each-broker.js'

const timeout = 120_000
const directory = mkdtempSync(join(tmpdir(), 'varve-serve-brokers-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let names = 0
/** A directory that no other test has, and that is not there yet. */
const anew = (): string => join(directory, `t${++names}`)

const two = ['--brokers', '2']

describe('what is said of all is parted among them', () => {
  const options = (own: Partial<SeveralOptions>): SeveralOptions => ({
    brokers: 2,
    port: 9092,
    host: '127.0.0.1',
    data: ['/d'],
    partitions: 1,
    autoCreate: true,
    lowDiskBytes: 0,
    adminHost: '127.0.0.1',
    logFormat: 'plain',
    ...own,
  })

  test('ids, ports and directories follow each other, in one rack', () => {
    const { brokers, metadata } = eachBroker(options({ data: ['/d', '/e'], adminPort: 9644 }))
    expect(metadata).toBe('/d/metadata')
    expect(brokers).toMatchObject([
      { nodeId: 1, port: 9092, adminPort: 9644, data: ['/d/broker-1', '/e/broker-1'], durability: 'fsync' },
      { nodeId: 2, port: 9093, adminPort: 9645, data: ['/d/broker-2', '/e/broker-2'], durability: 'fsync' },
    ])
    expect(brokers.map(({ rack }) => rack)).toEqual([hostname(), hostname()])
    expect(eachBroker(options({ rack: 'a', port: 0, adminPort: 0 })).brokers).toMatchObject([
      { rack: 'a', port: 0, adminPort: 0 },
      { rack: 'a', port: 0, adminPort: 0 },
    ])
  })

  test('so do listeners, and what is advertised of them', () => {
    const [, second] = eachBroker(
      options({
        listeners: 'INSIDE://[::1]:9092, OUTSIDE://:9192,FREE://127.0.0.1:0',
        advertisedListeners: 'OUTSIDE://kafka.example:19192',
      }),
    ).brokers
    expect(second).toMatchObject({
      listeners: 'INSIDE://[::1]:9093, OUTSIDE://:9193,FREE://127.0.0.1:0',
      advertisedListeners: 'OUTSIDE://kafka.example:19193',
    })
  })

  test('brokers of an etcd need the first id, and are as durable as others there', () => {
    expect(eachBroker(options({ cluster: 'etcd://e', nodeId: 4 })).brokers).toMatchObject([
      { nodeId: 4 },
      { nodeId: 5 },
    ])
    expect(eachBroker(options({ cluster: 'etcd://e', nodeId: 4 })).brokers[0]!.durability).toBeUndefined()
    expect(() => eachBroker(options({ cluster: 'etcd://e' }))).toThrow(
      /Give the first of them with --broker-id/,
    )
  })

  test.each([
    [{ port: 65_535 }, /there are no ports for all brokers from 65535 on/],
    [{ adminPort: 9093 }, /127\.0\.0\.1:9093 would be needed twice: .* that are 2 apart/],
    [{ listeners: 'A://h:1000,B://h:1001' }, /h:1001 would be needed twice/],
  ])('%j is wrong usage', (own, message) => {
    expect(() => eachBroker(options(own))).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringMatching(message) }),
    )
  })

  test('the banner says where all of them are, and that it is no fault tolerance', () => {
    const facts = {
      version: '1.2.3',
      isAlone: true,
      metadata: '/d/metadata',
      data: ['/d'],
      brokers: [1, 2].map((brokerId) => ({
        brokerId,
        address: `127.0.0.1:${9091 + brokerId}`,
        admin: { host: '127.0.0.1', port: 9643 + brokerId },
        clusterId: 'abc',
        dataDirectories: [`/d/broker-${brokerId}`],
        durability: 'fsync' as const,
        problems: brokerId === 2 ? ['orders-3 is read-only'] : [],
        rack: 'desk',
        isTls: false,
        hasTls: false,
      })),
    }
    expect(
      brokersBanner({ ...facts, invocation: { command: 'npx varve', directory: null }, colour: false }),
    ).toBe(
      [
        "varve 1.2.3 is serving Kafka's protocol from 2 brokers in this process",
        '',
        '  broker 1    127.0.0.1:9092  http://127.0.0.1:9644/metrics and /healthz',
        '  broker 2    127.0.0.1:9093  http://127.0.0.1:9645/metrics and /healthz',
        '  cluster     abc, all in rack desk',
        '  metadata    /d/metadata',
        '  data        /d',
        '  durability  fsync: what is acknowledged is on disk',
        '  problem     broker 2: orders-3 is read-only',
        '',
        'Try it from another shell:',
        '  echo hello | npx varve produce demo',
        '  npx varve consume demo',
        '',
        'It is for more cores, not for fault tolerance: all brokers end together. Ctrl-C stops it.',
        '',
      ].join('\n'),
    )
    expect(brokersLine(facts)).toBe(
      "varve 1.2.3 is serving Kafka's protocol: broker 1 at 127.0.0.1:9092 with metrics at http://127.0.0.1:9644/metrics, broker 2 at 127.0.0.1:9093 with metrics at http://127.0.0.1:9645/metrics, of the cluster abc at /d/metadata, from /d (fsync)",
    )
  })
})

async function write(brokers: string[], topic: string, from: number, count: number): Promise<void> {
  await using producer = new Producer({ brokers })
  await Promise.all(
    Array.from({ length: count }, (_, n) =>
      producer.send(topic, { value: `v${from + n}`, partition: (from + n) % 4 }),
    ),
  )
}

/** Goes on where the group was, and commits. */
async function read(brokers: string[], topic: string, count: number): Promise<string[]> {
  await using consumer = new Consumer({ brokers, groupId: 'g', offsetReset: 'earliest' })
  consumer.subscribe([topic])
  const values: string[] = []
  for await (const { value } of consumer) if (values.push(value!.toString()) === count) break
  await consumer.commit()
  return values.sort()
}

const values = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `v${from + n}`).sort()

test(
  'partitions are spread over them, for every client, and all of it is there again',
  { timeout },
  async () => {
    const data = anew()
    const first = await BrokerProcess.start(data, two)
    expect(first.addresses).toHaveLength(2)
    {
      await using admin = new Admin({ brokers: first.addresses })
      await admin.createTopics([{ name: 'orders', partitions: 4 }])
      const [orders] = await admin.describeTopics(['orders'])
      const replicas = orders!.partitions.map((partition) => partition.replicas)
      expect(replicas.map(({ length }) => length)).toEqual([1, 1, 1, 1])
      expect(replicas.flat().sort()).toEqual([1, 1, 2, 2])
      await write(first.addresses, 'orders', 0, 20)
      expect(await read(first.addresses, 'orders', 20)).toEqual(values(0, 20))
      const [offsets] = await admin.describeTopics(['__consumer_offsets'])
      expect(new Set(offsets!.partitions.map((partition) => partition.replicas.length))).toEqual(new Set([1]))
    }
    const kafka = new Kafka({ brokers: [first.addresses[1]!], logLevel: logLevel.NOTHING })
    const producer = kafka.producer()
    await producer.connect()
    const messages = values(0, 8).map((value, n) => ({ value, partition: n % 4 }))
    await producer.send({ topic: 'orders', messages })
    await producer.disconnect()
    const consumer = kafka.consumer({ groupId: 'kafkajs' })
    await consumer.connect()
    await consumer.subscribe({ topic: 'orders', fromBeginning: true })
    let seen = 0
    await new Promise<void>((resolve) => {
      void consumer.run({ eachMessage: async () => void (++seen === 28 && resolve()) })
    })
    await consumer.disconnect()
    expect(await first.stop()).toBe(0)
    expect(first.errors).toBe('Stopping\n')

    const again = await BrokerProcess.start(data, two)
    const [cluster, clusterAgain] = [first, again].map(({ banner }) => /^ {2}cluster .*$/m.exec(banner)![0])
    expect(clusterAgain).toBe(cluster)
    await write(again.addresses, 'orders', 100, 4)
    expect(await read(again.addresses, 'orders', 12)).toEqual([...values(0, 8), ...values(100, 4)].sort())
    expect(await again.stop('SIGINT')).toBe(0)
  },
)

test(
  'a kill takes nothing that was acknowledged, and one more broker begins empty',
  { timeout },
  async () => {
    const data = anew()
    const first = await BrokerProcess.start(data, two)
    await using admin = new Admin({ brokers: first.addresses })
    await admin.createTopics([{ name: 'orders', partitions: 4 }])
    await write(first.addresses, 'orders', 0, 40)
    await first.stop('SIGKILL')
    const again = await BrokerProcess.start(data, ['--brokers', '3'])
    expect(again.addresses).toHaveLength(3)
    expect(await read(again.addresses, 'orders', 40)).toEqual(values(0, 40))
    expect(await again.stop()).toBe(0)
  },
)

test('whoever looks at the admin ports finds each broker', { timeout }, async () => {
  const broker = await BrokerProcess.start(anew(), [...two, '--admin-port', '0'])
  const admins = [...broker.banner.matchAll(/ (http:\S+)\/metrics and/g)].map(([, url]) => url!)
  expect(admins).toHaveLength(2)
  for (const url of admins) {
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'serving', problems: [] })
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('kafka_server_kafkaserver_brokerstate 3')
  }
  expect(await broker.stop()).toBe(0)
})

test.each([
  ['throws', `throw new Error('it breaks')`, /^varve: broker 2 has ended: it breaks\. The others share/m],
  ['exits', 'process.exit(3)', /^varve: broker 2 has ended: its thread has ended with 3\. The others share/m],
])('a thread that %s ends the process', { timeout }, async (_, what, line) => {
  const [mark, preload] = [anew(), `${anew()}.mjs`]
  writeFileSync(
    preload,
    `import { existsSync } from 'node:fs'
    import { workerData } from 'node:worker_threads'
    if (workerData?.options?.nodeId === 2)
      setInterval(() => { if (existsSync(${JSON.stringify(mark)})) { ${what} } }, 20)`,
  )
  const data = anew()
  const broker = await BrokerProcess.start(data, two, {
    env: { NODE_OPTIONS: `--import ${pathToFileURL(preload).href}` },
  })
  await write(broker.addresses, 'orders', 0, 1)
  const ended = once(broker.child, 'close')
  writeFileSync(mark, '')
  expect(await ended).toEqual([1, null])
  expect(broker.errors).toMatch(line)
  const again = await BrokerProcess.start(data, two)
  expect(await read(again.addresses, 'orders', 1)).toEqual(['v0'])
  expect(await again.stop()).toBe(0)
})

// An address of this process alone: beside a port that is taken, the one before is free.
const host =
  process.platform === 'linux' ? `127.78.${(process.pid >> 8) & 255}.${process.pid & 255 || 1}` : '127.0.0.1'

test('one that does not start ends all, and is named', { timeout }, async () => {
  const taken = createServer().listen(0, host)
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const args = ['--data', anew(), ...two, '--host', host, '--port', String(port - 1)]
  const { code, stderr } = await runChild(process.execPath, [varve, 'serve', '--log-level', 'warn', ...args])
  taken.close()
  expect([code, stderr]).toEqual([
    1,
    `varve: broker 2 does not start: ${host}:${port} is in use by another process. Stop that one, or choose another port: --port ${port + 100}\n`,
  ])
})

test.each([
  ['plain', /^broker [12]: info: this broker is the controller now/m],
  [
    'json',
    /^\{.*"broker":[12],"msg":"this broker is the controller now.*\n.*is serving .*: broker 1 at .*, broker 2 at /m,
  ],
])('lines that are %s tell which broker they are of', { timeout }, async (format, line) => {
  const args = ['--port', '0', '--data', anew(), ...two, '--log-format', format]
  const child = startChild(process.execPath, [varve, 'serve', ...args])
  let said = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text))
  await vi.waitFor(() => expect(said).toMatch(line), { timeout: 40_000 })
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
})

describe('data of other brokers is refused, and stays as it is', () => {
  const refused = async (data: string, ...args: string[]): Promise<string> => {
    const before = readdirSync(data).sort()
    const serve = [varve, 'serve', '--port', '0', '--data', data, ...args]
    const { code, stderr } = await runChild(process.execPath, serve)
    expect(code).toBe(1)
    expect(readdirSync(data).sort()).toEqual(before)
    return stderr
  }

  test('of a single one', { timeout }, async () => {
    const data = anew()
    const alone = await BrokerProcess.start(data)
    await alone.stop()
    expect(await refused(data, ...two)).toBe(
      `varve: ${data} is the data directory of a single broker, where several have directories of their own; start it alone, use another directory, or make it one of several with: varve cluster import --brokers\n`,
    )
  })

  test(
    'of several, for a single one or for fewer, until the others have nothing left',
    { timeout },
    async () => {
      const data = anew()
      const several = await BrokerProcess.start(data, ['--brokers', '3'])
      await using admin = new Admin({ brokers: several.addresses })
      await admin.createTopics([{ name: 'orders', partitions: 4 }])
      await write(several.addresses, 'orders', 0, 20)
      const drain = [varve, 'cluster', 'drain', '3', '--broker', several.addresses.join(',')]
      expect((await runChild(process.execPath, drain)).stdout.toString()).toContain(
        'Broker 3 has no replicas',
      )
      await several.stop()
      expect(await refused(data)).toMatch(
        /^varve: .* is that of several brokers, .*: broker-1, broker-2, broker-3; /,
      )
      expect(await refused(data, ...two)).toMatch(
        /^varve: .*broker-3 would be left out, .* start as many as before, or drain those/,
      )
      renameSync(join(data, 'broker-3'), anew())
      const fewer = await BrokerProcess.start(data, two)
      expect(await read(fewer.addresses, 'orders', 20)).toEqual(values(0, 20))
      expect(await fewer.stop()).toBe(0)
    },
  )
})

test('a broker that was alone is made one of several, with its records and groups', { timeout }, async () => {
  const [data, root] = [anew(), anew()]
  const alone = await BrokerProcess.start(data, ['--partitions', '4'])
  await write([alone.address], 'orders', 0, 20)
  expect(await read([alone.address], 'orders', 20)).toEqual(values(0, 20))
  await alone.stop()
  const importing = (...args: string[]) => runChild(process.execPath, [varve, 'cluster', 'import', ...args])
  const misplaced = await importing('--brokers', '--data', data)
  expect([misplaced.code, misplaced.stderr]).toEqual([
    1,
    `varve: brokers of one process are looked for by their ids. Move ${data} to ${join(directory, 'broker-0')}, or to broker-0 in any other directory, and import it from there\n`,
  ])
  mkdirSync(root)
  renameSync(data, join(root, 'broker-0'))
  const { code, stdout, stderr } = await importing('--brokers', '--data', join(root, 'broker-0'))
  expect([code, stderr]).toEqual([0, ''])
  const [, command] = /Start it with:\n {2}varve (.*)\n/.exec(stdout.toString())!
  expect(command).toBe(`serve --brokers 2 --broker-id 0 --data ${root}`)
  const several = await BrokerProcess.start(root, [...two, '--broker-id', '0'])
  const rebalance = [varve, 'cluster', 'rebalance', '--broker', several.address]
  expect((await runChild(process.execPath, rebalance)).code).toBe(0)
  await using admin = new Admin({ brokers: several.addresses })
  const [orders] = await admin.describeTopics(['orders'])
  expect(orders!.partitions.flatMap(({ replicas }) => replicas).sort()).toEqual([0, 0, 1, 1])
  await write(several.addresses, 'orders', 20, 4)
  expect(await read(several.addresses, 'orders', 4)).toEqual(values(20, 4))
  expect(await several.stop()).toBe(0)
})

test.skipIf(etcdMissing !== null)(
  'over an etcd the brokers of a machine are one rack, in which no partition has two replicas',
  { timeout },
  async () => {
    const etcd = await EtcdProcess.start()
    try {
      const start = (id: number, rack: string) =>
        BrokerProcess.start(anew(), [
          ...two,
          '--cluster',
          `${etcd.url}/several`,
          '--broker-id',
          String(id),
          '--rack',
          rack,
        ])
      const [one, other] = await Promise.all([start(1, 'a'), start(11, 'b')])
      await using admin = new Admin({ brokers: one.addresses })
      await expect.poll(async () => (await admin.describeCluster()).nodes).toHaveLength(4)
      await admin.createTopics([{ name: 'orders', partitions: 8, replicationFactor: 2 }])
      const [orders] = await admin.describeTopics(['orders'])
      for (const { replicas } of orders!.partitions)
        expect(replicas.map((id) => (id > 10 ? 'b' : 'a')).sort()).toEqual(['a', 'b'])
      expect(new Set(orders!.partitions.flatMap(({ replicas }) => replicas))).toEqual(new Set([1, 2, 11, 12]))
      await write([...one.addresses, ...other.addresses], 'orders', 0, 8)
      expect(await read(other.addresses, 'orders', 8)).toEqual(values(0, 8))
      expect(await Promise.all([one.stop(), other.stop()])).toEqual([0, 0])
    } finally {
      await etcd.close()
    }
  },
)
