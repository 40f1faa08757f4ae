/** How long an answer takes where the cluster has time: at a pace, and with one message in flight. */
import { java } from '../../kafka/foreign-clients.mjs'
import { BATCHES, batchesOf, nativeClient } from '../../kafka/native-client.mjs'
import { latencyTable, rowsOf, rowsTable, subjects } from '../../kafka/tables.mjs'
import { measureProducing } from '../producing.mjs'

export const name = 'cluster-latency'
export const title = 'Latency'

const RECORDS_PER_SECOND = 5000
/** The Java tool compiles itself meanwhile. */
const JAVA_SECONDS = { usual: 4, full: 20 }
const JAVA_WARM_UP_SECONDS = { usual: 2, full: 10 }

const paced = (client, batch, id) => ({ id, subjects, parameters: { client, batch, isPaced: true } })
const single = (changes, id) => ({
  id: `one message in flight, ${id}`,
  subjects,
  parameters: {
    client: 'native',
    replicationFactor: 3,
    acks: 'all',
    partitions: 1,
    producers: 1,
    batch: 'one record',
    codec: 'none',
    inFlight: 1,
    ...changes,
  },
})

export const cells = ({ full }) => [
  paced('java', '16 KB', '5,000 records/s, Java'),
  paced('native', '16 KB', '5,000 records/s in 16 KB batches, native'),
  ...(full ? [paced('native', 'one record', '5,000 single records/s, native')] : []),
  single({}, 'RF 3, acks all'),
  single({ acks: 1 }, 'RF 3, acks 1'),
  ...(full ? [single({ replicationFactor: 1 }, 'RF 1, acks all')] : []),
]

export async function measure(parameters, context) {
  const { pair, subject } = context
  const cluster = await pair.turn(subject)
  if (!parameters.isPaced) {
    const { latencies } = await measureProducing(cluster, parameters, context)
    return { latencies }
  }
  const topics = await cluster.createTopics([{ leaders: [1] }])
  const send = parameters.client === 'java' ? sendWithJava : sendNatively
  const began = performance.now()
  const { result, brokerCpuSeconds } = await cluster.charged(() =>
    send(cluster, topics[0], parameters, context),
  )
  const seconds = (performance.now() - began) / 1000
  await cluster.assertRecords(topics, result.records)
  await cluster.deleteTopics(topics)
  const { p50, p99 } = result.latencies
  return { latencies: { p50, p99 }, cpuPercent: (brokerCpuSeconds / seconds) * 100 }
}

async function sendWithJava(cluster, topic, { batch }, { quick, full }) {
  const length = full ? 'full' : 'usual'
  const [warmUp, measured] = [JAVA_WARM_UP_SECONDS, JAVA_SECONDS].map((seconds) =>
    Math.round(RECORDS_PER_SECOND * seconds[length] * (quick ? 0.1 : 1)),
  )
  const load = {
    acks: 'all',
    batch,
    codec: 'none',
    recordsPerSecond: RECORDS_PER_SECOND,
    warmUpRecords: warmUp,
  }
  const { latencies } = await java.produce(cluster, topic, load, warmUp + measured)
  return { records: warmUp + measured, latencies }
}

async function sendNatively(cluster, topic, { batch }, { milliseconds }) {
  const seconds = milliseconds / 1000
  return nativeClient(cluster, {
    kind: 'endToEnd',
    address: cluster.addressOf(topic.replicas[0][0]),
    ...batchesOf([topic], { batch }),
    requestsPerSecond: RECORDS_PER_SECOND / BATCHES[batch],
    warmUpSeconds: seconds / 3,
    seconds,
  })
}

const TEXT =
  'RF 3, min.insync 2, one partition. 5,000 records/s, acks all: Java is `ProducerPerformance` without its first seconds, from when a record is handed to the producer until it is acknowledged, in whole milliseconds; native is from when a batch was due, sent late or not, until a consumer has it that waits in a Fetch. One message in flight: a native producer sends a record when the one before is acknowledged.'

export const tables = (measured) => {
  const pacedCells = measured.filter(({ parameters }) => parameters.isPaced)
  return [
    latencyTable('cluster-latency-p50', 'Latency, p50', TEXT, measured, 'p50'),
    latencyTable('cluster-latency-p99', 'Latency, p99', 'The same.', measured, 'p99'),
    ...(pacedCells.length === 0 ? [] : [pacedCpuTable(pacedCells)]),
  ]
}

const pacedCpuTable = (pacedCells) =>
  rowsTable({
    name: 'cluster-paced-cpu',
    title: 'CPU time of the three brokers at 5,000 records/s',
    text: 'Of one core. With Java the time is in it that the tool needs to start.',
    cells: pacedCells.flatMap((cell) => rowsOf([cell], cell.id, ({ cpuPercent }) => cpuPercent)),
    show: (value) => `${value.toFixed(0)} %`,
  })
