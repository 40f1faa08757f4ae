/**
 * A line producer on kafkajs, idempotent: BROKERS TOPIC FILE [TRANSACTIONAL-ID]. Lines go to partition 0 in order. With a
 * transactional id it begins a transaction.
 */
import { readFileSync } from 'node:fs'
import { Kafka, Partitioners, logLevel } from 'kafkajs'

const BATCH = 500
const [bootstrapServers, topic, file, transactionalId] = process.argv.slice(2)

const lines = readFileSync(file, 'utf8').split('\n')
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
  for (let at = 0; at < lines.length; at += BATCH) {
    const messages = lines.slice(at, at + BATCH).map((value) => ({ value, partition: 0 }))
    await producer.send({ topic, acks: -1, messages })
  }
} finally {
  await producer.disconnect()
}
