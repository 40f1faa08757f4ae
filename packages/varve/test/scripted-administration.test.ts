/**
 * Scripts that call Kafka's tools ask for more than tables: what they wrote to a file, all groups at once, what was done
 * of something that failed halfway.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBroker, type Broker } from '@varve/broker'
import { Admin, Consumer } from '@varve/client'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { program } from '../src/cli/main.js'
import { runVarve, type Ran } from './run-varve.js'

let broker: Broker
let admin: Admin
const directory = mkdtempSync(join(tmpdir(), 'varve-scripts-'))
beforeAll(async () => {
  broker = await startBroker()
  admin = new Admin({ brokers: [broker.address] })
})
afterAll(async () => {
  await admin.close()
  await broker.close()
  rmSync(directory, { recursive: true, force: true })
})

const varve = (args: string, input?: string): Promise<Ran> =>
  runVarve([...args.split(' '), '--broker', broker.address], input)

async function printed(args: string, input?: string): Promise<string> {
  const { status, stdout, stderr } = await varve(args, input)
  expect([stderr, status], args).toEqual(['', 0])
  return stdout
}

const json = async (args: string): Promise<any> => JSON.parse(await printed(`${args} --json`))

async function fill(topic: string, partitions: number, timestamps: number[]): Promise<void> {
  await admin.createTopics([{ name: topic, partitions }])
  const lines = timestamps.flatMap((timestamp) =>
    Array.from({ length: partitions }, (_, partition) =>
      JSON.stringify({ value: 'v', timestamp, partition }),
    ),
  )
  await printed(`produce ${topic} --json -q`, lines.join('\n'))
}

test(
  'records before an offset, before a time, or as a file of Kafka says, are deleted',
  {
    timeout: 120_000,
  },
  async () => {
    await fill('cut', 2, [100, 200, 300, 400])
    const starts = async (): Promise<number[]> =>
      (
        await admin.listOffsets(
          [0, 1].map((partition) => ({ topic: 'cut', partition, timestamp: 'earliest' })),
        )
      ).map(({ offset }) => offset)
    expect(await printed('topic delete-records cut:1 --before 1')).toBe(
      'TOPIC  PARTITION  START\ncut            1      1\n',
    )
    expect(await starts()).toEqual([0, 1])
    expect(await json('topic delete-records cut --before 1970-01-01T00:00:00.300')).toEqual({
      deleted: [
        { topic: 'cut', partition: 0, logStartOffset: 2 },
        { topic: 'cut', partition: 1, logStartOffset: 2 },
      ],
      failed: [],
    })
    const file = join(directory, 'offsets.json')
    const rows = [
      { topic: 'cut', partition: 0, offset: 3 },
      { topic: 'cut', partition: 1, offset: 99 },
    ]
    writeFileSync(file, JSON.stringify({ partitions: rows, version: 1 }))
    const half = await varve(`topic delete-records --json --offset-json-file ${file}`)
    expect(half.status).toBe(1)
    expect(half.stderr).toBe('varve: cut-1 has no such offset yet. varve offsets shows where it ends\n')
    expect(JSON.parse(half.stdout)).toEqual({
      deleted: [{ topic: 'cut', partition: 0, logStartOffset: 3 }],
      failed: [
        { name: 'cut-1', error: 'OFFSET_OUT_OF_RANGE', message: expect.stringContaining('no such offset') },
      ],
    })
    writeFileSync(file, JSON.stringify({ partitions: [{ topic: 'cut', partition: 1, offset: -1 }] }))
    await printed(`topic delete-records --offset-json-file ${file}`)
    expect(await starts()).toEqual([3, 4])
    writeFileSync(file, JSON.stringify({ partitions: [{ topic: 'cut', partition: 1 }] }))
    expect((await varve(`topic delete-records --offset-json-file ${file}`)).stderr).toContain(
      'must be such as',
    )
    // Whichever was meant, the other one would delete something else.
    expect((await varve(`topic delete-records --offset-json-file ${file} --before 5`)).status).toBe(2)
    expect((await varve('topic delete-records cut')).status).toBe(2)
    expect((await varve('topic delete-records')).status).toBe(2)
  },
)

test('groups are moved together, by what was written down before', { timeout: 120_000 }, async () => {
  await fill('moved', 2, [100, 200, 300])
  const commit = (group: string, ...offsets: number[]): Promise<void> =>
    admin.alterGroupOffsets(
      group,
      offsets.map((offset, partition) => ({ topic: 'moved', partition, offset })),
    )
  await commit('one', 1, 2)
  await commit('two, "or so"', 3, 3)
  const current = async (group: string): Promise<number[]> =>
    (await admin.listGroupOffsets(group)).map(({ offset }) => offset)

  expect(await printed('group reset-offsets one --all-topics --to-current --export')).toBe(
    'moved,0,1\nmoved,1,2\n',
  )
  const saved = await printed('group reset-offsets --all-groups --all-topics --to-current --export')
  expect(saved).toBe(
    ['one,moved,0,1', 'one,moved,1,2', '"two, ""or so""",moved,0,3', '"two, ""or so""",moved,1,3', ''].join(
      '\n',
    ),
  )
  const file = join(directory, 'saved.csv')
  writeFileSync(file, saved)

  const dry = await varve('group reset-offsets --all-groups --all-topics --to-earliest --dry-run')
  expect([dry.status, dry.stderr]).toEqual([0, 'Nothing has been changed; --execute does it.\n'])
  expect(await current('one')).toEqual([1, 2])
  await printed('group reset-offsets --all-groups --all-topics --to-earliest --execute')
  expect([await current('one'), await current('two, "or so"')]).toEqual([
    [0, 0],
    [0, 0],
  ])
  await printed(`group reset-offsets --all-groups --from-file ${file} --execute`)
  expect([await current('one'), await current('two, "or so"')]).toEqual([
    [1, 2],
    [3, 3],
  ])
  // What one group wrote, another may take over.
  writeFileSync(file, 'moved,1,3\n')
  expect(await json(`group reset-offsets three --from-file ${file} --execute`)).toEqual({
    groupId: 'three',
    executed: true,
    offsets: [{ topic: 'moved', partition: 1, currentOffset: null, newOffset: 3 }],
  })
  writeFileSync(file, 'moved,1,3\nmoved;1;3\n')
  expect((await varve(`group reset-offsets three --from-file ${file}`)).stderr).toContain(
    'line 2: it must be',
  )
  for (const part of ['--topic other', '--all-topics'])
    expect((await varve(`group reset-offsets one --from-file ${file} ${part}`)).status).toBe(2)
  expect((await varve('group reset-offsets --all-topics --to-latest')).status).toBe(2)
  expect((await varve('group reset-offsets one --all-topics --to-latest --dry-run --execute')).status).toBe(2)

  const described = (await json('group describe --all-groups')) as Array<{
    groupId: string
    offsets: unknown[]
  }>
  expect(described.map(({ groupId, offsets }) => [groupId, offsets.length])).toEqual([
    ['one', 2],
    ['three', 1],
    ['two, "or so"', 2],
  ])

  expect(await json('group delete-offsets one --topic moved:1')).toEqual({
    groupId: 'one',
    deleted: [{ topic: 'moved', partition: 1 }],
    failed: [],
  })
  expect(await current('one')).toEqual([1])
  expect(await printed('group delete-offsets one -t moved')).toBe('TOPIC  PARTITION\nmoved          0\n')
  expect((await varve('group delete-offsets one -t moved')).stderr).toContain('has committed nothing there')
  expect(await json('group delete --all-groups')).toMatchObject({ deleted: ['three', 'two, "or so"'] })
})

test('what was done of several things is said when one of them fails', { timeout: 120_000 }, async () => {
  for (const name of ['first', 'last']) await admin.createTopics([{ name }])
  const topics = await varve('topic delete first none last --json')
  expect(topics.status).toBe(1)
  expect(topics.stderr).toMatch(/^varve: there is no topic none .*\n$/)
  expect(JSON.parse(topics.stdout)).toEqual({
    deleted: ['first', 'last'],
    failed: [
      {
        name: 'none',
        error: 'UNKNOWN_TOPIC_OR_PARTITION',
        message: expect.stringMatching(/^there is no topic none/),
      },
    ],
  })

  await admin.createTopics([{ name: 'read' }])
  const consumer = new Consumer({ brokers: [broker.address], groupId: 'busy' })
  onTestFinished(() => consumer.close())
  consumer.subscribe(['read'])
  const reading = consumer.batches()[Symbol.asyncIterator]().next()
  reading.catch(() => {})
  await expect.poll(async () => (await admin.listGroups()).map(({ state }) => state)).toContain('Stable')
  await admin.alterGroupOffsets('idle', [{ topic: 'read', partition: 0, offset: 0 }])
  const groups = await varve('group delete idle busy none')
  expect([groups.status, groups.stdout]).toEqual([1, 'Deleted idle\n'])
  expect(groups.stderr.split('\n')).toEqual([
    expect.stringMatching(/^varve: group busy has members/),
    expect.stringMatching(/^varve: there is no group none/),
    '',
  ])
  expect((await varve('group delete-offsets busy -t read:0')).stderr).toMatch(/^varve: group busy reads it/)
  // Neither half of it is done where the other cannot be.
  expect((await varve('topic alter read --partitions 1 -c retention.ms=5')).status).toBe(1)
  expect(await json('config describe topic read')).toEqual([])
  const produced = await varve('produce read --json', '{"value":"v"}\n{"key":"k"}\n')
  expect(JSON.parse(produced.stdout)).toEqual({ topic: 'read', records: 2, bytes: 24, failed: 0 })
})

test('the cluster, its directories and its producers', { timeout: 120_000 }, async () => {
  await fill('stored', 2, [100])
  const { clusterId, nodes } = await admin.describeCluster()
  const { nodeId, port } = nodes[0]!
  expect(await json('cluster describe')).toEqual({ clusterId, controllerId: nodeId, nodes })
  const text = await printed('cluster describe')
  expect(text.split('\n')[0]).toBe(`cluster ${clusterId}, controller ${nodeId}`)
  expect(text).toContain(String(port))
  const [dir] = broker.dataDirectories
  expect(await json('cluster log-dirs --topic stored:1')).toMatchObject([
    {
      nodeId,
      path: dir,
      error: null,
      usableBytes: expect.any(Number),
      replicas: [{ topic: 'stored', partition: 1, sizeBytes: expect.any(Number) }],
    },
  ])
  const lines = (await printed('cluster log-dirs --partitions --topic stored')).trimEnd().split('\n')
  expect(lines).toHaveLength(3)
  expect(lines[2]).toMatch(new RegExp(`^stored +1 +[1-9]\\d* +0 +${nodeId} +${dir}$`))
  const producers = await json('topic producers stored:0')
  expect(producers).toMatchObject([
    { topic: 'stored', partition: 0, producers: [{ producerEpoch: 0, lastSequence: 0 }] },
  ])
  expect(await printed('topic producers stored:0')).toContain(String(producers[0].producers[0].producerId))
})

test('docs/kafka-tools.md names commands and options that there are', () => {
  const page = readFileSync(new URL('../../../docs/kafka-tools.md', import.meta.url), 'utf8')
  const ours = [...page.matchAll(/`varve ([a-z][^`]*)`/g)].map(([, args]) => args!)
  expect(ours.length).toBeGreaterThan(40)
  for (const args of ours) {
    const all = program()
    for (const command of all.commands.flatMap((each) => [each, ...each.commands])) command.action(() => {})
    expect(() => all.parse(args.split(' '), { from: 'user' }), args).not.toThrow()
  }
})
