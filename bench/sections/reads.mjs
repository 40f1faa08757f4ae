/** Replaying everything from the start, and reading single records by offset: data that lies in the page cache. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { nanoseconds, timed } from '../harness/clock.mjs'
import { fill } from '../harness/filling.mjs'
import { Latencies } from '../harness/latencies.mjs'
import { Payload } from '../harness/payload.mjs'
import * as show from '../report/figures.mjs'
import { comparison, withPeersOf } from '../report/table.mjs'
import { byHand, load, stores } from '../subjects/index.mjs'

export const name = 'reads'
export const title = 'Reads'

const all = ['varve', ...stores, ...byHand]
const CEILING_READ_BYTES = 1 << 20
/** Records to a batch, where a hundred would make it too large. */
const GROUPS = new Map([
  [64 << 10, 10],
  [1 << 20, 4],
])

export function cells({ full }) {
  const sizes = [
    { bytes: 1024, count: 100_000 },
    { bytes: 64 << 10, count: 4000 },
    ...(full
      ? [
          { bytes: 100, count: 500_000 },
          { bytes: 1 << 20, count: 256 },
        ]
      : []),
  ]
  return sizes.flatMap(({ bytes, count }) => {
    const batched = { bytes, count, group: GROUPS.get(bytes) ?? 100 }
    const [alone, inFlight] = ['alone', 'in flight'].map((group) => ({ bytes, count, group }))
    const size = show.bytes(bytes)
    const cell = (work, id, subjects, data) => ({
      id: `${size}, ${id}`,
      subjects,
      parameters: { work, data },
    })
    return [
      cell('replay', 'record by record', all, batched),
      cell('replayByBatch', 'batch by batch', ['varve'], batched),
      cell('replay', 'record by record, appended one by one', ['varve'], inFlight),
      cell('replay', 'record by record, each a batch of its own', ['varve'], alone),
      cell('replayBatches', 'batches', ['varve', 'ceiling'], batched),
      cell('lookUp', 'a record in a batch of its own', ['varve', 'ceiling'], alone),
      cell('lookUp', 'a record appended one by one', ['varve'], inFlight),
      cell('lookUp', `a record in a batch of ${batched.group}`, all, batched),
    ].filter(({ subjects }) => full || bytes === 1024 || subjects === all)
  })
}

/** Plain files are what the bare system calls read. */
export const prepare = (subject, { data }, { dir }) =>
  fill(subject === 'ceiling' ? 'fs-sync' : subject, data, dir)

export async function measure(subject, { work, data }, { dir, milliseconds }) {
  if (subject === 'ceiling') return ceiling(work, data, dir, milliseconds)
  const { open } = await load(subject)
  const store = await open(dir, { durable: false, valueBytes: data.bytes })
  try {
    return work === 'lookUp'
      ? await lookUp(store, data, milliseconds)
      : await replay(store, work, data, milliseconds)
  } finally {
    await store.close()
  }
}

/** Whole passes until the time is used up. */
async function replay(store, work, { bytes, count }, milliseconds) {
  const pass = async () => {
    let values = 0
    let seen = 0
    await store[work]((value) => {
      values++
      seen += value.length
      // Looked at, so that a part that nobody cuts out is not taken for one that was read.
      if (value[value.length - 1] === undefined) throw new Error('a value is empty')
    })
    // Batches have more than their values.
    const whole = work === 'replayBatches' ? seen > bytes * count : values === count && seen === bytes * count
    if (!whole) throw new Error(`${values} values of ${seen} bytes were replayed, not ${count} of ${bytes}`)
    return seen
  }
  await pass()
  globalThis.gc()
  const until = nanoseconds() + milliseconds * 1e6
  let passes = 0
  let seen = 0
  const { seconds, cpuSeconds } = await timed(async () => {
    do {
      seen += await pass()
      passes++
    } while (nanoseconds() < until)
  })
  return {
    passes,
    seconds,
    perSecond: (count * passes) / seconds,
    megabytesPerSecond: seen / seconds / 1e6,
    cpuMicrosecondsPerRecord: (cpuSeconds * 1e6) / (count * passes),
  }
}

