/** What a request costs that carries one record. */
import * as show from '../../report/figures.mjs'
import { comparison } from '../../report/table.mjs'
import { measureProducing } from '../producing.mjs'
import { latencyTable, subjects, throughputTable } from '../tables.mjs'

export const name = 'kafka-requests'
export const title = 'Small requests'

const cell = (connections, inFlight) => ({
  id: `${connections} ${connections === 1 ? 'connection' : 'connections'}, ${inFlight} in flight on each`,
  subjects,
  parameters: {
    client: 'native',
    acks: 'all',
    partitions: 1,
    batch: 'one record',
    codec: 'none',
    connections,
    inFlight,
  },
})

export const cells = ({ full }) => [
  cell(1, 1),
  cell(1, 100),
  cell(100, 1),
  ...(full ? [cell(16, 1), cell(1000, 1)] : []),
]

export const measure = async (parameters, context) =>
  measureProducing(await context.pair.turn(context.subject), parameters, context)

export const tables = (measured) => [
  comparison({
    name: 'kafka-requests-cpu',
    title: 'Small requests: CPU time of the broker for each',
    text: 'Each request has one batch with one record of 1 KB, acks all, one partition.',
    cells: measured,
    figure: ({ cpuMicrosecondsPerBatch }) => cpuMicrosecondsPerBatch,
    show: show.microseconds,
    lessIsBetter: true,
  }),
  throughputTable('kafka-requests', 'Small requests: how many per second', 'The same requests.', measured),
  latencyTable(
    'kafka-requests-p99',
    'Small requests: latency, p99',
    'From when a request is handed to the socket until its answer.',
    measured,
    'p99',
  ),
]
