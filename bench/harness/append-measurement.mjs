/** Measures appends: how many a second are acknowledged, how long each takes, and whether they are there afterwards. */
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { load } from '../subjects/index.mjs'
import { appendFor, appendGroupsFor } from './appending.mjs'
import { timed } from './clock.mjs'
import { Latencies } from './latencies.mjs'
import { Payload } from './payload.mjs'
import { assertCount, assertReadBack } from './read-back.mjs'

const MOST_BYTES = 512 << 20
const WARM_UP_BYTES = 32 << 20

/**
 * @param {string} subject
 * @param {object} parameters
 * @param {number} parameters.bytes of each record's value
 * @param {number} [parameters.inFlight] appends of one record that are in flight at once
 * @param {number} [parameters.group] or records that are appended at once, one such group after the other
 * @param {boolean} parameters.durable
 * @param {{ dir: string, milliseconds: number }} context
 */
export async function measureAppends(subject, parameters, { dir, milliseconds }) {
  if (subject === 'ceiling') return ceiling(parameters, dir, milliseconds)
  const { open } = await load(subject)
  const payload = new Payload(parameters.bytes)
  const round = async (name, limits, check) => {
    const place = join(dir, name)
    const reopen = () => open(place, { durable: parameters.durable, valueBytes: parameters.bytes })
    const store = await reopen()
    const { result, seconds, cpuSeconds } = await timed(() =>
      parameters.group === undefined
        ? appendFor(store, payload, { inFlight: parameters.inFlight, ...limits })
        : appendGroupsFor(store, payload, { group: parameters.group, ...limits }),
    )
    await store.close()
    await check(reopen, result.count)
    rmSync(place, { recursive: true })
    return figuresOf(parameters.bytes, result.count, seconds, cpuSeconds, result.latencies)
  }
  // The warm-up is read back as a whole, of what is measured only the number of records.
  await round('warm-up', { milliseconds: milliseconds / 3, maxBytes: WARM_UP_BYTES }, (reopen, count) =>
    assertReadBack(reopen, payload, count),
  )
  globalThis.gc()
  return round('measured', { milliseconds, maxBytes: MOST_BYTES }, assertCount)
}

async function ceiling({ bytes, inFlight, group = inFlight, durable }, dir, milliseconds) {
  const { append } = await load('ceiling')
  const round = async (limit, maxBytes) => {
    const path = join(dir, 'file')
    const { result, cpuSeconds } = await timed(() =>
      append({ path, size: bytes, group, durable, preallocate: 0, nanoseconds: limit * 1e6, maxBytes }),
    )
    const { size } = statSync(path)
    if (size !== result.bytes) throw new Error(`${result.bytes} bytes were written and ${size} are there`)
    rmSync(path)
    const latencies = new Latencies()
    for (const duration of result.durations) latencies.record(duration)
    const count = result.bytes / bytes
    return figuresOf(bytes, count, result.nanoseconds / 1e9, cpuSeconds, latencies.summary())
  }
  await round(milliseconds / 3, WARM_UP_BYTES)
  return round(milliseconds, MOST_BYTES)
}

function figuresOf(bytes, count, seconds, cpuSeconds, latencies) {
  return {
    count,
    seconds,
    perSecond: count / seconds,
    megabytesPerSecond: (count * bytes) / seconds / 1e6,
    cpuMicrosecondsPerRecord: (cpuSeconds * 1e6) / count,
    latencies,
  }
}
