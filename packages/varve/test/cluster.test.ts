/**
 * Whoever moves the replicas of a cluster from a shell looks at what these commands say first, and does what they propose: a
 * problem that status leaves out, a drain that says it is done and is not, or replicas called equal that differ, cost records.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { FakeCluster } from './fake-cluster.js'

const lines = (...all: string[]): string => all.map((line) => `${line}\n`).join('')

async function jsonOf(cluster: FakeCluster, args: string): Promise<any> {
  const { stdout, stderr } = await cluster.varve(`${args} --json`)
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

test('status of a cluster that is well, and of one that is not', { timeout: 120_000 }, async () => {
  const cluster = await FakeCluster.start('a', 'b', null)
  cluster.topic('orders', [1, 2], [2, 3], [3, 1])
  const ports = cluster.brokers.map(({ port }) => port)
  const well = await cluster.varve('cluster status --check')
  expect(well).toEqual({
    status: 0,
    stderr: '',
    stdout: lines(
      'cluster fake, controller 1',
      'BROKER  HOST        PORT  RACK  STATE  LEADERS  REPLICAS',
      `     1  127.0.0.1  ${ports[0]}  a     up           1         2`,
      `     2  127.0.0.1  ${ports[1]}  b     up           1         2`,
      `     3  127.0.0.1  ${ports[2]}  -     up           1         2`,
      '',
      'All is well: 3 brokers, 1 topic, 3 partitions, everything in sync.',
    ),
  })
  cluster.topic('alone', [3], [1, 7])
  cluster.configs['orders'] = { 'min.insync.replicas': '2' }
  cluster.stop(3)
  cluster.topics['alone']![1]!.isr = [1]
  const moving = cluster.topics['orders']![0]!
  Object.assign(moving, { replicas: [1, 2, 7], adding: [7], removing: [2] })
  const sick = await cluster.varve('cluster status')
  expect(sick.status).toBe(0)
  expect(sick.stdout.split('\n').slice(4)).toEqual([
    `     3  127.0.0.1  ${ports[2]}  -     fenced         0         3`,
    '     7  -              -  -     missing        0         2',
    '',
    'TOPIC   PARTITION  LEADER  REPLICAS  ISR  ELR  STATE',
    'alone           0       -  3         -    3    offline, under min.insync.replicas, under-replicated',
    'alone           1       1  1,7       1    -    under-replicated',
    'orders          0       1  1,2,7     1,2  -    adding 7 (1.0 kB to go), removing 2',
    'orders          1       2  2,3       2    -    under min.insync.replicas, under-replicated',
    'orders          2       1  3,1       1    -    under min.insync.replicas, under-replicated',
    '',
    'Not all is well: 2 of 4 brokers are up; 1 partition is offline; 3 partitions are under min.insync.replicas; 4 partitions are under-replicated.',
    '1 partition is being reassigned, 1.0 kB to go.',
    '',
  ])
  const checked = await cluster.varve('cluster status --check --json')
  expect(checked.status).toBe(1)
  expect(JSON.parse(checked.stdout)).toMatchObject({
    isWell: false,
    controllerId: 1,
    brokers: [{ state: 'up' }, { leaders: 1 }, { state: 'fenced', replicas: 3 }, { nodeId: 7, host: null }],
    attention: [
      { topic: 'alone', isOffline: true },
      { topic: 'alone', partition: 1 },
      { topic: 'orders', partition: 0, isUnderReplicated: false, bytesToGo: 1000 },
      {},
      {},
    ],
  })
})

test('status names the first twenty partitions, and with --all all', { timeout: 120_000 }, async () => {
  const cluster = await FakeCluster.start(null)
  cluster.topic('many', ...Array.from({ length: 30 }, () => [1, 2]))
  for (const partition of cluster.topics['many']!) partition.isr = [1]
  expect((await cluster.varve('cluster status')).stdout).toContain('\nand 10 more; --all shows them\n')
  expect((await cluster.varve('cluster status --all')).stdout.match(/^many /gm)).toHaveLength(30)
})

test('a broker is drained in batches, after a look at what would move', { timeout: 120_000 }, async () => {
  const cluster = await FakeCluster.start('a', 'b', 'a', 'b')
  cluster.topic('orders', [3, 2], [2, 3], [1, 2], [3, 4])
  const before = cluster.placement
  const dry = await cluster.varve('cluster drain 3 --dry-run')
  expect(dry).toEqual({
    status: 0,
    stderr: '',
    stdout: lines(
      'TOPIC   PARTITION  REPLICAS  NEW-REPLICAS  COPY-BYTES',
      'orders          0  3,2       1,2                 1000',
      'orders          1  2,3       2,1                 1000',
      'orders          3  3,4       4,1                 1000',
      '',
      '3 partitions would leave broker 3, 3.0 kB',
    ),
  })
  expect(cluster.placement).toEqual(before)
  expect(await cluster.varve('cluster drain 3 --batch 2')).toEqual({
    status: 0,
    stderr: '',
    stdout: 'Broker 3 has no replicas any more: 3 partitions moved, 3.0 kB\n',
  })
  expect(cluster.placement).toEqual(['orders-0 1,2', 'orders-1 2,1', 'orders-2 1,2', 'orders-3 4,1'])
  expect(cluster.mostUnderWay).toBe(2)
  expect((await cluster.varve('cluster drain 3')).stdout).toBe('Broker 3 has no replicas any more\n')
})

test('a drain that cannot be, or that is refused in part, says so', { timeout: 120_000 }, async () => {
  const cluster = await FakeCluster.start(null, null, null)
  cluster.topic('wide', [1, 2, 3])
  cluster.topic('orders', [1], [1])
  const drain = (args: string) => cluster.varve(`cluster drain ${args}`)
  expect(await drain('9')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('there is no broker 9'),
  })
  expect(await drain('1')).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringMatching(/cannot be drained: 1 partition of wide .*Start another broker/),
  })
  expect((await drain('one')).status).toBe(2)
  expect((await drain('1 --cancel --dry-run')).status).toBe(2)
  delete cluster.topics['wide']
  cluster.refused.add('orders-1')
  const half = await drain('1 --json')
  expect([half.status, half.stderr]).toEqual([
    1,
    expect.stringMatching(/^varve: Reassigning orders-1 .*INVALID_REPLICA_ASSIGNMENT.*not so\)\n$/),
  ])
  expect(JSON.parse(half.stdout)).toMatchObject({
    done: [{ topic: 'orders', partition: 0, before: [1], bytes: 1000 }],
    pending: [],
    failed: [{ topic: 'orders', partition: 1, error: 'INVALID_REPLICA_ASSIGNMENT' }],
  })
  expect(cluster.placement).toEqual(['orders-0 2', 'orders-1 1'])
})

test('a drain that takes long is left alone, looked at and ended', { timeout: 120_000 }, async () => {
  const cluster = await FakeCluster.start(null, null)
  cluster.patience = Infinity
  cluster.topic('orders', [1], [1])
  const late = await cluster.varve('cluster drain 1 --timeout 300 --batch 1')
  expect([late.status, late.stdout]).toEqual([1, ''])
  expect(late.stderr).toMatch(
    /^varve: not done within 300 ms: 1 partition of 2 left will be moved all the same/,
  )
  expect(await cluster.varve('cluster drain 1 --no-wait')).toEqual({
    status: 0,
    stdout: '2 partitions will leave broker 1\n',
    stderr: '',
  })
  expect((await cluster.varve('cluster reassignments')).stdout).toBe(
    lines(
      'TOPIC   PARTITION  REPLICAS  ADDING  REMOVING',
      'orders          0  2,1       2       1',
      'orders          1  2,1       2       1',
    ),
  )
  expect((await cluster.varve('cluster drain 2 --cancel')).stdout).toBe('Ended 0 reassignments\n')
  expect(await jsonOf(cluster, 'cluster drain 1 --cancel')).toMatchObject({ ended: [{}, {}], failed: [] })
  expect(cluster.placement).toEqual(['orders-0 1', 'orders-1 1'])
})

test('Ctrl-C ends the waiting, and not the drain', { timeout: 120_000 }, async () => {
  const cluster = await FakeCluster.start(null, null)
  cluster.patience = Infinity
  cluster.topic('orders', [1])
  const bin = fileURLToPath(new URL('../bin/varve.mjs', import.meta.url))
  const child = spawn(process.execPath, [
    bin,
    'cluster',
    'drain',
    '1',
    '--broker',
    cluster.brokers[0]!.address,
  ])
  onTestFinished(() => void child.kill('SIGKILL'))
  const said = text(child.stderr)
  await cluster.brokers[0]!.received('ListPartitionReassignments', 1)
  child.kill('SIGINT')
  expect(await once(child, 'exit')).toEqual([130, null])
  expect(await said).toMatch(/^varve: interrupted: 1 partition of 1 left will be moved all the same/)
  expect(cluster.placement).toEqual(['orders-0 2,1'])
})

test('a drain without another broker, and a comparison without a second replica, say what is missing', async () => {
  const cluster = await FakeCluster.start(null)
  cluster.topic('orders', [1])
  expect((await cluster.varve('cluster drain 1')).stderr).toContain('no other broker is up')
  expect((await cluster.varve('cluster verify')).stdout).toMatch(/^There is nothing to compare/)
})

test('a rebalance gives a new broker its share, and leaders as well', { timeout: 120_000 }, async () => {
  const cluster = await FakeCluster.start(null, null, null)
  cluster.topic('orders', [1, 2], [1, 2], [1, 2])
  const directory = mkdtempSync(join(tmpdir(), 'varve-cluster-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const plan = await jsonOf(cluster, 'cluster rebalance --dry-run')
  expect(plan).toMatchObject({ version: 1, partitions: [{ topic: 'orders', partition: 0 }, {}, {}] })
  const shown = (await cluster.varve('cluster rebalance --dry-run')).stdout
  expect(shown).toContain('3 partitions would change, 2 replicas would be copied, 2.0 kB')
  const done = await cluster.varve('cluster rebalance')
  expect(done).toMatchObject({
    status: 0,
    stderr: '',
    stdout: expect.stringMatching(
      /^3 partitions changed, 2 replicas copied \(2.0 kB\), \d leaders? elected\n$/,
    ),
  })
  expect(cluster.preferred).toEqual([true, true, true])
  const replicas = Object.values(cluster.topics).flatMap((all) => all.map((one) => one.replicas))
  expect([1, 2, 3].map((id) => replicas.flat().filter((each) => each === id).length)).toEqual([2, 2, 2])
  expect(new Set(replicas.map(([first]) => first)).size).toBe(3)
  expect((await cluster.varve('cluster rebalance --dry-run')).stdout).toBe(
    'The replicas and leaders are balanced\n',
  )

  // What it prints is what Kafka's script and reassign take, and the way back.
  const file = join(directory, 'plan.json')
  writeFileSync(file, JSON.stringify({ partitions: [{ topic: 'orders', partition: 2, replicas: [3] }] }))
  const reassigned = await cluster.varve(`cluster reassign --reassignment-json-file ${file}`)
  expect(reassigned).toMatchObject({ status: 0, stdout: expect.stringMatching(/^1 partition reassigned/) })
  expect(cluster.placement[2]).toBe('orders-2 3')
  for (const bad of ['{}', '{"partitions":[{"topic":"orders","partition":0,"replicas":[]}]}', '?']) {
    writeFileSync(file, bad)
    expect((await cluster.varve(`cluster reassign --reassignment-json-file ${file}`)).status).toBe(1)
  }
  expect((await cluster.varve('cluster reassign')).status).toBe(2)
  cluster.stop(2)
  expect((await cluster.varve('cluster rebalance')).stderr).toMatch(/broker 2 is down.*varve cluster drain 2/)
})

test(
  'leaders are elected: the preferred ones, and where records may be lost, others',
  { timeout: 120_000 },
  async () => {
    const cluster = await FakeCluster.start(null, null)
    const [first, second, third] = cluster.topic('orders', [1, 2], [2, 1], [1, 2])
    first!.leader = 2
    expect(await cluster.varve('cluster elect-leaders')).toEqual({
      status: 0,
      stdout: 'Elected 1 leader\n',
      stderr: '',
    })
    Object.assign(second!, { leader: 1, isr: [1] })
    const refused = await cluster.varve('cluster elect-leaders orders:1 --json')
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/^varve: Electing a leader of orders-1 .*PREFERRED_LEADER_NOT_AVAILABLE/),
    ])
    expect(JSON.parse(refused.stdout)).toMatchObject({ elected: [], failed: [{ partition: 1 }] })
    Object.assign(third!, { leader: -1, isr: [] })
    expect((await cluster.varve('cluster elect-leaders --unclean')).status).toBe(2)
    expect((await cluster.varve('cluster elect-leaders orders --all')).status).toBe(2)
    expect(third!.leader).toBe(-1)
    expect((await cluster.varve('cluster elect-leaders orders --unclean')).stdout).toBe('Elected 1 leader\n')
    expect(third!.leader).toBe(1)
  },
)

test('a broker is forgotten once it is down and has no replicas', { timeout: 120_000 }, async () => {
  const cluster = await FakeCluster.start(null, null)
  cluster.topic('orders', [1, 2])
  const unregister = (args: string) => cluster.varve(`cluster unregister ${args}`)
  expect((await unregister('2')).stderr).toContain('broker 2 is up')
  cluster.stop(2)
  expect((await unregister('2')).stderr).toContain('broker 2 has 1 replica')
  expect(cluster.brokers[0]!.count('UnregisterBroker')).toBe(0)
  expect((await unregister('2 --force')).stdout).toBe('Unregistered broker 2\n')
  expect((await unregister('9')).stderr).toContain('there is no broker 9')
})

test(
  'a topic is described with those who may lead, and its replicas are moved',
  { timeout: 120_000 },
  async () => {
    const cluster = await FakeCluster.start(null, null)
    const [, second] = cluster.topic('orders', [1, 2], [2])
    Object.assign(second!, { leader: -1, isr: [] })
    cluster.down.add(2)
    expect((await cluster.varve('topic describe orders')).stdout.split('\n').slice(1)).toEqual([
      '  PARTITION  LEADER  EPOCH  REPLICAS  ISR  ELR  OFFLINE  START  END',
      '          0       1      3  1,2       1,2  -    2            0    0',
      '          1       -      3  2         -    2    2            -    -',
      '',
    ])
    cluster.down.delete(2)
    expect((await cluster.varve('topic alter orders --reassign 2')).stderr).toContain(
      'orders has 2 partitions',
    )
    expect((await cluster.varve('topic alter orders --reassign 1:2,1 --partitions 3')).status).toBe(2)
    expect((await cluster.varve('topic alter orders --replicas 1')).status).toBe(2)
    cluster.brokers[0]!.on('CreatePartitions', ({ body }) => ({
      throttleTimeMs: 0,
      results: body.topics.map(({ name }: any) => ({ name, errorCode: 0, errorMessage: null })),
    }))
    expect((await cluster.varve('topic alter orders --partitions 3 --replicas 2:1')).status).toBe(0)
    expect((await cluster.brokers[0]!.received('CreatePartitions')).body.topics).toEqual([
      { name: 'orders', count: 3, assignments: [{ brokerIds: [2, 1] }] },
    ])
    expect(await cluster.varve('topic alter orders --reassign 2:1,1')).toMatchObject({
      status: 0,
      stdout: '2 partitions reassigned, 1.0 kB copied\n',
    })
    expect(cluster.placement).toEqual(['orders-0 2,1', 'orders-1 1'])
  },
)

test('replicas are compared byte for byte', { timeout: 120_000 }, async () => {
  const cluster = await FakeCluster.start(null, null, null)
  cluster.topic('orders', [1, 2, 3], [2, 1], [1])
  cluster.topic('compacted', [1, 2])
  cluster.configs['compacted'] = { 'cleanup.policy': 'compact' }
  const fill = (partition: number, nodeId: number, from: number, to: number): void => {
    for (let record = from; record < to; record++)
      cluster.log('orders', partition, nodeId).add({ value: `${record}`.repeat(200) })
  }
  for (const nodeId of [1, 2, 3]) fill(0, nodeId, 0, 20)
  for (const nodeId of [1, 2]) fill(1, nodeId, 0, 3)
  const equal = await cluster.varve('cluster verify')
  expect(equal).toMatchObject({ status: 0, stderr: '' })
  expect(equal.stdout).toMatch(
    /^All replicas are equal: 2 partitions, \d+\.\d kB of each replica compared\.\n/,
  )
  expect(equal.stdout).toMatch(/compacted by itself: compacted\.\n$/)

  // One byte of the eighth batch.
  cluster.log('orders', 0, 2).batches[7]!.writeUInt8(1, 80)
  // Only a leader epoch, which the checksum does not cover.
  cluster.log('orders', 1, 1).batches[1]!.writeInt32BE(9, 12)
  cluster.logs.delete('orders-0@3')
  fill(0, 3, 0, 15)
  cluster.log('orders', 0, 3).startOffset = 4
  const differing = await cluster.varve('cluster verify orders --timeout 200')
  expect(differing.status).toBe(1)
  expect(differing.stdout.split('\n').slice(0, 6)).toEqual([
    'TOPIC   PARTITION  BROKER  DIFFERENCE',
    'orders          0       2  has another batch than broker 1 at offset 7',
    'orders          0       3  begins at offset 4, and others at 0',
    'orders          0       3  ends at offset 15, and broker 1 at 20',
    'orders          1       1  has another batch than broker 2 at offset 1',
    '',
  ])
  const some = await cluster.varve('cluster verify orders:1 --json')
  expect(some.status).toBe(1)
  expect(JSON.parse(some.stdout)).toMatchObject({
    isEqual: false,
    partitions: [
      {
        partition: 1,
        reference: 2,
        from: 0,
        replicas: [
          { nodeId: 2, differences: [] },
          { nodeId: 1, endOffset: 3, differences: [{ kind: 'differs', offset: 1 }] },
        ],
      },
    ],
  })
  cluster.stop(3)
  expect((await cluster.varve('cluster verify orders:0')).stdout).toContain('broker 3 is not up')
})

test(
  'a replica that a reassignment is only filling is not called different',
  { timeout: 120_000 },
  async () => {
    const cluster = await FakeCluster.start(null, null, null)
    const [partition] = cluster.topic('orders', [1, 2])
    for (const nodeId of [1, 2]) cluster.log('orders', 0, nodeId).add({ value: 'a' })
    Object.assign(partition!, { replicas: [1, 2, 3], adding: [3] })
    cluster.patience = Infinity
    expect((await cluster.varve('cluster verify')).status).toBe(0)
  },
)
