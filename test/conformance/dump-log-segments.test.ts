/**
 * Two wrongs that agree look right: our reader accepts whatever our writer makes of the format. Kafka's own tool does not. It
 * goes through every record, compares the indexes with the batches, and must find nothing to complain of in directories that
 * we wrote: rolled, in every codec, recovered after a crash, and with what a crash leaves in the active segment.
 */
import { appendFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openLog, type Log, type LogOptions } from '@varve/log'
import { encodeBatch, type Compression, type RecordBatch } from '@varve/records'
import { expect, test, type TestContext } from 'vitest'
import { dumpedFields, parseDump } from '../../packages/records/test/kafka-dump.js'
import { mustRun } from '../support/children.js'
import { kafkaTool, kafkaToolsMissing } from '../support/kafka-tools.js'
import { temporaryDirectory } from '../support/tree.js'

const timeout = 60_000

/** What the tool says of files that nothing is wrong with. */
const FINE = [
  /^Dumping \S+$/,
  /^Log starting offset: \d+$/,
  /^baseOffset: .* isvalid: true$/,
  /^\| offset: /,
  /^offset: \d+ position: \d+$/,
  /^timestamp: \d+ offset: \d+$/,
  /^version: 0 producerId: /,
  /^producerId: /,
  / is empty\.$/,
  / passed sanity check\.$/,
  /^$/,
]

const options = { segmentBytes: 20_000, indexIntervalBytes: 1000 } satisfies LogOptions
const codecs: Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

async function fill(log: Log, rounds: number): Promise<void> {
  for (let n = 0; n < rounds; n++) {
    const timestamp = 1_700_000_000_000 + ((n * 37) % 100)
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

async function dump(dir: string): Promise<string> {
  const dumped = async (...args: string[]): Promise<string> => {
    const files = readdirSync(dir).filter((name) => /\.(log|index|timeindex|txnindex|snapshot)$/.test(name))
    const paths = files.sort().map((name) => join(dir, name))
    const [java, ...tool] = kafkaTool('DumpLogSegments', ...args, '--files', paths.join())
    const { stdout } = await mustRun(java, tool)
    return stdout.toString()
  }
  const sane = await dumped('--index-sanity-check')
  const text = await dumped('--deep-iteration', '--print-data-log')
  const complaints = `${sane}\n${text}`.split('\n').filter((line) => !FINE.some((fine) => fine.test(line)))
  expect(complaints).toEqual([])
  return text
}

/** Kafka reads what we read. */
async function kafkaAgrees(dir: string): Promise<RecordBatch[]> {
  const dumped = parseDump(await dump(dir))
  const log = await openLog(dir, options)
  const batches: RecordBatch[] = []
  for await (const batch of log.readBatches()) batches.push(batch)
  await log.close()
  expect(dumped).toHaveLength(batches.length)
  batches.forEach((batch, n) => {
    expect(dumped[n]!.fields).toMatchObject(dumpedFields(batch))
    const records = Array.from(batch.records(), ({ offset, timestamp, key, value, headers }) => ({
      offset,
      timestamp,
      keySize: key?.length ?? -1,
      valueSize: value?.length ?? -1,
      headerKeys: headers.map(([name]) => name),
      text:
        (key === null ? '' : ` key: ${String(key)}`) + (value === null ? '' : ` payload: ${String(value)}`),
    }))
    expect(dumped[n]!.records).toEqual(records)
  })
  return batches
}

const segmentsIn = (dir: string): number => readdirSync(dir).filter((name) => name.endsWith('.log')).length

function needsKafka(context: TestContext): void {
  if (kafkaToolsMissing !== null) context.skip(kafkaToolsMissing)
}

test('rolled segments in every codec', { timeout }, async (context) => {
  needsKafka(context)
  const dir = temporaryDirectory()
  const log = await openLog(dir, options)
  await fill(log, 100)
  await log.close()
  expect(segmentsIn(dir)).toBeGreaterThan(3)
  const batches = await kafkaAgrees(dir)
  expect(batches).toHaveLength(200)
  expect(new Set(batches.map((batch) => batch.compression))).toEqual(new Set(codecs))
})

test('a log that was recovered after a crash', { timeout }, async (context) => {
  needsKafka(context)
  const dir = temporaryDirectory()
  const script = `
    import { openLog } from '@varve/log'
    const log = await openLog(process.argv[1], JSON.parse(process.argv[2]))
    for (let n = 0; n < 100; n++) await log.append([{ key: 'k' + n, value: 'v'.repeat(n * 7) }])
    process.exit()
  `
  await mustRun(process.execPath, ['--input-type=module', '-e', script, '--', dir, JSON.stringify(options)])
  const segments = readdirSync(dir)
    .filter((name) => name.endsWith('.log'))
    .sort()
  expect(segments.length).toBeGreaterThan(1)
  appendFileSync(join(dir, segments.at(-1)!), encodeBatch([{ value: 'torn' }]).subarray(0, 50))

  const log = await openLog(dir, options)
  expect(log.recovered).toEqual({ endOffset: 100, cutBytes: 50 })
  await fill(log, 10)
  await log.close()
  expect(await kafkaAgrees(dir)).toHaveLength(120)
})
