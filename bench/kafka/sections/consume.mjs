/** Reading what is in the page cache. */
import { java, librdkafka } from '../foreign-clients.mjs'
import { BATCHES, RECORD_BYTES, batchesOf, nativeClient } from '../native-client.mjs'
import { clients } from '../producing.mjs'
import { cpuTable, partitionsText, subjects, throughputTable } from '../tables.mjs'

export const name = 'kafka-consume'
export const title = 'Consume'

const LARGE = 1 << 30
/** For clients that take longer. */
const SMALL = 1 << 28

const cell = (client, partitions, consumers, bytes, { tls = false } = {}) => ({
  id: `${clients[client]}${tls ? ' over TLS' : ''}, ${partitionsText(partitions)}, ${consumers === 1 ? '1 consumer' : `${consumers} consumers`}`,
  subjects,
  parameters: { client, partitions, consumers, bytes, tls },
})

export const cells = ({ full }) => [
  ...[1, 30].flatMap((partitions) => [1, 8].map((consumers) => cell('native', partitions, consumers, LARGE))),
  cell('librdkafka', 1, 1, SMALL),
  cell('librdkafka', 1, 1, SMALL, { tls: true }),
  cell('java', 1, 1, SMALL),
  ...(full ? [cell('librdkafka', 30, 1, SMALL), cell('java', 30, 1, SMALL)] : []),
]

export async function measure({ client, partitions, consumers, bytes, tls }, { pair, subject, quick }) {
  const broker = await pair.turn(subject)
  const size = quick ? bytes >> 6 : bytes
  const { topic, records } = await broker.shared(`${partitions} ${size}`, partitions, (topic) =>
    fill(broker, topic, size),
  )
  await pair.quietDisk()
  const measured = await ways[client](broker, topic, records, { consumers, tls })
  if (measured.records !== records * consumers)
    throw new Error(`${measured.records} records came instead of ${records * consumers}`)
  return {
    records: measured.records,
    seconds: measured.seconds,
    perSecond: measured.records / measured.seconds,
    cpuSecondsPerGigabyte: measured.brokerCpuSeconds / ((measured.records * RECORD_BYTES) / 1e9),
  }
}

/** Fills all partitions alike; resolves with the number of records. */
async function fill(broker, topic, bytes) {
  const maxRequests = Math.ceil(bytes / (RECORD_BYTES * BATCHES['16 KB'] * topic.partitions))
  const { records } = await nativeClient(broker, {
    kind: 'produce',
    ...batchesOf([topic], { batchesPerRequest: topic.partitions }),
    connections: 1,
    inFlight: 5,
    seconds: 60,
    maxBytes: 2 * bytes,
    maxRequests,
  })
  await broker.assertRecords([topic], records)
  return records
}

const ways = {
  native: (broker, topic, records, { consumers }) =>
    nativeClient(broker, {
      kind: 'consume',
      topic,
      connections: consumers,
      records,
      maxPartitionBytes: 1 << 20,
      maxBytes: 50 << 20,
    }),
  java: (broker, topic, records) => java.consume(broker, topic, records),
  librdkafka: (broker, topic, records, { tls }) => librdkafka.consume(broker, topic, records, { tls }),
}

export const tables = (measured) => [
  throughputTable(
    'kafka-consume',
    'Consume: records per second',
    'Of all consumers together. Each reads the whole topic from its start, 1 KB records in 16 KB batches, uncompressed and in the page cache, so that both brokers answer with `sendfile`, save over TLS, where neither can; with 1 MB of each partition and 50 MB of all in a Fetch, as Java asks for. Native: looks at the headers of batches and drops the rest. librdkafka: `kcat -C`, its start included. Java: `ConsumerPerformance`.',
    measured,
  ),
  cpuTable(
    'kafka-consume-cpu',
    'Consume: CPU time of the broker',
    'For each GB of values that is read.',
    measured,
  ),
]
