/** A broker inside a process that has its code loaded, as tests start one. */
import { join } from 'node:path'
import * as show from '../../report/figures.mjs'
import { ClientProcess } from '../client-process.mjs'
import { rowsOf, rowsTable } from '../tables.mjs'

export const name = 'kafka-start-broker'
export const title = '`startBroker()`'

const BROKERS = 20

export const cells = () => [{ id: 'in a process', subjects: ['varve'], parameters: {} }]

export async function measure(_, { quick, pair }) {
  await pair.stop()
  const main = join(import.meta.dirname, '..', 'start-broker-main.mjs')
  const { output } = await new ClientProcess(process.execPath, [main, String(quick ? 2 : BROKERS)]).end()
  return JSON.parse(output)
}

export const tables = (measured) => [
  rowsTable({
    name: 'kafka-start-broker',
    title: '`startBroker()` ready and closed',
    text: `Without options, so with a temporary directory and \`durability: 'os'\`: until it serves, and until it has closed and its directory is gone. The first in its process, and the median of ${BROKERS} more.`,
    cells: [
      ...rowsOf(measured, 'the first', ({ first }) => first),
      ...rowsOf(measured, 'each other', ({ each }) => each),
      ...rowsOf(measured, 'each other: until it serves', ({ ready }) => ready),
    ],
    show: show.milliseconds,
  }),
]
