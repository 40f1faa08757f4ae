/**
 * Two wrongs that agree look right: our reader accepts whatever our writer makes of the format. Kafka's own tool does not. It
 * goes through every record, compares the indexes with the batches, and must find nothing to complain of in directories that
 * we wrote, whatever had become of the log. Complaints do not change its exit code: whether we would see them is tested too.
 */
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLog, type Log, type LogOptions } from '@varve/log'
import {
  encodeBatch,
  encodeEndTransactionMarker,
  type Compression,
  type EndTransactionMarker,
  type RecordBatch,
} from '@varve/records'
import { beforeAll, describe, expect, test, vi, type TestContext } from 'vitest'
import { dumpedFields } from '../../packages/records/test/kafka-dump.js'
import { mustRun } from '../support/children.js'
import { dumpLogSegments, type DumpedLog } from '../support/dump-log-segments.js'
import { kafkaToolsMissing } from '../support/kafka-tools.js'
import { root, temporaryDirectory } from '../support/tree.js'

const timeout = 120_000
const TIME = 1_700_000_000_000

const options = { durability: 'os', segmentBytes: 20_000, indexIntervalBytes: 1000 } satisfies LogOptions
const compacting = {
  ...options,
  segmentBytes: 3000,
  indexIntervalBytes: 300,
  cleanupPolicy: 'compact',
  compactionCheckMs: Infinity,
} satisfies LogOptions
const codecs: Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

async function fill(log: Log, rounds: number): Promise<void> {
  for (let n = 0; n < rounds; n++) {
    const timestamp = TIME + ((n * 37) % 100)
    const records = Array.from({ length: 1 + (n % 4) }, (_, k) => ({
      key: k === 1 ? null : `key ${n} ${k}`,
      value: k === 2 ? null : `value ${n} ${k} ${'x'.repeat((n * 97) % 900)}`,
      headers:
        k === 3
          ? ([
              ['a', 'b'],
              ['a', null],
              ['ünï', ''],
            ] as const)
          : [],
      timestamp: timestamp + k,
    }))
    await log.append(records)
    await log.appendBatches([encodeBatch(records, { compression: codecs[n % codecs.length]! })])[0]
  }
}

/** Appends batches that it numbers as an idempotent producer does. */
function producer(log: Log, producerId: number) {
  let baseSequence = 0
  return {
    async write(keys: readonly string[], timestamp: number, transactional = false): Promise<void> {
      const records = keys.map((key) => ({
        key,
        value: `${key} by ${producerId} ${'y'.repeat(60)}`,
        timestamp,
      }))
      const fields = { producerId, producerEpoch: 3, baseSequence, transactional }
      await log.appendBatches([encodeBatch(records, { producer: fields })])[0]
      baseSequence += keys.length
    },
    async end(type: EndTransactionMarker['type'], timestamp: number): Promise<void> {
      const marker = { type, producerId, producerEpoch: 3, coordinatorEpoch: 7, timestamp }
      await log.appendBatches([encodeEndTransactionMarker(marker)])[0]
    },
  }
}

/** Transactions over several segments: committed, aborted, one within the other, and one left open. */
async function transact(log: Log): Promise<void> {
  const [one, aside, open] = [producer(log, 8), producer(log, 9), producer(log, 10)]
  for (let n = 0; n < 90; n++) {
    await one.write([`key ${n % 5}`, `key ${n % 7}`], TIME + n, true)
    if (n % 5 === 2) await aside.write([`aside ${n % 3}`], TIME + n, true)
    if (n % 3 === 1) await one.end(n % 2 === 0 ? 'commit' : 'abort', TIME + n)
    if (n % 10 === 9) await aside.end('abort', TIME + n)
  }
  await one.end('commit', TIME + 90)
  await open.write(['open'], TIME + 91, true)
}

/** Keys again and again, some deleted, the largest times on records that do not stay. */
async function rewrite(log: Log, producerId = 1): Promise<void> {
  const [early, late] = [producer(log, producerId), producer(log, producerId + 1)]
  for (let n = 0; n < 40; n++) await early.write([`key ${n % 6}`, `key ${n % 4}`], TIME + 500 - n)
  for (let n = 0; n < 60; n++) {
    await late.write([`key ${n % 6}`], TIME + n)
    const records = [
      { key: `deleted ${n % 9}`, value: null, timestamp: TIME + n },
      { key: `key ${n % 3}`, value: `${n} ${'z'.repeat(70)}`, timestamp: TIME + n },
    ]
    await log.appendBatches([encodeBatch(records, { compression: codecs[n % codecs.length]! })])[0]
  }
}

