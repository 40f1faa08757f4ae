/**
 * kafkajs, while its broker is killed: `produce BROKER TOPIC PARTITION…` or `consume BROKER TOPIC GROUP`, until standard input
 * ends. The producer is not idempotent, as it is by default. What the lines say, kill-clients.test.ts says.
 */
import { once } from 'node:events'
import kafkajs from 'kafkajs'

const { Kafka, KafkaJSError, Partitioners, logLevel } = kafkajs
const BATCH = 5
const [role, broker, topic, ...rest] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [broker], clientId: 'kafkajs', logLevel: logLevel.NOTHING })
const over = new AbortController()
process.stdin.resume().once('end', () => over.abort())

const say = (...words) => process.stdout.write(`${words.join(' ')}\n`)

async function produce() {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const sendOn = async (partition) => {
    for (let n = 0; !over.signal.aborted; n += BATCH) {
      const messages = Array.from({ length: BATCH }, (_, i) => ({
        value: `kafkajs/${partition}/${n + i}/${'x'.repeat(((n + i) * 31) % 300)}`,
        partition,
      }))
      try {
        const [{ baseOffset }] = await producer.send({ topic, messages })
        for (let i = 0; i < BATCH; i++) say('acked', partition, Number(baseOffset) + i, n + i)
      } catch (error) {
        // It gives up after five tries; then nothing is promised of these.
        if (!(error instanceof KafkaJSError)) throw error
      }
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  await Promise.all(rest.map((partition) => sendOn(Number(partition))))
  await producer.disconnect()
}

async function consume() {
  const consumer = kafka.consumer({
    groupId: rest[0],
    sessionTimeout: 6000,
    heartbeatInterval: 300,
    maxWaitTimeInMs: 200,
  })
  consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload }) => {
    for (const { partitions } of payload.topics)
      for (const { partition, offset } of partitions) say('committed', partition, offset)
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (payload.restart) return
    console.error(payload.error)
    process.exit(1)
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitInterval: 100,
    eachBatch: async ({ batch }) =>
      say('read', batch.partition, batch.messages[0].offset, batch.messages.at(-1).offset),
  })
  await once(over.signal, 'abort')
  await consumer.disconnect()
}

await (role === 'produce' ? produce() : consume())
