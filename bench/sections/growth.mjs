/** Whether work on a log costs more when the log has many segments, or has many others beside it. */
import { join } from 'node:path'
import { nanoseconds, timed } from '../harness/clock.mjs'
import { Latencies } from '../harness/latencies.mjs'
import * as show from '../report/figures.mjs'

export const name = 'growth'
export const title = 'As it grows'

const VALUE_BYTES = 1024
const PER_PARTITION = 100
const subjects = ['varve']

export function cells() {
  const sizes = [
    ...[10, 10_000].map((segments) => ({ segments })),
    ...[1, 1000].map((partitions) => ({ partitions })),
  ]
  return sizes.map((data) => ({ id: nameOf(data), subjects, parameters: { data } }))
}

function nameOf({ segments, partitions }) {
  if (segments !== undefined) return `${show.count(segments)} segments`
  return partitions === 1 ? '1 partition' : `${show.count(partitions)} partitions`
}

export async function prepare(_, { data: { segments, partitions } }, { dir }) {
  const value = Buffer.alloc(VALUE_BYTES, 'v')
  if (segments !== undefined) {
    const { writeSegments } = await import('../harness/many-segments.mjs')
    await writeSegments(join(dir, 'log'), segments, value)
    return
  }
  const { topic, logs } = await openPartitions(dir, partitions)
  for (const log of logs) {
    for (let n = 0; n < PER_PARTITION; n++) await log.append([{ value }])
  }
  await topic.close()
}

async function openPartitions(dir, partitions) {
  const { openTopic } = await import('@varve/log')
  const topic = await openTopic(join(dir, 'data'), 'measured', { partitions, durability: 'os' })
  const logs = Array.from({ length: partitions }, (_, index) => topic.partition(index))
  return { topic, logs, close: () => topic.close() }
}

async function openSegments(dir) {
  const { openLog } = await import('@varve/log')
  const log = await openLog(join(dir, 'log'), { durability: 'os' })
  return { logs: [log], close: () => log.close() }
}

/** One append, and one lookup, after the other, each to another of the logs. */
export async function measure(_, { data: { segments, partitions } }, { dir, milliseconds }) {
  const { result: opened, seconds } = await timed(() =>
    segments === undefined ? openPartitions(dir, partitions) : openSegments(dir),
  )
  const { logs, close } = opened
  const random = randomNumbers()
  const value = Buffer.alloc(VALUE_BYTES, 'v')
  const before = endOf(logs)
  let turn = 0
  let appended = 0
  const append = async () => {
    await logs[turn++ % logs.length].append([{ value }])
    appended++
  }
  const lookUp = async () => {
    const log = logs[random(logs.length)]
    const from = random(log.endOffset)
    for await (const { offset } of log.read({ from, to: from + 1 })) {
      if (offset !== from) throw new Error(`record ${from} was asked for and ${offset} came`)
      return
    }
    throw new Error(`there is no record ${from}`)
  }
  const appends = await repeat(append, milliseconds)
  const lookUps = await repeat(lookUp, milliseconds)
  const found = endOf(logs) - before
  await close()
  if (found !== appended) throw new Error(`${appended} records were acknowledged and ${found} are there`)
  return { openMilliseconds: seconds * 1000, appends, lookUps }
}

const endOf = (logs) => logs.reduce((sum, { endOffset }) => sum + endOffset, 0)

async function repeat(step, milliseconds) {
  const latencies = new Latencies()
  const warmUntil = nanoseconds() + (milliseconds / 2) * 1e6
  const until = warmUntil + milliseconds * 1e6
  for (let now = nanoseconds(); now < until;) {
    await step()
    const end = nanoseconds()
    if (now > warmUntil) latencies.record(end - now)
    now = end
  }
  return latencies.summary()
}

function randomNumbers() {
  let state = 1
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

export function tables(measured) {
  const done = measured.filter(({ subjects: { varve } }) => varve?.median !== undefined)
  const column = (figure) => done.map(({ subjects: { varve } }) => figure(varve.median))
  const columns = [
    column(({ appends }) => show.microseconds(appends.p50)),
    column(({ appends }) => show.microseconds(appends.p99)),
    column(({ lookUps }) => show.microseconds(lookUps.p50)),
    column(({ lookUps }) => show.microseconds(lookUps.p99)),
    column(({ openMilliseconds }) => show.milliseconds(openMilliseconds)),
  ]
  return [
    {
      name: 'growth',
      title: 'Few and many segments, few and many partitions',
      text: "1 KB records, `'os'`, one at a time. A lookup reads one record from anywhere by its offset; appends and lookups go to the partitions in turn. Opening is that of everything: the log, or all partitions of the topic.",
      header: ['', 'append p50', 'p99', 'lookup p50', 'p99', 'open'],
      rows: done.map(({ id }, row) => [id, ...columns.map((cells) => cells[row])]),
      chart: {
        lessIsBetter: true,
        groups: ['appends', 'lookUps'].map((work) => ({
          title: work === 'appends' ? 'append, p50' : 'lookup, p50',
          bars: done.map(({ id, subjects: { varve } }) => ({
            title: id,
            value: varve.median[work].p50,
            text: show.microseconds(varve.median[work].p50),
            isOurs: true,
          })),
        })),
      },
    },
  ]
}