/** Fills a log in a process that ends in the middle. */
async function stop(dir: string): Promise<void> {
  const script = `
    import { openLog } from '@varve/log'
    const log = await openLog(process.argv[1], JSON.parse(process.argv[2]))
    for (let n = 0; n < 100; n++) await log.append([{ key: 'k' + n, value: 'v'.repeat(n * 7) }])
    process.exit()
  `
  await mustRun(process.execPath, ['--input-type=module', '-e', script, '--', dir, JSON.stringify(options)])
  expect(segmentsOf(dir).length).toBeGreaterThan(1)
}

const segmentsOf = (dir: string): string[] =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.log'))
    .sort()

interface Subject {
  readonly options?: LogOptions
  /** What is there before the log is opened. */
  readonly before?: (dir: string) => Promise<void>
  /** What is done with it; without this it is not opened. */
  readonly make?: (log: Log) => Promise<unknown>
  /** Whether what was meant to come about has. */
  readonly check: (dumped: DumpedLog, dir: string) => unknown
}

const subjects: Record<string, Subject> = {
  'rolled, in every codec': {
    make: (log) => fill(log, 100),
    check({ batches }, dir) {
      expect(segmentsOf(dir).length).toBeGreaterThan(3)
      expect(batches).toHaveLength(200)
      expect(new Set(batches.map(({ fields }) => fields['compresscodec']))).toEqual(new Set(codecs))
    },
  },
  'left by a process that ended': {
    before: stop,
    check: ({ batches }) => expect(batches).toHaveLength(100),
  },
  'recovered from a torn batch': {
    async before(dir) {
      await stop(dir)
      const torn = encodeBatch([{ value: 'torn' }]).subarray(0, 50)
      appendFileSync(join(dir, segmentsOf(dir).at(-1)!), torn)
    },
    async make(log) {
      expect(log.recovered).toEqual({ endOffset: 100, cutBytes: 50 })
      await fill(log, 10)
    },
    check: ({ batches }) => expect(batches).toHaveLength(120),
  },
  'truncated within a segment': {
    async make(log) {
      await fill(log, 100)
      await log.truncateTo(170)
      await fill(log, 5)
    },
    check: ({ batches }) => expect(batches.length).toBeLessThan(200),
  },
  'emptied, to start at another offset': {
    async make(log) {
      await fill(log, 30)
      await log.truncateFullyAndStartAt(5000)
      await fill(log, 40)
    },
    check: ({ batches }) => expect(batches[0]!.fields).toMatchObject({ baseOffset: '5000' }),
  },
  'deleted from, within a segment': {
    async make(log) {
      await fill(log, 100)
      await log.deleteBefore(170)
      // Segments that no checkpoint has passed are removed behind the answer.
      await vi.waitUntil(() => !existsSync(join(log.dir, `${'0'.repeat(20)}.log`)), { timeout })
    },
    check: ({ batches }) => expect(Number(batches[0]!.fields['baseOffset'])).toBeGreaterThan(0),
  },
  'retained by bytes': {
    options: { ...options, retentionBytes: 30_000, retentionCheckMs: Infinity },
    async make(log) {
      await fill(log, 100)
      await log.applyRetention()
    },
    check: ({ batches }) => expect(batches.length).toBeLessThan(150),
  },
  'of transactions, some aborted': {
    options: { ...options, segmentBytes: 6000, indexIntervalBytes: 500 },
    make: transact,
    check: (dumped) => expect(dumped.lines('.txnindex').length).toBeGreaterThan(15),
  },
  compacted: {
    options: compacting,
    async make(log) {
      await rewrite(log)
      await log.compact()
    },
    check: ({ batches }) => {
      expect(batches.some(({ fields }) => fields['count'] === '0')).toBe(true)
      expect(batches.some(({ fields }) => fields['deleteHorizonMs'] !== 'OptionalLong.empty')).toBe(true)
    },
  },
  'compacted twice, its deletions gone': {
    options: { ...compacting, deleteRetentionMs: 0 },
    async make(log) {
      await rewrite(log)
      await log.compact()
      await rewrite(log, 3)
      await log.compact()
      await log.compact()
    },
    check: ({ batches }) => expect(batches.length).toBeLessThan(60),
  },
  'of transactions, compacted': {
    options: compacting,
    async make(log) {
      await transact(log)
      await log.compact()
      await log.compact()
    },
    check: ({ batches }) => expect(batches.length).toBeLessThan(100),
  },
}

/** What the log itself knows, as the tool prints it. */
interface Known {
  readonly aborted: string[]
  readonly producers: string[]
}

