/** From when a record is due to be sent until a consumer has it. */
import { java } from '../foreign-clients.mjs'
import { BATCHES, batchesOf, nativeClient } from '../native-client.mjs'
import { latencyTable, subjects } from '../tables.mjs'

export const name = 'kafka-end-to-end'
export const title = 'From producer to consumer'

const SHARES = [0.1, 0.5, 0.9]
const SINGLE_RECORDS_PER_SECOND = 1000

export const cells = ({ full }) => [
  ...SHARES.map((share) => ({
    id: `16 KB batches at ${share * 100} % of what Kafka can`,
    subjects,
    parameters: { share },
  })),
  {
    id: 'Java, one record at a time',
    subjects,
    parameters: { client: 'java' },
  },
  ...(full
    ? [
        {
          id: `${SINGLE_RECORDS_PER_SECOND} single records a second`,
          subjects,
          parameters: { batch: 'one record', requestsPerSecond: SINGLE_RECORDS_PER_SECOND },
        },
      ]
    : []),
]

/** Requests that Kafka takes and hands on in a second when it is given more, once for each run. */
const capacities = new WeakMap()

async function kafkasCapacity(pair, milliseconds) {
  if (!capacities.has(pair)) {
    const { requests, seconds } = await follow(await pair.turn('kafka'), {
      // More than it can.
      requestsPerSecond: 50_000,
      seconds: Math.max(0.01, milliseconds / 10_000),
    })
    capacities.set(pair, requests / seconds)
  }
  return capacities.get(pair)
}

async function follow(broker, { batch = '16 KB', requestsPerSecond, seconds }) {
  const topic = await broker.createTopic(1)
  const measured = await nativeClient(broker, {
    kind: 'endToEnd',
    ...batchesOf([topic], { batch }),
    requestsPerSecond,
    warmUpSeconds: seconds / 3,
    seconds,
  })
  await broker.assertRecords([topic], measured.requests * BATCHES[batch])
  await broker.deleteTopics([topic])
  return measured
}

export async function measure(parameters, { pair, subject, milliseconds }) {
  if (parameters.client === 'java') {
    const broker = await pair.turn(subject)
    const topic = await broker.createTopic(1)
    const records = Math.max(20, Math.round(milliseconds / 3))
    const { latencies } = await java.endToEnd(broker, topic, records)
    await broker.assertRecords([topic], records)
    await broker.deleteTopics([topic])
    return { latencies }
  }
  const { share, batch } = parameters
  const requestsPerSecond = parameters.requestsPerSecond ?? share * (await kafkasCapacity(pair, milliseconds))
  const broker = await pair.turn(subject)
  const seconds = milliseconds / 1000
  const { latencies } = await follow(broker, { batch, requestsPerSecond, seconds })
  return { requestsPerSecond, latencies: { p50: latencies.p50, p99: latencies.p99 } }
}

const TEXT =
  'Native: batches are sent at a pace, acks all, one partition, and a consumer on another connection waits in a Fetch; counted is from when a request was due, sent late or not, until the consumer has the batch. What Kafka can is measured at the start of the section with the same client. Java: `EndToEndLatency`.'

export const tables = (measured) => [
  latencyTable('kafka-end-to-end-p50', 'From producer to consumer, p50', TEXT, measured, 'p50'),
  latencyTable('kafka-end-to-end-p99', 'From producer to consumer, p99', 'The same.', measured, 'p99'),
]
