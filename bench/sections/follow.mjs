/** How long it takes until a follower in the same process has a record that is appended. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nanoseconds } from '../harness/clock.mjs'
import { Latencies } from '../harness/latencies.mjs'
import * as show from '../report/figures.mjs'

export const name = 'follow'
export const title = 'Following'

const VALUE_BYTES = 1024
const PACE_MS = 1

export function cells() {
  return ['os', 'fsync'].flatMap((durability) =>
    [true, false].map((paced) => ({
      id: `'${durability}', ${paced ? 'one a millisecond' : 'each as soon as the last has arrived'}`,
      subjects: ['varve'],
      parameters: { durability, paced },
    })),
  )
}

export async function measure(_, { durability, paced }, { dir, milliseconds }) {
  const { openLog } = await import('@varve/log')
  const log = await openLog(join(dir, 'log'), { durability })
  const latencies = new Latencies()
  const value = Buffer.alloc(VALUE_BYTES, 'v')
  const warmUntil = nanoseconds() + (milliseconds / 3) * 1e6
  const until = warmUntil + milliseconds * 1e6
  const stop = new AbortController()
  let appendedAt = 0
  let arrived = () => {}
  let seen = 0
  const following = (async () => {
    try {
      for await (const record of log.read({ from: 0, follow: true, signal: stop.signal })) {
        const now = nanoseconds()
        if (record.value.length !== VALUE_BYTES) throw new Error('a record is not what was appended')
        seen++
        if (appendedAt > warmUntil) latencies.record(now - appendedAt)
        arrived()
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error
    }
  })()
  let appended = 0
  while (nanoseconds() < until) {
    const arrival = new Promise((resolve) => {
      arrived = resolve
    })
    appendedAt = nanoseconds()
    appended++
    await Promise.all([log.append([{ value }]), arrival])
    if (paced) await sleep(PACE_MS)
  }
  stop.abort()
  await following
  await log.close()
  if (seen !== appended) throw new Error(`${appended} records were appended and ${seen} arrived`)
  return { latencies: latencies.summary() }
}

export function tables(measured) {
  const percentiles = ['p50', 'p90', 'p99', 'p999', 'max']
  return [
    {
      name: 'follow',
      title: 'From `append` to a follower in the same process',
      text: "From the call of `append` until `for await (const record of log.read({ follow: true }))` has the record, 1 KB. Under `'fsync'` nobody sees a record before an fdatasync covers it.",
      header: ['', 'records', ...percentiles.map((percentile) => percentile.replace('p999', 'p99.9'))],
      rows: measured.map(({ id, subjects: { varve } }) => [
        id,
        varve.median === undefined ? 'failed' : show.count(varve.median.latencies.count),
        ...percentiles.map((percentile) =>
          varve.median === undefined ? '' : show.microseconds(varve.median.latencies[percentile]),
        ),
      ]),
      chart: {
        lessIsBetter: true,
        groups: measured
          .filter(({ subjects: { varve } }) => varve.median !== undefined)
          .map(({ id, subjects: { varve } }) => ({
            title: id,
            bars: ['p50', 'p99'].map((percentile) => ({
              title: percentile,
              value: varve.median.latencies[percentile],
              text: show.microseconds(varve.median.latencies[percentile]),
              isOurs: true,
            })),
          })),
      },
    },
  ]
}
