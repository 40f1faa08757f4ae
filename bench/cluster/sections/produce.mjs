/** Producing 1 KB records to three brokers, acknowledged from their page caches. */
import { clients } from '../../kafka/producing.mjs'
import { cpuTable, latencyTable, partitionsText, subjects, throughputTable } from '../../kafka/tables.mjs'
import { measureProducing } from '../producing.mjs'
import { storeCells } from '../tables.mjs'

export const name = 'cluster-produce'
export const title = 'Produce'

const producersText = (count) => (count === 1 ? '1 producer' : `${count} producers`)

function cell(client, changes = {}) {
  const parameters = {
    client,
    replicationFactor: 3,
    acks: 'all',
    partitions: 1,
    producers: 1,
    batch: '16 KB',
    codec: 'none',
    ...changes,
  }
  parameters.minInsync = Math.min(parameters.replicationFactor, parameters.minInsync ?? 2)
  const { replicationFactor, minInsync, acks, partitions, producers, batch, codec } = parameters
  return {
    id: `${clients[client]}, ${batch} batches, RF ${replicationFactor}, min.insync ${minInsync}, acks ${acks}, ${partitionsText(partitions)}, ${producersText(producers)}, ${codec}`,
    subjects,
    parameters,
  }
}

export function cells({ full }) {
  if (full) return every()
  return [
    cell('native'),
    cell('native', { minInsync: 3 }),
    cell('native', { acks: 1 }),
    cell('native', { acks: 0 }),
    cell('native', { replicationFactor: 1 }),
    cell('native', { partitions: 30 }),
    cell('native', { producers: 10 }),
    cell('native', { codec: 'lz4' }),
    cell('native', { batch: '1 MB' }),
    cell('native', { batch: '1 MB', codec: 'lz4', partitions: 30, producers: 10 }),
    cell('librdkafka', { batch: '1 MB' }),
    cell('java'),
  ]
}

function every() {
  const all = []
  for (const client of Object.keys(clients))
    for (const batch of ['16 KB', '1 MB'])
      for (const [replicationFactor, minInsync] of [
        [3, 2],
        [3, 3],
        [1, 1],
      ])
        for (const acks of ['all', 1, 0])
          for (const partitions of [1, 30])
            // Foreign clients have a process for each producer, and two processors are too few for ten.
            for (const producers of client === 'native' ? [1, 10] : [1])
              for (const codec of ['none', 'lz4']) {
                // Whoever does not wait for them does not care how many have to be in sync.
                if (minInsync === 3 && acks !== 'all') continue
                all.push(
                  cell(client, { batch, replicationFactor, minInsync, acks, partitions, producers, codec }),
                )
              }
  return all
}

export const measure = async (parameters, context) =>
  measureProducing(await context.pair.turn(context.subject), parameters, context)

const TEXT =
  'Records of 1 KB, until the producer has its answers. Each native producer is a connection to each leader with five requests in flight; 30 partitions are led by the three brokers in equal parts, and a request has a batch for each partition of its leader, with 1 MB batches for one after the other. librdkafka: `kcat -P`, its start included. Java: `ProducerPerformance`.'

export const tables = (measured) => [
  throughputTable('cluster-produce', 'Produce: records per second', TEXT, measured),
  cpuTable(
    'cluster-produce-cpu',
    'Produce: CPU time of the three brokers',
    'Of all their threads, for each GB of values, until all replicas have them.',
    measured,
  ),
  cpuTable(
    'cluster-produce-store-cpu',
    "Produce: CPU time of varve's etcd",
    'For each GB of values, and not in the figures above. Kafka keeps its metadata in the brokers.',
    storeCells(measured, ({ storeCpuSecondsPerGigabyte }) => ({
      cpuSecondsPerGigabyte: storeCpuSecondsPerGigabyte,
    })),
  ),
  latencyTable(
    'cluster-produce-p50',
    'Produce: latency at full load, p50',
    'From when a request is handed to the socket (Java: from when a record is handed to the producer) until its answer; with several leaders, that of the slowest.',
    measured,
    'p50',
  ),
  latencyTable('cluster-produce-p99', 'Produce: latency at full load, p99', 'The same.', measured, 'p99'),
]
