/** Many topics in a new broker. */
import * as show from '../../report/figures.mjs'
import { batchesOf, nativeClient } from '../native-client.mjs'
import { rowsOf, rowsTable, subjects, wholeMegabytes } from '../tables.mjs'

export const name = 'kafka-topics'
export const title = 'Many topics'
/** It takes minutes. */
export const mostRepetitions = { usual: 1, full: 3 }

const PARTITIONS = 10
const TOPICS_PER_REQUEST = 100
const BATCHES_PER_REQUEST = 100
const LISTINGS = 5

export const cells = () => [
  {
    id: `1,000 topics of ${PARTITIONS} partitions`,
    subjects,
    parameters: { topics: 1000 },
  },
]

const names = (count) =>
  Array.from({ length: count }, (_, index) => ({ name: `topic-${index}`, partitions: PARTITIONS }))

export const measure = ({ topics: wanted }, { subject, quick, pair }) =>
  pair.alone(subject, async (broker) => {
    const topics = names(quick ? wanted / 50 : wanted)
    const create = await milliseconds(async () => {
      for (let from = 0; from < topics.length; from += TOPICS_PER_REQUEST)
        await broker.createTopics(topics.slice(from, from + TOPICS_PER_REQUEST))
    })
    const list = await milliseconds(async () => {
      for (let i = 0; i < LISTINGS; i++) {
        const listed = await broker.listTopics()
        if (listed.length < topics.length)
          throw new Error(`${listed.length} of ${topics.length} topics are listed`)
      }
    })
    const produced = await nativeClient(broker, {
      kind: 'produce',
      ...batchesOf(topics, { batch: 'one record', batchesPerRequest: BATCHES_PER_REQUEST }),
      connections: 1,
      inFlight: 5,
      seconds: 60,
      maxBytes: 1 << 30,
      maxRequests: Math.ceil((topics.length * PARTITIONS) / BATCHES_PER_REQUEST),
    })
    await broker.assertRecords(topics, topics.length * PARTITIONS)
    return {
      createMilliseconds: create,
      listMilliseconds: list / LISTINGS,
      produceMilliseconds: produced.seconds * 1000,
      residentBytes: broker.residentBytes,
    }
  })

async function milliseconds(body) {
  const began = performance.now()
  await body()
  return performance.now() - began
}

export const tables = (measured) => [
  rowsTable({
    name: 'kafka-topics',
    title: '1,000 topics of 10 partitions: time',
    text: 'In a new broker. Create: requests of 100 topics, one after the other, until each partition tells its end. List: the metadata of all. Produce: one record to each partition, 100 partitions a request, five requests in flight.',
    cells: [
      ...rowsOf(measured, 'create', ({ createMilliseconds }) => createMilliseconds),
      ...rowsOf(measured, 'list', ({ listMilliseconds }) => listMilliseconds),
      ...rowsOf(measured, 'produce to all', ({ produceMilliseconds }) => produceMilliseconds),
    ],
    show: show.milliseconds,
  }),
  rowsTable({
    name: 'kafka-topics-memory',
    title: '1,000 topics of 10 partitions: memory',
    text: 'Resident, after all of that.',
    cells: rowsOf(measured, 'resident', ({ residentBytes }) => residentBytes),
    show: wholeMegabytes,
  }),
]
