/** How long nobody can write when the broker is killed that leads a partition. */
import { setTimeout as after } from 'node:timers/promises'
import { Producer } from '@varve/client'
import * as show from '../../report/figures.mjs'
import { rowsOf, rowsTable, subjects } from '../../kafka/tables.mjs'

export const name = 'cluster-failover'
export const title = 'Failover'
/** A measurement is many rounds. */
export const mostRepetitions = { usual: 1, full: 1 }

/** What happens to the leader, and how it gets well again. */
const misfortunes = {
  killed: {
    id: 'leader killed',
    rounds: { usual: 10, full: 100 },
    strike: (cluster, id) => cluster.kill(id),
    heal: (cluster, id) => cluster.restart(id),
  },
  still: {
    id: 'leader stands still',
    rounds: { usual: 2, full: 20 },
    strike: (cluster, id) => cluster.pause(id),
    heal: (cluster, id) => cluster.resume(id),
  },
}
/** Of writing before that. */
const CALM_MS = 200
const LATEST_MS = 60_000

export const cells = () =>
  Object.entries(misfortunes).map(([misfortune, { id }]) => ({ id, subjects, parameters: { misfortune } }))

export const measure = ({ misfortune }, { subject, pair, full, quick }) =>
  pair.alone(subject, async (cluster) => {
    const { rounds, strike, heal } = misfortunes[misfortune]
    const topics = await cluster.createTopics([{ leaders: [1] }])
    const gaps = []
    for (let round = 0; round < (quick ? 1 : rounds[full ? 'full' : 'usual']); round++) {
      const leader = await cluster.leaderOf(topics[0])
      gaps.push(await firstWriteAfter(() => strike(cluster, leader), cluster, topics[0]))
      await heal(cluster, leader)
      await cluster.inSync(topics)
    }
    return { rounds: gaps.length, milliseconds: { p50: percentile(gaps, 50), p99: percentile(gaps, 99) } }
  })

/** Milliseconds from a misfortune until a record is acknowledged that was sent afterwards. */
async function firstWriteAfter(strike, cluster, { name: topic }) {
  // Asks soon enough that not its own pauses are measured, and as often of both.
  const producer = new Producer({
    brokers: cluster.addresses,
    lingerMs: 0,
    retryBackoffMs: 10,
    connectTimeoutMs: 500,
    requestTimeoutMs: 500,
    deliveryTimeoutMs: LATEST_MS,
  })
  let struckAt = Infinity
  const write = async () => {
    for (;;) {
      const began = performance.now()
      await producer.send(topic, { value: 'x' })
      if (began >= struckAt) return performance.now() - struckAt
    }
  }
  const strikeLater = async () => {
    await after(CALM_MS)
    struckAt = performance.now()
    await strike()
  }
  try {
    const [milliseconds] = await Promise.all([write(), strikeLater()])
    return milliseconds
  } finally {
    await producer.close({ discard: true })
  }
}

/** The smallest value that so many of a hundred do not exceed. */
export function percentile(values, percent) {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]
}

const roundsOf = ({ subjects }) =>
  Object.values(subjects).flatMap(({ median }) => (median === undefined ? [] : [median.rounds]))

export const tables = (measured) => {
  const often = measured
    .filter((cell) => roundsOf(cell).length > 0)
    .map((cell) => `${cell.id}: ${Math.min(...roundsOf(cell))}`)
  const rounds = often.length === 0 ? '' : ` Rounds: ${often.join('; ')}.`
  return [
    rowsTable({
      name: 'cluster-failover',
      title: 'A leader that is gone: until the first acknowledged write',
      text: `RF 3, min.insync 2, acks all; until a record is acknowledged that was sent after the misfortune, with @varve/client, which waits half a second for an answer and tries again every 10 ms. Both clusters have sessions of nine seconds, their default. Killed (\`kill -9\`) is a process whose machine is still there and refuses connections, by which varve's brokers know that it is gone. Standing still (SIGSTOP) is as when the machine is gone: nothing tells that but the end of the session.${rounds}`,
      cells: measured.flatMap((cell) =>
        ['p50', 'p99'].flatMap((percent) =>
          rowsOf([cell], `${cell.id}, ${percent}`, ({ milliseconds }) => milliseconds[percent]),
        ),
      ),
      show: show.milliseconds,
    }),
  ]
}
