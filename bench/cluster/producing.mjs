/** Measures produce requests of one client: how many records a second, at what CPU time of all brokers; all must be committed. */
import { java, librdkafka } from '../kafka/foreign-clients.mjs'
import { RECORD_BYTES, batchesOf, nativeClients } from '../kafka/native-client.mjs'
import { range } from './cluster.mjs'
import { IDS } from './servers.mjs'

/** Of one replica. */
const MOST_BYTES = 1 << 30
const WARM_UP_BYTES = 1 << 27
/** Records that foreign clients are given for each millisecond, so that they take about as long as asked. */
const FOREIGN_RECORDS = { java: 40, librdkafka: 200 }
const FEWEST_RECORDS = 2000

const foreign = { java, librdkafka }

/**
 * The native client speaks to one broker: it is given a topic for each leader. Others find the leaders of one topic themselves.
 *
 * @returns {readonly { leaders: readonly number[] }[]} topics whose partitions the brokers lead in equal parts
 */
export function topicsFor(client, partitions) {
  if (client !== 'native' || partitions === 1)
    return [{ leaders: range(partitions).map((partition) => IDS[partition % IDS.length]) }]
  return IDS.map((id) => ({ leaders: range(partitions / IDS.length).map(() => id) }))
}

/**
 * @param {import('./cluster.mjs').Cluster} cluster
 * @param {object} parameters
 * @param {'native' | 'librdkafka' | 'java'} parameters.client
 * @param {1 | 3} parameters.replicationFactor
 * @param {1 | 2 | 3} parameters.minInsync
 * @param {0 | 1 | 'all'} parameters.acks
 * @param {number} parameters.partitions
 * @param {number} parameters.producers
 * @param {'16 KB' | '1 MB' | 'one record'} parameters.batch
 * @param {'none' | 'lz4'} parameters.codec
 * @param {number} [parameters.inFlight] requests of each producer
 * @param {{ milliseconds: number, workplace: { root: string } }} context
 */
export async function measureProducing(cluster, parameters, { milliseconds, workplace }) {
  const { client, partitions } = parameters
  const topics = await cluster.createTopics(topicsFor(client, partitions), parameters)
  const round =
    client === 'native'
      ? (share, maxBytes) =>
          sendNatively(cluster, topics, parameters, (share * milliseconds) / 1000, maxBytes)
      : (share) => {
          const wished = Math.round(share * milliseconds * FOREIGN_RECORDS[client])
          const records = Math.max(FEWEST_RECORDS, wished)
          return foreign[client].produce(cluster, topics[0], parameters, records, workplace.root)
        }
  const warmedUp = await round(1 / 3, WARM_UP_BYTES)
  await cluster.assertRecords(topics, warmedUp.records)
  const { result: measured, ...cost } = await cluster.charged(async () => {
    const sent = await round(1, MOST_BYTES)
    // Followers may have it later than the producer its answer.
    await cluster.assertRecords(topics, warmedUp.records + sent.records)
    return sent
  })
  await cluster.deleteTopics(topics)
  return producingFigures(measured, cost)
}

async function sendNatively(cluster, topics, parameters, seconds, maxBytes) {
  const { acks, batch, codec, producers, inFlight = 5 } = parameters
  const { figures } = await nativeClients(
    cluster,
    topics.map((topic) => ({
      kind: 'produce',
      address: cluster.addressOf(topic.replicas[0][0]),
      // As a producer does that has something for each of them, and no request larger than Kafka's `max.request.size`.
      ...batchesOf([topic], {
        acks,
        batch,
        codec,
        batchesPerRequest: batch === '1 MB' ? 1 : topic.partitions,
      }),
      connections: producers,
      inFlight,
      seconds,
      maxBytes: Math.round(maxBytes / topics.length),
    })),
  )
  return together(figures)
}

/** Of clients that began together: the latencies are the worst of any. */
export function together(figures) {
  const worst = (percentile) => Math.max(...figures.map(({ latencies }) => latencies[percentile]))
  return {
    records: figures.reduce((all, { records }) => all + records, 0),
    seconds: Math.max(...figures.map(({ seconds }) => seconds)),
    ...(figures.every(({ latencies }) => latencies != null) && {
      latencies: { p50: worst('p50'), p99: worst('p99') },
    }),
  }
}

function producingFigures({ records, seconds, latencies }, { brokerCpuSeconds, storeCpuSeconds }) {
  const gigabytes = (records * RECORD_BYTES) / 1e9
  return {
    records,
    seconds,
    perSecond: records / seconds,
    cpuSecondsPerGigabyte: brokerCpuSeconds / gigabytes,
    ...(storeCpuSeconds !== undefined && { storeCpuSecondsPerGigabyte: storeCpuSeconds / gigabytes }),
    ...(latencies != null && { latencies: { p50: latencies.p50, p99: latencies.p99 } }),
  }
}
