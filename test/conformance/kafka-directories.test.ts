/**
 * Who moves to varve brings a data directory that Kafka wrote, and who moves back takes one along. A batch that Kafka's tool
 * shows and we do not, or the other way round, is a lost or an invented record. So a whole data directory of a real broker is
 * opened, every kind of partition in it, after a clean stop and after none, and compared with what the tool printed.
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { openDataDirectory, openLog, type Log } from '@varve/log'
import type { LogRecord, RecordBatch } from '@varve/records'
import { describe, expect, test } from 'vitest'
import { dumpedFields, parseDump, type DumpedBatch } from '../../packages/records/test/kafka-dump.js'
import { root, temporaryDirectory } from '../support/tree.js'

const KAFKA = join(root, 'test', 'fixtures', 'kafka-4.4')
const partitions = readdirSync(KAFKA).filter((name) => name.endsWith('-0'))

function copyOf(marker: string | null): string {
  const dir = join(temporaryDirectory(), 'data')
  cpSync(KAFKA, dir, { recursive: true })
  if (marker !== null) writeFileSync(join(dir, '.kafka_cleanshutdown'), marker)
  return dir
}

function dumpOf(partition: string): DumpedBatch[] {
  const files = readdirSync(join(KAFKA, partition))
  const packed = files.includes('dump.txt.gz')
  const bytes = readFileSync(join(KAFKA, partition, packed ? 'dump.txt.gz' : 'dump.txt'))
  return parseDump(String(packed ? gunzipSync(bytes) : bytes))
}

async function batchesIn(log: Log): Promise<RecordBatch[]> {
  const batches: RecordBatch[] = []
  for await (const batch of log.readBatches()) batches.push(batch)
  return batches
}

const shape = ({ offset, timestamp, key, value, headers }: LogRecord): unknown => ({
  offset,
  timestamp,
  keySize: key?.length ?? -1,
  valueSize: value?.length ?? -1,
  headerKeys: headers.map(([name]) => name),
})

/** What users wrote, as the tool shows it: for the topics of the broker's own it decodes what is in there. */
function textOf(partition: string, { key, value }: LogRecord): unknown {
  if (partition.startsWith('__')) return expect.any(String)
  return (key === null ? '' : ` key: ${String(key)}`) + (value === null ? '' : ` payload: ${String(value)}`)
}

async function compare(log: Log, partition: string): Promise<void> {
  const expected = dumpOf(partition)
  expect(expected.length).toBeGreaterThan(0)
  const batches = await batchesIn(log)
  expect(batches).toHaveLength(expected.length)
  batches.forEach((batch, n) => expect(expected[n]!.fields).toMatchObject(dumpedFields(batch)))
  const all = batches.flatMap((batch) => Array.from(batch.records()))
  expect(all.map(shape)).toEqual(
    expected.flatMap(({ records }) => records.map(({ text: _, ...record }) => record)),
  )
  const read: unknown[] = []
  for await (const record of log.read())
    read.push({ ...(shape(record) as object), text: textOf(partition, record) })
  expect(read, 'a reader is not shown markers').toEqual(
    expected.filter(({ fields }) => fields['isControl'] === 'false').flatMap(({ records }) => records),
  )
  expect(log.endOffset).toBe(Number(expected.at(-1)!.fields['lastOffset']) + 1)
}

describe.each([
  { stop: 'a clean stop', marker: '{"version":0,"brokerEpoch":12}' },
  { stop: 'none', marker: null },
])('the data directory of a Kafka broker, after $stop', ({ marker }) => {
  const dir = copyOf(marker)

  test.each(partitions)('%s reads as Kafka says, and is left as it was', async (partition) => {
    await using directory = await openDataDirectory(dir)
    expect(directory).toMatchObject({ nodeId: 1, clusterId: 'bGFiLWthZmthLWxhYi0xMQ' })
    const log = await directory.openLog(partition)
    expect(log.failure).toBeNull()
    await compare(log, partition)
    await log.close()
    for (const name of readdirSync(join(KAFKA, partition)).filter((name) =>
      /\.(log|index|timeindex)$/.test(name),
    )) {
      const [ours, theirs] = [dir, KAFKA].map((data) => readFileSync(join(data, partition, name)))
      expect(ours!.equals(theirs!), name).toBe(true)
    }
  })
})

test.each(partitions)(
  '%s, taken out of its data directory, reads the same and goes on',
  async (partition) => {
    const dir = join(temporaryDirectory(), 'log')
    cpSync(join(KAFKA, partition), dir, { recursive: true })
    const log = await openLog(dir)
    expect(log.failure).toBeNull()
    await compare(log, partition)
    const end = log.endOffset
    expect((await log.append([{ key: 'ours', value: 'ours' }])).baseOffset).toBe(end)
    await log.close()
    await using again = await openLog(dir)
    expect([again.recovered, again.endOffset]).toEqual([null, end + 1])
  },
)
