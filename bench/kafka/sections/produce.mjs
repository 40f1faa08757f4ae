/** Producing 1 KB records, acknowledged from the page cache. */
import { clients, measureProducing } from '../producing.mjs'
import { cpuTable, latencyTable, partitionsText, subjects, throughputTable } from '../tables.mjs'

export const name = 'kafka-produce'
export const title = 'Produce'

const cell = (client, { acks = 'all', partitions = 1, batch = '16 KB', codec = 'none' } = {}) => ({
  id: `${clients[client]}, ${batch} batches, acks ${acks}, ${partitionsText(partitions)}, ${codec}`,
  subjects,
  parameters: { client, acks, partitions, batch, codec },
})

export function cells({ full }) {
  if (full) return every()
  return [
    cell('native'),
    cell('native', { acks: 1 }),
    cell('native', { acks: 0 }),
    cell('native', { partitions: 30 }),
    cell('native', { codec: 'lz4' }),
    cell('native', { batch: '1 MB' }),
    cell('native', { batch: '1 MB', codec: 'lz4', partitions: 30 }),
    cell('librdkafka'),
    cell('librdkafka', { batch: '1 MB' }),
    cell('java'),
  ]
}

function every() {
  const all = []
  for (const client of Object.keys(clients))
    for (const batch of ['16 KB', '1 MB'])
      for (const acks of ['all', 1, 0])
        for (const partitions of [1, 30])
          for (const codec of ['none', 'lz4']) all.push(cell(client, { acks, partitions, batch, codec }))
  return all
}

export const measure = async (parameters, context) =>
  measureProducing(await context.pair.turn(context.subject), parameters, context)

const TEXT =
  "Records of 1 KB. 16 KB batches are those of 15 records, as `batch.size=16384` makes them; 1 MB batches are as large as a broker takes by default. Native: four connections with five requests in flight each, every request with a batch for each partition, with 1 MB batches for one after the other, because Kafka's producers send no request larger than that. librdkafka: `kcat -P`, its start included. Java: `ProducerPerformance`."

export const tables = (measured) => [
  throughputTable('kafka-produce', 'Produce: records per second', TEXT, measured),
  cpuTable(
    'kafka-produce-cpu',
    'Produce: CPU time of the broker',
    'Of all its threads, for each GB of values.',
    measured,
  ),
  latencyTable(
    'kafka-produce-p99',
    'Produce: latency at full load, p99',
    'From when a request is handed to the socket (Java: from when a record is handed to the producer) until its answer.',
    measured,
    'p99',
  ),
]