async function knownOf(log: Log): Promise<Known> {
  const aborted = await log.abortedTransactions(log.startOffset, log.endOffset)
  return {
    aborted: aborted.map(
      ({ producerId, firstOffset, lastOffset }) =>
        `producerId: ${producerId} firstOffset: ${firstOffset} lastOffset: ${lastOffset}`,
    ),
    producers: log.producers().map((one) => {
      const open =
        one.currentTxnStartOffset === null
          ? 'OptionalLong.empty'
          : `OptionalLong[${one.currentTxnStartOffset}]`
      const { producerId, producerEpoch, coordinatorEpoch, lastTimestamp, lastSequence } = one
      return (
        `producerId: ${producerId} producerEpoch: ${producerEpoch} coordinatorEpoch: ${coordinatorEpoch} ` +
        `currentTxnFirstOffset: ${open} lastTimestamp: ${lastTimestamp} lastSequence: ${lastSequence}`
      )
    }),
  }
}

/** Without what only the log's files know of the last batch. */
const shortened = (line: string): string =>
  line.replace(/ firstSequence: -?\d+/, '').replace(/ lastOffset: .*$/, '')

function needsKafka(context: TestContext): void {
  if (kafkaToolsMissing !== null) context.skip(kafkaToolsMissing)
}

/** Kafka reads what we read. */
async function agree(dumped: DumpedLog, log: Log): Promise<void> {
  const found: RecordBatch[] = []
  for await (const batch of log.readBatches()) found.push(batch)
  const batches = dumped.batches.filter(({ fields }) => Number(fields['lastOffset']) >= log.startOffset)
  expect(batches).toHaveLength(found.length)
  found.forEach((batch, n) => {
    expect(batches[n]!.fields).toMatchObject(dumpedFields(batch))
    const records = Array.from(batch.records(), ({ offset, timestamp, key, value, headers }) => ({
      offset,
      timestamp,
      keySize: key?.length ?? -1,
      valueSize: value?.length ?? -1,
      headerKeys: headers.map(([name]) => name),
      text: batch.isControl
        ? expect.stringMatching(/^ endTxnMarker: (COMMIT|ABORT) coordinatorEpoch: 7$/)
        : (key === null ? '' : ` key: ${String(key)}`) + (value === null ? '' : ` payload: ${String(value)}`),
    }))
    expect(batches[n]!.records).toEqual(records)
  })
}

const unlessInstalled = kafkaToolsMissing === null ? '' : ` (${kafkaToolsMissing})`

describe.skipIf(kafkaToolsMissing !== null)(`a log${unlessInstalled}`, () => {
  const made = new Map<string, { dir: string; known?: Known; dumped: DumpedLog }>()

  beforeAll(async () => {
    const dirs: string[] = []
    const known: (Known | undefined)[] = []
    for (const { before, make, options: own = options } of Object.values(subjects)) {
      const dir = join(temporaryDirectory(), 'log')
      dirs.push(dir)
      await before?.(dir)
      const log = make && (await openLog(dir, own))
      await make?.(log!)
      known.push(log && (await knownOf(log)))
      await log?.close()
    }
    const compacted = dirs.filter((_, n) => Object.keys(subjects)[n]!.includes('compacted'))
    const dumped = await dumpLogSegments(dirs, { compacted })
    Object.keys(subjects).forEach((name, n) =>
      made.set(name, { dir: dirs[n]!, known: known[n]!, dumped: dumped[n]! }),
    )
  }, timeout)

  test.each(Object.keys(subjects))('%s', async (name) => {
    const { check, options: own = options } = subjects[name]!
    const { dir, dumped, known } = made.get(name)!
    expect(dumped.complaints).toEqual([])
    check(dumped, dir)
    if (known !== undefined) {
      const aborted = dumped.lines('.txnindex').map((line) => /producerId.* lastOffset: \d+/.exec(line)![0])
      expect(aborted.sort()).toEqual(known.aborted.sort())
      // The last one is that of the log's end.
      const producers =
        known.producers.length === 0 ? [] : dumped.lines('.snapshot').slice(-known.producers.length)
      expect(producers.map(shortened)).toEqual(known.producers)
    }
    await using log = await openLog(dir, own)
    await agree(dumped, log)
  })
})

