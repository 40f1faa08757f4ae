/**
 * Whoever appends by key relies on two things that no single log promises: that a key always finds the partition where Kafka's
 * clients would have put it, and that what comes back over all partitions is everything, once, each key in its order,
 * also when readers are at work, when one disk fails, and after the process was killed.
 */
import { keyPartition } from '@varve/partitioning'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  openTopic,
  type RecordPosition,
  type Topic,
  type TopicOptions,
  type TopicReadOptions,
  type TopicRecord,
} from '../src/index.js'
import { startScript } from './child-script.js'
import { temporaryDirectory } from './temporary-directory.js'

const twoDirectories = (): string[] => [temporaryDirectory(), temporaryDirectory()]

const open = (options: TopicOptions = {}): Promise<Topic> =>
  openTopic(twoDirectories(), 'orders', { partitions: 4, durability: 'os', ...options })

async function read(topic: Topic, options?: TopicReadOptions): Promise<TopicRecord[]> {
  const records: TopicRecord[] = []
  for await (const record of topic.read(options)) records.push(record)
  return records
}

const places = (records: readonly TopicRecord[]): number[][] =>
  records.map(({ partition, offset }) => [partition, offset])

const at = (timestamp: number, value = ''): { value: string; timestamp: number } => ({ value, timestamp })

test('a key goes where Kafka’s clients would have put it, and each record’s place is told', async () => {
  await using topic = await open()
  const keys = Array.from({ length: 50 }, (_, index) =>
    index % 2 === 0 ? `key-${index}` : Buffer.from([index]),
  )
  const positions = await topic.append(keys.map((key) => ({ key, value: 'v' })))
  expect(positions.map(({ partition }) => partition)).toEqual(
    keys.map((key) => keyPartition(Buffer.from(key), 4)),
  )
  for (const [index, { partition, offset }] of positions.entries()) {
    const { value } = await topic.partition(partition).read({ from: offset }).next()
    expect(value!.key).toEqual(Buffer.from(keys[index]!))
  }
})

test('round robin, whatever the key', async () => {
  await using topic = await open({ partitioner: 'round-robin' })
  const positions: RecordPosition[] = []
  for (let n = 0; n < 6; n++) positions.push(...(await topic.append([{ key: 'same', value: 'v' }])))
  expect(positions.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 0, 1])
  expect(positions.map(({ offset }) => offset)).toEqual([0, 0, 0, 0, 1, 1])
})

test.each(['sticky', 'default'] as const)(
  '%s keeps records without a key of one append together',
  async (partitioner) => {
    await using topic = await open({ partitioner })
    let last = -1
    for (let n = 0; n < 5; n++) {
      const positions = await topic.append([{ value: 'a' }, { value: 'b' }, { value: 'c' }])
      const [{ partition }] = positions as [RecordPosition]
      expect(new Set(positions.map((position) => position.partition))).toEqual(new Set([partition]))
      expect(partition).not.toBe(last)
      last = partition
    }
  },
)

test('a partitioner of one’s own, and a partition given', async () => {
  await using topic = await open({ partitioner: ({ key }, partitions) => Number(key) % partitions })
  expect(await topic.append([{ key: '7' }, { key: '2' }])).toEqual([
    { partition: 3, offset: 0 },
    { partition: 2, offset: 0 },
  ])
  expect(await topic.append([{ key: '7' }, { key: '2' }], { partition: 3 })).toEqual([
    { partition: 3, offset: 1 },
    { partition: 3, offset: 2 },
  ])
  for (const key of ['1.5', '-1', 'x']) {
    await expect(topic.append([{ key: '0' }, { key }])).rejects.toMatchObject({
      code: 'VARVE_INVALID_OPTION',
    })
  }
  await expect(topic.append([{ key: '0' }], { partition: 4 })).rejects.toMatchObject({
    code: 'VARVE_INVALID_OPTION',
  })
  expect(topic.partition(0).endOffset).toBe(0)
})

