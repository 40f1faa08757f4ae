/**
 * kafkajs with its defaults at work on a cluster whose brokers come and go: BROKERS TOPIC PARTITIONS GROUP HISTORY GAP_MS. A producer and
 * a member of the group, which commits by itself, write down what they do and see, until SIGTERM. Its retries end within ten seconds: a
 * cluster that is broken for longer is not for it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { clientsOf } from './history-client.mjs'

const [brokerList, topic, count, groupId, path, gapMs] = process.argv.slice(2)
const partitions = Number(count)
const nameOf = (partition) => `${topic}-${partition}`
const start = clientsOf(path)
const over = new AbortController()
const kafka = new Kafka({ brokers: brokerList.split(','), clientId: 'kafkajs', logLevel: logLevel.WARN })

async function produce() {
  const client = start('kafkajs-producer', { producer: { acks: 'all', idempotent: false } })
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const underWay = new Set()
  for (let n = 0; !over.signal.aborted; await sleep(Number(gapMs))) {
    if (underWay.size >= 200) continue
    const partition = n % partitions
    const value = `kafkajs-${n++}`
    const operation = client.invoke('produce', { partition: nameOf(partition), value })
    const sent = producer
      .send({ topic, messages: [{ partition, value }] })
      .then(
        // Where it knows no leader at the moment it resolves with nothing, and nobody can tell what became of the record.
        ([answer]) =>
          answer === undefined
            ? client.info(operation, new Error('resolved without an answer'))
            : client.ok(operation, { offset: Number(answer.baseOffset) }),
        (error) => client.info(operation, error),
      )
      .finally(() => underWay.delete(sent))
    underWay.add(sent)
  }
  await Promise.all(underWay)
  await producer.disconnect()
}

async function takePart() {
  // Nobody sees its commits: to the history it is a consumer whose partitions begin anywhere.
  const client = start('kafkajs-member', { consumer: {} })
  const consumer = kafka.consumer({ groupId })
  const positions = (those) => Object.fromEntries(those.map((partition) => [nameOf(partition), null]))
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
    client.write('assigned', { positions: positions(payload.memberAssignment[topic] ?? []) }),
  )
  // A member whose coordinator is gone before it has told it so asks it again until it has no retries left, and then begins anew by
  // itself. An application reads on; what is not to be begun anew is its error.
  consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
    if (!restart) throw error
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachBatch: async ({ batch: { partition, messages } }) => {
      const operation = client.invoke('poll')
      const records = messages.map(({ offset, value }) => [Number(offset), value.toString()])
      client.ok(operation, { records: { [nameOf(partition)]: records } })
    },
  })
  if (!over.signal.aborted) await new Promise((resolve) => over.signal.addEventListener('abort', resolve))
}

process.once('SIGTERM', () => over.abort())
await Promise.all([produce(), takePart()])
// A member that is about to begin anew does so even where it has been disconnected meanwhile, and is never over.
process.exit(0)