test('what Kafka itself leaves, and what released versions left', { timeout }, async (context) => {
  needsKafka(context)
  const fixtures = temporaryDirectory()
  cpSync(join(root, 'test', 'fixtures'), fixtures, { recursive: true })
  const under = (...folders: string[]): string[] => {
    const folder = join(fixtures, ...folders)
    return readdirSync(folder)
      .filter((name) => name.endsWith('-0'))
      .map((name) => join(folder, name))
  }
  const versions = readdirSync(join(fixtures, 'releases'))
  const releases = versions.flatMap((version) =>
    ['closed', 'stopped'].flatMap((how) => under('releases', version, how)),
  )
  const emptied = join(fixtures, 'kafka-4.4-emptied-0')
  const dirs = [...releases, ...under('kafka-4.4').filter((dir) => !dir.includes('__')), emptied]
  const compacted = dirs.filter((dir) => /compacted-0$|emptied-0$/.test(dir))
  const strictly = join(fixtures, 'strictly')
  cpSync(emptied, strictly, { recursive: true })
  const dumped = await dumpLogSegments([...dirs, strictly], { compacted })
  const inKafkas = dumped.pop()!
  expect(Object.fromEntries(dumped.map(({ complaints }, n) => [dirs[n], complaints]))).toEqual(
    Object.fromEntries(dirs.map((dir) => [dir, []])),
  )
  // Where nobody has compacted there are neither gaps nor emptied batches.
  expect(inKafkas.complaints).toEqual([
    expect.stringMatching(/^Found timestamp mismatch in :.*\n {2}Index timestamp: \d+, log timestamp: -1$/),
    expect.stringMatching(/^Non-consecutive offsets in .*\n {2}-1 is followed by 1$/),
  ])
})

/** What is done to a file, and what the tool says of it. */
const damages: Record<string, [extension: string, damage: (bytes: Buffer) => unknown, complaint: RegExp]> = {
  'an offset in the index': [
    '.index',
    (bytes) => bytes.writeInt32BE(bytes.readInt32BE(0) - 1, 0),
    /^Mismatches in :.*\.index\n {2}Index offset: \d+, log offset: \d+$/,
  ],
  'a time in the time index': [
    '.timeindex',
    (bytes) => bytes.writeBigInt64BE(bytes.readBigInt64BE(0) - 1n, 0),
    /^Found timestamp mismatch in :.*\.timeindex\n {2}Index timestamp: \d+, log timestamp: \d+$/,
  ],
  'an order in the time index': [
    '.timeindex',
    (bytes) => bytes.copy(bytes, 12, 0, 12),
    /^Found out of order timestamp in :.*\.timeindex\n {2}Index timestamp: /,
  ],
  'an offset in the time index': [
    '.timeindex',
    (bytes) => bytes.writeInt32BE(bytes.readInt32BE(8) - 1, 8),
    /are not found in .*\.timeindex\nIndexed offset: \d+, found log offset: \d+$/,
  ],
  'a gap': [
    '.log',
    // Of the second batch, which the checksum does not cover.
    (bytes) => {
      const second = 12 + bytes.readInt32BE(8)
      bytes.writeBigInt64BE(bytes.readBigInt64BE(second) + 1n, second)
    },
    /^Non-consecutive offsets in .*\.log\n {2}\d+ is followed by \d+$/,
  ],
  'a record': ['.log', (bytes) => (bytes[70]! ^= 1), /isvalid: false$/],
  'half a batch': [
    '.log',
    (bytes) => Buffer.concat([bytes, bytes.subarray(0, 50)]),
    /^Found 50 invalid bytes/,
  ],
  'the producers': ['.snapshot', (bytes) => (bytes[2]! ^= 1), /^Snapshot is corrupt/],
}

test('whatever is wrong with a file is seen', { timeout }, async (context) => {
  needsKafka(context)
  const source = join(temporaryDirectory(), 'log')
  const log = await openLog(source, options)
  await fill(log, 20)
  await producer(log, 1).write(['key'], TIME)
  await log.close()
  const dirs = Object.values(damages).map(([extension, damage]) => {
    const dir = join(temporaryDirectory(), 'log')
    cpSync(source, dir, { recursive: true })
    const file = join(
      dir,
      readdirSync(dir).find((name) => name.endsWith(extension))!,
    )
    const bytes = readFileSync(file)
    const damaged = damage(bytes)
    writeFileSync(file, damaged instanceof Buffer ? damaged : bytes)
    return dir
  })
  const dumped = await dumpLogSegments([source, ...dirs])
  // Of a snapshot the tool does not say which.
  expect(dumped[0]!.complaints).toEqual([expect.stringMatching(/^Snapshot is corrupt/)])
  Object.entries(damages).forEach(([name, [, , complaint]], n) => {
    expect(
      dumped[n + 1]!.complaints.filter((one) => complaint.test(one)),
      name,
    ).not.toEqual([])
  })
})