/** Records from anywhere, one after the other. */
async function lookUp(store, { bytes, count }, milliseconds) {
  const payload = new Payload(bytes)
  const latencies = new Latencies()
  let state = 1
  const round = async (limit, record) => {
    const until = nanoseconds() + limit * 1e6
    let lookUps = 0
    let now = nanoseconds()
    while (now < until) {
      // A linear congruential generator of full period: every store is asked for the same records.
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      const index = state % count
      const value = await store.get(index)
      const end = nanoseconds()
      if (record) latencies.record(end - now)
      // Compared in part: comparing all of it would be most of the work.
      const wanted = payload.value(index)
      if (value.length !== bytes || value[0] !== wanted[0] || value[bytes - 1] !== wanted[bytes - 1]) {
        throw new Error(`record ${index} is not what was written`)
      }
      lookUps++
      now = nanoseconds()
    }
    return lookUps
  }
  await round(milliseconds / 3, false)
  globalThis.gc()
  const { result, seconds, cpuSeconds } = await timed(() => round(milliseconds, true))
  return {
    perSecond: result / seconds,
    cpuMicrosecondsPerRecord: (cpuSeconds * 1e6) / result,
    latencies: latencies.summary(),
  }
}

async function ceiling(work, { bytes }, dir, milliseconds) {
  const { read } = await load('ceiling')
  const path = join(dir, 'records.log')
  const random = work === 'lookUp'
  const once = () =>
    read({ path, size: random ? bytes : CEILING_READ_BYTES, random, nanoseconds: milliseconds * 1e6 })
  once()
  const { steps, bytes: seen, nanoseconds: duration, durations } = once()
  if (!random && seen !== statSync(path).size && duration < milliseconds * 1e6)
    throw new Error('a read was short')
  const latencies = new Latencies()
  for (const each of durations) latencies.record(each)
  return {
    perSecond: (steps * 1e9) / duration,
    megabytesPerSecond: (seen * 1e3) / duration,
    latencies: latencies.summary(),
  }
}

export function tables(measured) {
  const doing = (...works) => measured.filter(({ parameters }) => works.includes(parameters.work))
  /** What peers did with records of this size; they have no batches to replay otherwise. */
  const peersOf = (work) => (cell) =>
    withPeersOf(
      cell,
      doing(work).find(
        ({ parameters, subjects }) =>
          parameters.data.bytes === cell.parameters.data.bytes && 'level' in subjects,
      ),
    )
  return [
    comparison({
      name: 'replay',
      title: 'Replay from the start, as JavaScript objects',
      text: 'Records a second, whose values are looked at. varve: `for await (const record of log.read())`, or `readBatches({ reuseMemory: true })` and the records of each batch; records were appended in batches of 100, or one by one with 100 in flight, which share batches of up to 16 KiB, or each in a batch of its own; LevelDB: an iterator, 1,000 values a call; LMDB: `getRange()`; SQLite: `iterate()`; fs: pieces of 1 MiB cut up by their length fields, checked against nothing. varve checks every checksum.',
      cells: doing('replay', 'replayByBatch').map(peersOf('replay')),
      figure: ({ perSecond }) => perSecond,
      show: show.perSecond,
    }),
    comparison({
      name: 'replay-batches',
      title: 'Replay from the start, as batches',
      text: '`readBatches({ reuseMemory: true })`, whose records stay encoded: for whoever sends or stores them on. Checksums are checked. The ceiling is `preadv` of 1 MiB into one buffer.',
      cells: doing('replayBatches'),
      figure: ({ megabytesPerSecond }) => megabytesPerSecond,
      show: show.megabytes,
    }),
    ...['p50', 'p99'].map((percentile) =>
      comparison({
        name: `lookups-${percentile}`,
        title: `A record by its offset: ${percentile}`,
        text: 'One at a time, from anywhere. A log reads the whole batch that a record is in, and checks its checksum. fs computes the place, since all records here have one length; the ceiling is `preadv` of as many bytes.',
        cells: doing('lookUp').map(peersOf('lookUp')),
        figure: ({ latencies }) => latencies[percentile],
        show: show.microseconds,
        lessIsBetter: true,
      }),
    ),
  ]
}
