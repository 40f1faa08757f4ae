/** What appends notice of a compaction that runs in the background. */
import { join } from 'node:path'
import { nanoseconds } from '../harness/clock.mjs'
import { Latencies } from '../harness/latencies.mjs'
import { Payload } from '../harness/payload.mjs'
import * as show from '../report/figures.mjs'

export const name = 'compaction'
export const title = 'Compaction'

const VALUE_BYTES = 1024
/** A multiple of `GROUP`. */
const RECORDS = 200_000
/** Every key eight times: what is left is an eighth. */
const KEYS = RECORDS / 8
const GROUP = 100
const SEGMENT_BYTES = 16 << 20
/** Both cells are measured for as long at least, the one that compacts until the compaction ends. */
const LEAST_MS = 300
const BUDGET = 100e6

export function cells() {
  const ways = [
    { compacts: false, id: 'none' },
    { compacts: true, id: 'at full speed' },
    { compacts: true, id: `at most ${show.megabytes(BUDGET / 1e6)}`, bytesPerSecond: BUDGET },
  ]
  return ['os', 'fsync'].flatMap((durability) =>
    ways.map(({ id, ...way }) => ({
      id: `'${durability}', ${id}`,
      subjects: ['varve'],
      parameters: { durability, ...way },
    })),
  )
}

export async function measure(_, { durability, compacts, bytesPerSecond }, { dir, milliseconds }) {
  const { openLog } = await import('@varve/log')
  const log = await openLog(join(dir, 'log'), {
    durability,
    segmentBytes: SEGMENT_BYTES,
    cleanupPolicy: 'compact',
    compactionCheckMs: Infinity,
    ...(bytesPerSecond && { compactionBytesPerSecond: bytesPerSecond }),
  })
  const payload = new Payload(VALUE_BYTES)
  const record = (index) => ({ key: `key-${index % KEYS}`, value: payload.value(index) })
  for (let index = 0; index < RECORDS; index += GROUP) {
    await log.append(Array.from({ length: GROUP }, (_, n) => record(index + n)))
  }
  await log.flush()

  const latencies = new Latencies()
  const least = Math.max(milliseconds, LEAST_MS)
  let next = RECORDS
  const appendUntil = async (goesOn) => {
    for (let start = nanoseconds(); goesOn(start);) {
      await log.append([record(next++)])
      const end = nanoseconds()
      latencies.record(end - start)
      start = end
    }
  }
  const warmUntil = nanoseconds() + (least / 3) * 1e6
  for (let now = nanoseconds(); now < warmUntil; now = nanoseconds()) await log.append([record(next++)])

  const started = nanoseconds()
  let compacted = 0
  if (compacts) {
    let running = true
    const compaction = log.compact().finally(() => (running = false))
    // A budget makes it take long; the appends of a few seconds tell enough.
    await appendUntil((now) => running && now < started + 4 * least * 1e6)
    compacted = await compaction
    if (compacted < RECORDS / 2) throw new Error(`only offsets below ${compacted} were compacted`)
  } else {
    await appendUntil((now) => now < started + least * 1e6)
  }
  const { endOffset } = log
  if (endOffset < next) throw new Error(`${next} records were acknowledged and the log ends at ${endOffset}`)
  if (compacts) await assertLastValues(log, record, next)
  await log.close()
  return { latencies: latencies.summary() }
}

/** The last record of every key is there, after as before. */
async function assertLastValues(log, record, end) {
  const lastOf = new Map()
  for await (const { offset, key } of log.read({ to: end })) lastOf.set(String(key), offset)
  for (let index = end - KEYS; index < end; index++) {
    const { key } = record(index)
    if (lastOf.get(key) !== index) throw new Error(`the last record of ${key} is gone`)
  }
}

export function tables(measured) {
  const done = measured.filter(({ subjects: { varve } }) => varve?.median !== undefined)
  const percentiles = ['p50', 'p99', 'p999']
  return [
    {
      name: 'compaction',
      title: 'Appends while a compaction runs',
      text: `1 KB records with keys, appended one at a time to a log of ${show.count(RECORDS)} others in segments of ${show.bytes(SEGMENT_BYTES)}, of which a compaction keeps an eighth; measured while it runs. What it may read and write in a second is \`compactionBytesPerSecond\`.`,
      header: ['compaction', 'appends', 'p50', 'p99', 'p99.9', 'p99 ÷ p99 without'],
      rows: done.map(({ id, parameters, subjects: { varve } }) => [
        id,
        show.count(varve.median.latencies.count),
        ...percentiles.map((percentile) => show.microseconds(varve.median.latencies[percentile])),
        show.ratio(varve.median.latencies.p99, without(done, parameters)?.latencies.p99),
      ]),
      chart: {
        lessIsBetter: true,
        groups: ['os', 'fsync'].map((durability) => ({
          title: `'${durability}', p99`,
          bars: done
            .filter(({ parameters }) => parameters.durability === durability)
            .map(({ id, subjects: { varve } }) => ({
              title: id.slice(id.indexOf(',') + 2),
              value: varve.median.latencies.p99,
              text: show.microseconds(varve.median.latencies.p99),
              isOurs: true,
            })),
        })),
      },
    },
  ]
}

const without = (cells, { durability }) =>
  cells.find(({ parameters }) => parameters.durability === durability && !parameters.compacts)?.subjects.varve
    .median
