/** Producing where an acknowledgement means that the record is on disk. */
import { clients, measureProducing } from '../producing.mjs'
import { cpuTable, latencyTable, subjects, throughputTable } from '../tables.mjs'

export const name = 'kafka-fsync'
export const title = 'Produce with fsync before the acknowledgement'

const cell = (client, what, parameters) => ({
  id: `${clients[client]}, ${what}`,
  subjects,
  parameters: {
    client,
    acks: 'all',
    partitions: 1,
    batch: '16 KB',
    codec: 'none',
    durable: true,
    ...parameters,
  },
})

export const cells = ({ full }) => [
  cell('native', '16 KB batches', {}),
  cell('native', 'single records from 64 connections', { batch: 'one record', connections: 64, inFlight: 1 }),
  cell('java', '16 KB batches', {}),
  ...(full
    ? [
        cell('native', '1 MB batches', { batch: '1 MB' }),
        cell('native', '16 KB batches, 30 partitions', { partitions: 30 }),
        cell('native', 'single records from 1 connection', {
          batch: 'one record',
          connections: 1,
          inFlight: 1,
        }),
        cell('librdkafka', '16 KB batches', {}),
        cell('librdkafka', '1 MB batches', { batch: '1 MB' }),
      ]
    : []),
]

export const measure = async (parameters, context) =>
  measureProducing(await context.pair.turn(context.subject), parameters, context)

export const tables = (measured) => [
  throughputTable(
    'kafka-fsync',
    'With fsync: records per second',
    'Topics with `flush.messages=1`, which makes both flush before they acknowledge; in varve it is the same as `--durability fsync`. Acks all, one partition, four connections with five requests in flight each where nothing else is said.',
    measured,
  ),
  latencyTable('kafka-fsync-p50', 'With fsync: latency, p50', 'Of the same requests.', measured, 'p50'),
  latencyTable('kafka-fsync-p99', 'With fsync: latency, p99', 'Of the same requests.', measured, 'p99'),
  cpuTable('kafka-fsync-cpu', 'With fsync: CPU time of the broker', 'For each GB of values.', measured),
]
