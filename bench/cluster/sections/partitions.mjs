/** Many partitions in a new cluster: start, nothing to do, and a broker that dies. */
import { setTimeout as after } from 'node:timers/promises'
import * as show from '../../report/figures.mjs'
import { rowsOf, rowsTable, subjects, wholeMegabytes } from '../../kafka/tables.mjs'
import { range } from '../cluster.mjs'
import { IDS } from '../servers.mjs'
import { storeCells } from '../tables.mjs'

export const name = 'cluster-partitions'
export const title = 'Many partitions'
/** It takes more than a minute. */
export const mostRepetitions = { usual: 1, full: 3 }

const PARTITIONS_OF_A_TOPIC = 100
const REPLICAS = 3
/** What creating leaves to do is done then. */
const SETTLE_MS = 5000
const IDLE_MS = 20_000
/** More than the session of a broker that was killed. */
const FORGOTTEN_MS = 12_000

export const cells = () => [
  { id: `2,000 partitions × ${REPLICAS}`, subjects, parameters: { partitions: 2000 } },
]

export const measure = ({ partitions: wanted }, { subject, quick, pair }) =>
  pair.alone(subject, async (cluster) => {
    const partitions = quick ? wanted / 20 : wanted
    let topics
    const createMilliseconds = await milliseconds(async () => {
      topics = await cluster.createTopics(
        range(partitions / PARTITIONS_OF_A_TOPIC).map(() => ({
          leaders: range(PARTITIONS_OF_A_TOPIC).map((partition) => IDS[partition % IDS.length]),
        })),
        { replicationFactor: REPLICAS },
      )
    })
    const idleMilliseconds = quick ? 500 : IDLE_MS
    await after(quick ? 100 : SETTLE_MS)
    const { cpuSecondsOfEach, storeCpuSeconds } = await cluster.charged(() => after(idleMilliseconds))
    const percent = (seconds) => (seconds / (idleMilliseconds / 1000)) * 100
    const resident = cluster.residentBytes()
    const failoverMilliseconds = await milliseconds(async () => {
      await cluster.kill(IDS[0])
      await cluster.led(topics)
    })
    for (const id of IDS.slice(1)) await cluster.kill(id)
    await after(FORGOTTEN_MS)
    const startMilliseconds = await milliseconds(async () => {
      await Promise.all(IDS.map((id) => cluster.restart(id)))
      await cluster.led(topics)
    })
    return {
      createMilliseconds,
      idleCpuPercent: Object.fromEntries(
        Object.entries(cpuSecondsOfEach).map(([id, spent]) => [id, percent(spent)]),
      ),
      residentBytes: resident.brokers,
      ...(storeCpuSeconds !== undefined && {
        storeIdleCpuPercent: percent(storeCpuSeconds),
        storeResidentBytes: resident.store,
      }),
      failoverMilliseconds,
      startMilliseconds,
    }
  })

async function milliseconds(body) {
  const began = performance.now()
  await body()
  return performance.now() - began
}

const percentText = (value) => `${value.toFixed(1)} %`

export const tables = (measured) => [
  rowsTable({
    name: 'cluster-partitions',
    title: '2,000 partitions × 3: time',
    text: 'Topics of 100 partitions, each with three replicas; the three brokers lead a third of them each. Create: one request, until all replicas are in sync. A broker killed: from `kill -9` until each partition has a leader that is alive. Start: all three were killed and their sessions are over; from the start of their processes until each partition has a leader.',
    cells: [
      ...rowsOf(measured, 'create', ({ createMilliseconds }) => createMilliseconds),
      ...rowsOf(measured, 'a broker killed', ({ failoverMilliseconds }) => failoverMilliseconds),
      ...rowsOf(measured, 'start', ({ startMilliseconds }) => startMilliseconds),
    ],
    show: show.milliseconds,
  }),
  rowsTable({
    name: 'cluster-partitions-cpu',
    title: '2,000 partitions × 3: CPU time without anything to do',
    text: 'Of one core, over twenty seconds.',
    cells: IDS.flatMap((id) =>
      rowsOf(measured, `broker ${id}`, ({ idleCpuPercent }) => idleCpuPercent[id]),
    ).concat(
      storeCells(
        rowsOf(measured, "varve's etcd", ({ storeIdleCpuPercent }) => storeIdleCpuPercent),
        (median) => median,
      ),
    ),
    show: percentText,
  }),
  rowsTable({
    name: 'cluster-partitions-memory',
    title: '2,000 partitions × 3: memory',
    text: "Resident, after that. Each of Kafka's brokers has the heap of 1 GB that its start script gives it.",
    cells: rowsOf(measured, 'the three brokers', ({ residentBytes }) => residentBytes).concat(
      storeCells(
        rowsOf(measured, "varve's etcd", ({ storeResidentBytes }) => storeResidentBytes),
        (median) => median,
      ),
    ),
    show: wholeMegabytes,
  }),
]
