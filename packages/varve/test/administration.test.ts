/**
 * Whoever administers a cluster from a shell reads tables, and scripts read JSON; both must say what the cluster did, and a
 * command that changed nothing must not look like one that did.
 */
import { startBroker, type Broker } from '@varve/broker'
import { Admin } from '@varve/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runVarve, type Ran } from './run-varve.js'

let broker: Broker
let admin: Admin
beforeAll(async () => {
  broker = await startBroker()
  admin = new Admin({ brokers: [broker.address] })
})
afterAll(async () => {
  await admin.close()
  await broker.close()
})

const varve = async (args: string, input?: string): Promise<Ran> =>
  runVarve([...args.split(' '), '--broker', broker.address], input)

async function printed(args: string, input?: string): Promise<string> {
  const { status, stdout, stderr } = await varve(args, input)
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout
}

const json = async (args: string): Promise<any> => JSON.parse(await printed(`${args} --json`))

test('a topic is created, shown, altered and deleted', { timeout: 120_000 }, async () => {
  const create =
    'topic create orders --partitions 2 -c retention.ms=3600000 --config cleanup.policy=compact,delete'
  expect(await printed(create)).toBe('Created orders with 2 partitions\n')
  expect(await printed('topic create orders --if-not-exists')).toBe('There is a topic orders already\n')
  expect(await varve('topic create orders')).toMatchObject({ status: 1, stdout: '' })
  await printed('produce orders -q -P 1 -k :', 'x:a\ny:b\n')

  expect(await printed('topic list')).toBe('TOPIC   PARTITIONS  REPLICAS\norders           2         1\n')
  expect(await json('topic list')).toMatchObject([{ name: 'orders', partitions: 2, replicationFactor: 1 }])
  const described = await printed('topic describe orders')
  expect(described.split('\n').slice(1)).toEqual([
    '  cleanup.policy=compact,delete',
    '  retention.ms=3600000',
    '  PARTITION  LEADER  EPOCH  REPLICAS  ISR  ELR  OFFLINE  START  END',
    expect.stringMatching(/^ +0 +(\d+) +0 +\1 +\1 +- +- +0 +0$/),
    expect.stringMatching(/^ +1 +(\d+) +0 +\1 +\1 +- +- +0 +2$/),
    '',
  ])

  const alter = 'topic alter orders --partitions 3 -c retention.ms=7200000 --delete-config cleanup.policy'
  expect(await printed(alter)).toBe('Changed orders\n')
  expect(await json('topic describe orders')).toMatchObject([
    { configs: { 'retention.ms': '7200000' }, partitions: [{}, { endOffset: 2 }, {}] },
  ])
  expect(await varve('topic alter orders')).toMatchObject({ status: 2, stdout: '' })

  expect(await printed('topic delete orders')).toBe('Deleted orders\n')
  expect(await varve('topic delete orders')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('there is no topic orders'),
  })
  expect(await printed('topic delete orders --if-exists')).toBe('')
  expect(await printed('topic list')).toBe('')
})

test('settings are described, changed and refused', { timeout: 120_000 }, async () => {
  await admin.createTopics([{ name: 'set' }])
  expect(await varve('config describe topic set')).toEqual({
    status: 0,
    stdout: '',
    stderr: 'Nothing is set; --all shows the defaults.\n',
  })
  expect(await printed('config describe topic set --all')).toMatch(/^retention\.ms +604800000 +default/m)
  expect(await printed('config alter topic set --set retention.ms=5 --dry-run')).toBe(
    'topic set can be changed like this\n',
  )
  expect(await json('config describe topic set')).toEqual([])
  await printed('config alter topic set -s retention.ms=5 --append cleanup.policy=compact')
  expect(await printed('config describe topic set')).toBe(
    [
      'NAME            VALUE           FROM   READ-ONLY',
      'cleanup.policy  delete,compact  topic  -',
      'retention.ms    5               topic  -',
      '',
    ].join('\n'),
  )
  await printed('config alter topic set --subtract cleanup.policy=delete -d retention.ms')
  expect(await json('config describe topic set')).toMatchObject([
    { name: 'cleanup.policy', value: 'compact' },
  ])
  expect(await varve('config alter topic set -s retention.ms=soon')).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringContaining('retention.ms'),
  })
  expect((await varve('config describe topic')).status).toBe(2)
  const { controllerId } = await admin.describeCluster()
  expect(await printed(`config describe broker ${controllerId} --all`)).toMatch(/^log\.retention\.ms /m)
})

test('offsets of topics', { timeout: 120_000 }, async () => {
  await admin.createTopics([{ name: 'measured', partitions: 2 }])
  const records = [100, 200, 300].map((timestamp) => JSON.stringify({ value: 'v', timestamp, partition: 1 }))
  await printed('produce measured --json -q', records.join('\n'))
  expect(await printed('offsets measured')).toBe(
    [
      'TOPIC     PARTITION  EARLIEST  LATEST',
      'measured          0         0       0',
      'measured          1         0       3',
      '',
    ].join('\n'),
  )
  expect(await printed('offsets measured --at 150')).toBe(
    [
      'TOPIC     PARTITION  OFFSET  TIMESTAMP',
      'measured          0       -  -',
      'measured          1       1  1970-01-01T00:00:00.200Z',
      '',
    ].join('\n'),
  )
  expect(await json('offsets measured --at max-timestamp')).toMatchObject([{ offset: -1 }, { offset: 2 }])
  expect((await varve('offsets none')).stderr).toContain('there is no topic none')
})

