/** Measures produce requests of one client: how many records a second, at what CPU time of the broker; all must be there. */
import { java, librdkafka } from './foreign-clients.mjs'
import { RECORD_BYTES, batchesOf, nativeClient } from './native-client.mjs'

const MOST_BYTES = 3 << 29
const WARM_UP_BYTES = 1 << 28

/** Records that foreign clients are given for each millisecond, so that they take about as long as asked. */
const FOREIGN_RECORDS = { java: 80, librdkafka: 250 }
/** The same with fsync. */
const DURABLE_RECORDS = { java: 20, librdkafka: 60 }
const FEWEST_RECORDS = 2000

const foreign = { java, librdkafka }

/** How clients are called in tables. */
export const clients = { native: 'native', librdkafka: 'librdkafka', java: 'Java' }

/**
 * @param {import('./broker.mjs').Broker} broker
 * @param {object} parameters
 * @param {'native' | 'librdkafka' | 'java'} parameters.client
 * @param {0 | 1 | 'all'} parameters.acks
 * @param {number} parameters.partitions
 * @param {'16 KB' | '1 MB' | 'one record'} parameters.batch
 * @param {'none' | 'lz4'} parameters.codec
 * @param {boolean} [parameters.durable]
 * @param {number} [parameters.connections] of the native client
 * @param {number} [parameters.inFlight] on each of them
 * @param {{ milliseconds: number, workplace: { root: string } }} context
 */
export async function measureProducing(broker, parameters, { milliseconds, workplace }) {
  const topic = await broker.createTopic(parameters.partitions, { durable: parameters.durable })
  const round =
    parameters.client === 'native'
      ? (share, maxBytes) => sendNatively(broker, topic, parameters, (share * milliseconds) / 1000, maxBytes)
      : (share) => {
          const each = parameters.durable ? DURABLE_RECORDS : FOREIGN_RECORDS
          const wished = Math.round(share * milliseconds * each[parameters.client])
          const records = Math.max(FEWEST_RECORDS, wished)
          return foreign[parameters.client].produce(broker, topic, parameters, records, workplace.root)
        }
  const warmedUp = await round(1 / 3, WARM_UP_BYTES)
  const measured = await round(1, MOST_BYTES)
  await broker.assertRecords([topic], warmedUp.records + measured.records)
  await broker.deleteTopics([topic])
  return producingFigures(measured)
}

function sendNatively(broker, topic, parameters, seconds, maxBytes) {
  const { connections = 4, inFlight = 5, partitions, batch } = parameters
  return nativeClient(broker, {
    kind: 'produce',
    // As a producer does that has something for each of them, and no request larger than Kafka's `max.request.size`.
    ...batchesOf([topic], { batchesPerRequest: batch === '1 MB' ? 1 : partitions, ...parameters }),
    connections,
    inFlight,
    seconds,
    maxBytes,
  })
}

function producingFigures({ records, batches, seconds, brokerCpuSeconds, clientCpuSeconds, latencies }) {
  const gigabytes = (records * RECORD_BYTES) / 1e9
  return {
    records,
    seconds,
    perSecond: records / seconds,
    cpuSecondsPerGigabyte: brokerCpuSeconds / gigabytes,
    ...(batches !== undefined && { cpuMicrosecondsPerBatch: (brokerCpuSeconds / batches) * 1e6 }),
    ...(clientCpuSeconds !== undefined && { clientCpuSecondsPerGigabyte: clientCpuSeconds / gigabytes }),
    ...(latencies != null && { latencies: { p50: latencies.p50, p99: latencies.p99 } }),
  }
}
