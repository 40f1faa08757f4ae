/**
 * A line producer on kafkajs, idempotent: BROKERS TOPIC [TRANSACTIONAL-ID]. The lines that it reads go to partition 0 in order.
 * With a transactional id it begins a transaction.
 */
import { createInterface } from 'node:readline'
import { Kafka, Partitioners, logLevel } from 'kafkajs'

const BATCH = 500
const [bootstrapServers, topic, transactionalId] = process.argv.slice(2)

const kafka = new Kafka({
  brokers: bootstrapServers.split(','),
  clientId: 'kafkajs',
  logLevel: logLevel.NOTHING,
})
const producer = kafka.producer({
  createPartitioner: Partitioners.DefaultPartitioner,
  idempotent: true,
  maxInFlightRequests: 1,
  ...(transactionalId !== undefined && { transactionalId }),
})
await producer.connect()
try {
  if (transactionalId !== undefined) await producer.transaction()
  const messages = []
  const send = () => producer.send({ topic, acks: -1, messages: messages.splice(0) })
  for await (const value of createInterface({ input: process.stdin })) {
    messages.push({ value, partition: 0 })
    if (messages.length === BATCH) await send()
  }
  if (messages.length > 0) await send()
} finally {
  await producer.disconnect()
}