test('what cannot be encoded keeps its neighbours of all partitions from being stored', async () => {
  await using topic = await open({ partitioner: 'round-robin' })
  for (const wrong of [null, {}, { value: 5 }, 'text']) {
    await expect(topic.append([{ value: 'a' }, { value: 'b' }, wrong as never])).rejects.toMatchObject({
      code: 'VARVE_RECORD_INVALID',
    })
  }
  await expect(topic.append([])).rejects.toMatchObject({ code: 'VARVE_EMPTY_BATCH' })
  await expect(topic.append('abc' as never)).rejects.toMatchObject({ code: 'VARVE_RECORD_INVALID' })
  await expect(topic.append([{ value: 'a' }], { signal: AbortSignal.abort('stop') })).rejects.toBe('stop')
  expect(await read(topic)).toEqual([])
})

test('a partition that takes no more fails alone, and records without a key go elsewhere', async () => {
  await using topic = await open()
  await topic.partition(1).close()
  const keyed = Array.from({ length: 30 }, (_, index) => `${index}`)
  const settled = await Promise.allSettled(keyed.map((key) => topic.append([{ key }])))
  for (const [index, { status }] of settled.entries()) {
    expect(status).toBe(keyPartition(Buffer.from(keyed[index]!), 4) === 1 ? 'rejected' : 'fulfilled')
  }
  for (let n = 0; n < 30; n++) {
    const [position] = await topic.append([{ value: 'v' }])
    expect(position!.partition).not.toBe(1)
  }
  await expect(topic.append(keyed.map((key) => ({ key })))).rejects.toMatchObject({
    code: 'VARVE_LOG_CLOSED',
  })
  await expect(topic.flush()).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
})

test('merges by time, then by partition', async () => {
  await using topic = await open({ partitions: 3 })
  await topic.append([at(10), at(40), at(30)], { partition: 0 })
  await topic.append([at(20), at(40)], { partition: 1 })
  await topic.append([at(5), at(40)], { partition: 2 })
  // 30 comes behind 40 of its own partition: no order of time is worth a partition's own.
  expect(places(await read(topic))).toEqual([
    [2, 0],
    [0, 0],
    [1, 0],
    [0, 1],
    [0, 2],
    [1, 1],
    [2, 1],
  ])
  expect(places(await read(topic, { from: { timestamp: 20 } }))).toEqual([
    [1, 0],
    [0, 1],
    [0, 2],
    [1, 1],
    [2, 1],
  ])
  expect(places(await read(topic, { from: [2, 2] }))).toEqual([
    [2, 0],
    [0, 2],
    [2, 1],
  ])
  expect(await read(topic, { from: 'end' })).toEqual([])
})

test('what is appended while it reads is not waited for, unless it follows', async () => {
  await using topic = await open({ partitions: 2 })
  await topic.append([at(1), at(2)], { partition: 0 })
  const reading = topic.read()
  await reading.next()
  await topic.append([at(3)], { partition: 1 })
  expect(await reading.next()).toMatchObject({ value: { partition: 0, offset: 1 } })
  expect(await reading.next()).toEqual({ value: undefined, done: true })

  const stop = new AbortController()
  const following = topic.read({ from: 'end', follow: true, signal: stop.signal })
  await topic.append([at(9)], { partition: 0 })
  expect(await following.next()).toMatchObject({ value: { partition: 0, timestamp: 9 } })
  const next = following.next()
  await topic.append([at(8)], { partition: 1 })
  expect(await next).toMatchObject({ value: { partition: 1, timestamp: 8 } })
  const waiting = following.next()
  stop.abort('enough')
  await expect(waiting).rejects.toBe('enough')
})

test('a following that nobody needs any more ends, and one whose topic closes is told', async () => {
  const topic = await open({ partitions: 2 })
  const left = topic.read({ follow: true })
  const waiting = left.next()
  await new Promise(setImmediate)
  await left.return!()
  expect(await waiting).toEqual({ value: undefined, done: true })
  const told = expect(topic.read({ follow: true }).next()).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
  await topic.close()
  await told
})

test('offsets that are not there, and options that cannot be', async () => {
  await using topic = await open({ partitions: 2 })
  await expect(read(topic, { from: [0, 5] })).rejects.toMatchObject({ code: 'VARVE_OFFSET_OUT_OF_RANGE' })
  for (const from of [5, 'middle', [1.5], { timestamp: 'now' }, null]) {
    expect(() => topic.read({ from: from as never })).toThrow(
      expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }),
    )
  }
})