test('a group is listed, described, moved and forgotten', { timeout: 120_000 }, async () => {
  await admin.createTopics([{ name: 'read', partitions: 2 }])
  await printed('produce read -q -P 0', 'a\nb\nc\nd\ne\n')
  await admin.alterGroupOffsets('billing', [{ topic: 'read', partition: 0, offset: 2 }])
  expect(await printed('group list --state Empty')).toBe(
    'GROUP    STATE  TYPE     PROTOCOL\nbilling  Empty  classic  -\n',
  )
  expect((await printed('group describe billing')).split('\n').slice(1)).toEqual([
    'TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID',
    'read           0               2               5    3  -            -     -',
    '',
  ])

  const dry = await varve('group reset-offsets billing --topic read --to-earliest')
  expect(dry).toEqual({
    status: 0,
    stdout: [
      'TOPIC  PARTITION  CURRENT-OFFSET  NEW-OFFSET',
      'read           0               2           0',
      'read           1               -           0',
      '',
    ].join('\n'),
    stderr: 'Nothing has been changed; --execute does it.\n',
  })
  const offset = async (): Promise<number> => (await admin.listGroupOffsets('billing'))[0]!.offset
  expect(await offset()).toBe(2)
  const moves = [
    ['--all-topics --shift-by -1', 1],
    ['--topic read:0 --to-offset 99', 5],
    ['--topic read:0 --to-latest', 5],
    ['--topic read:0 --to-earliest', 0],
    ['--topic read:0 --to-datetime 2999-01-01', 5],
    ['--topic read:0 --by-duration P1D', 0],
    ['--topic read:0 --to-current', 0],
  ] as const
  for (const [where, expected] of moves) {
    await printed(`group reset-offsets billing ${where} --execute`)
    expect(await offset(), where).toBe(expected)
  }
  expect((await varve('group reset-offsets billing --topic read')).status).toBe(2)
  expect((await varve('group reset-offsets billing --to-latest')).status).toBe(2)
  expect((await varve('group reset-offsets billing --topic read:7 --to-latest')).stderr).toContain(
    'no partition 7',
  )

  expect(await printed('group delete billing')).toBe('Deleted billing\n')
  expect(await varve('group describe billing')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('there is no group billing'),
  })
})

test('records go in and come out with all that they are', { timeout: 120_000 }, async () => {
  const records = [
    {
      timestamp: 100,
      key: 'k',
      value: 'v',
      headers: [
        ['a', 'x'],
        ['a', null],
      ],
    },
    { timestamp: 200, key: null, value: { base64: '/w==' }, headers: [] },
  ]
  await admin.createTopics([{ name: 'whole', partitions: 1 }])
  await printed('produce whole --json -q', `${records.map((record) => JSON.stringify(record)).join('\n')}\n`)
  const stdout = await printed('consume whole --json')
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual(records.map((record, offset) => ({ topic: 'whole', partition: 0, offset, ...record })))
  await printed('produce whole -q -k : -H source=shell -H empty=', 'key:value\n')
  expect(await printed('consume --with key,headers --with partition,offset whole --from 2')).toBe(
    '0\t2\tsource:shell,empty:\tkey\tvalue\n',
  )
  const refused = await varve('produce whole --json -q', '{"value":"good"}\n{"value":5}\n')
  expect(refused).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^varve: line 2 is no record: the value/),
  })
})

test('members of a group go on from what the group has committed', { timeout: 120_000 }, async () => {
  await admin.createTopics([{ name: 'grouped', partitions: 2 }])
  await printed('produce grouped -q -P 0', 'a\nb\nc\n')
  expect(await printed('consume grouped --group g --max 2')).toBe('a\nb\n')
  expect(await json('group describe g')).toMatchObject({
    state: 'Empty',
    offsets: [
      { topic: 'grouped', partition: 0, currentOffset: 2, logEndOffset: 3, lag: 1 },
      { partition: 1 },
    ],
  })
  expect(await printed('consume grouped --group g --max 1 --from latest')).toBe('c\n')
  expect(await varve('consume grouped --group g --from 5')).toMatchObject({ status: 2, stdout: '' })
})

test(
  'a group ends by itself when nothing comes any more, and has committed by then',
  {
    timeout: 120_000,
  },
  async () => {
    await admin.createTopics([{ name: 'ending', partitions: 2 }])
    await printed('produce ending -q -P 1', 'a\nb\n')
    const followed = printed('consume ending --follow --timeout 8000')
    expect(await printed('consume ending --group e --timeout 8000')).toBe('a\nb\n')
    expect(await json('group describe e')).toMatchObject({
      state: 'Empty',
      offsets: [{ lag: 0 }, { lag: 0, currentOffset: 2 }],
    })
    expect(await printed('consume ending --group e --timeout 300')).toBe('')
    expect(await followed).toBe('a\nb\n')
  },
)

test('people who know Kafka find their way', async () => {
  const { stdout } = await runVarve(['group', '--help'])
  expect(stdout).toContain('kafka-consumer-groups.sh')
})
