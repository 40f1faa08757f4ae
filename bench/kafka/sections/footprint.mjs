/** Starting, and what a broker holds that has nothing to do. */
import { setTimeout as after } from 'node:timers/promises'
import * as show from '../../report/figures.mjs'
import { whileConnected } from '../native-client.mjs'
import { rowsOf, rowsTable, subjects, wholeMegabytes } from '../tables.mjs'

export const name = 'kafka-footprint'
export const title = 'Start and memory'
/** Most of it is waiting. */
export const mostRepetitions = { usual: 2, full: 5 }

const CONNECTIONS = 10_000
/** What a start leaves to do is done then. */
const IDLE_MS = 3000

export const cells = () => [{ id: 'a new broker', subjects, parameters: { connections: CONNECTIONS } }]

export const measure = ({ connections: wanted }, { subject, quick, pair }) =>
  pair.alone(subject, async (broker) => {
    const connections = quick ? wanted / 100 : wanted
    const pause = quick ? 100 : IDLE_MS
    await after(pause)
    const idle = broker.residentBytes
    const { brokerCpuSeconds } = await broker.charged(() => after(pause))
    const connected = await whileConnected(broker, connections, async () => broker.residentBytes)
    return {
      readyMilliseconds: broker.readyMilliseconds,
      idleBytes: idle,
      idleCpuPercent: (brokerCpuSeconds / (pause / 1000)) * 100,
      connectedBytes: connected,
    }
  })

const connectionsText = `${show.count(CONNECTIONS)} connections`

export const tables = (measured) => [
  rowsTable({
    name: 'kafka-start',
    title: 'Start',
    text: 'From the start of the process, in an empty directory, until a request is answered. Kafka formatted the directory before.',
    cells: rowsOf(measured, 'ready', ({ readyMilliseconds }) => readyMilliseconds),
    show: show.milliseconds,
  }),
  rowsTable({
    name: 'kafka-memory',
    title: 'Memory',
    text: `Resident: three seconds after the start, and while ${connectionsText} are open that each had an answer. Kafka has the heap of 1 GB that its start script gives it.`,
    cells: [
      ...rowsOf(measured, 'idle', ({ idleBytes }) => idleBytes),
      ...rowsOf(measured, connectionsText, ({ connectedBytes }) => connectedBytes),
    ],
    show: wholeMegabytes,
  }),
  rowsTable({
    name: 'kafka-idle-cpu',
    title: 'CPU time without anything to do',
    text: 'Of one core, in the three seconds after that.',
    cells: rowsOf(measured, 'idle', ({ idleCpuPercent }) => idleCpuPercent),
    show: (value) => `${value.toFixed(1)} %`,
  }),
]