test('every record is read once, each key in its order, whatever the partitioner and the breaks', async () => {
  const append = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e', null), fc.nat({ max: 50 })), {
    minLength: 1,
    maxLength: 8,
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 8, arbitrary: append }, fc.constant('reopen' as const)), { maxLength: 25 }),
      fc.constantFrom('default' as const, 'round-robin' as const, 'sticky' as const),
      fc.integer({ min: 1, max: 5 }),
      async (steps, partitioner, partitions) => {
        const dirs = twoDirectories()
        const options: TopicOptions = { partitioner, durability: 'os', segmentBytes: 300 }
        let topic = await openTopic(dirs, 'orders', { ...options, partitions })
        const appends: Array<Promise<RecordPosition[]>> = []
        const values: Array<{ key: string | null; value: string }> = []
        for (const step of steps) {
          if (step === 'reopen') {
            await topic.close()
            topic = await openTopic(dirs, 'orders', options)
            continue
          }
          const records = step.map(([key, timestamp]) => ({ key, timestamp, value: `${values.length}` }))
          for (const [index, record] of records.entries()) {
            record.value = `${values.length + index}`
          }
          values.push(...records)
          appends.push(topic.append(records))
        }
        const positions = (await Promise.all(appends)).flat()
        const found = new Map<string, string>()
        const lastOfKey = new Map<string, number>()
        for await (const { partition, offset, key, value } of topic.read()) {
          const place = `${partition}/${offset}`
          expect(found.has(place)).toBe(false)
          found.set(place, String(value))
          if (key === null || partitioner !== 'default') continue
          expect(Number(value)).toBeGreaterThan(lastOfKey.get(String(key)) ?? -1)
          lastOfKey.set(String(key), Number(value))
        }
        await topic.close()
        expect(found.size).toBe(values.length)
        for (const [index, { partition, offset }] of positions.entries()) {
          expect(found.get(`${partition}/${offset}`)).toBe(values[index]!.value)
        }
      },
    ),
    { numRuns: 25 },
  )
})

const appendForEver = `
  import { openTopic } from '@varve/log'
  const topic = await openTopic([process.argv[1], process.argv[2]], 'orders', { partitions: 4, durability: process.argv[3] })
  let n = 0
  async function append() {
    for (;;) {
      const key = 'key ' + n % 10
      const value = 'value ' + n++
      const [{ partition, offset }] = await topic.append([{ key, value }])
      process.stdout.write(partition + '/' + offset + ' ' + value + '.\\n')
      await new Promise(setImmediate)
    }
  }
  for (let lane = 0; lane < 10; lane++) append()
`

test.each([
  ['os', 1000],
  ['fsync', 200],
] as const)('everything acknowledged is there after a kill (%s)', async (durability, count) => {
  const dirs = twoDirectories()
  const script = startScript(appendForEver, [...dirs, durability])
  const acknowledged = new Map<string, string>()
  for await (const line of script.lines) {
    const [, place, value] = /^(\d\/\d+) (.*)\.$/.exec(line) ?? []
    // The kill may cut the last line short.
    if (place === undefined) continue
    acknowledged.set(place, value!)
    if (acknowledged.size === count) script.process.kill('SIGKILL')
  }
  expect((await script.ended).signal).toBe('SIGKILL')
  await using topic = await openTopic(dirs, 'orders')
  expect(topic.partitions).toBe(4)
  const lastOfKey = new Map<string, number>()
  for (const { partition, offset, key, value } of await read(topic)) {
    const place = `${partition}/${offset}`
    if (acknowledged.has(place)) expect(String(value)).toBe(acknowledged.get(place))
    acknowledged.delete(place)
    const number = Number(String(value).split(' ')[1])
    expect(number).toBeGreaterThan(lastOfKey.get(String(key)) ?? -1)
    lastOfKey.set(String(key), number)
  }
  expect(acknowledged.size).toBe(0)
})
