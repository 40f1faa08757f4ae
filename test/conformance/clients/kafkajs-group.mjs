/**
 * A member of a consumer group on kafkajs: BROKER GROUP TOPIC. Prints `PARTITION OFFSET VALUE` for each record, from the first
 * one on unless the group has committed others, and leaves on SIGTERM.
 */
import { Kafka, logLevel } from 'kafkajs'

const [bootstrapServers, groupId, topic] = process.argv.slice(2)
const kafka = new Kafka({
  brokers: bootstrapServers.split(','),
  clientId: 'kafkajs',
  logLevel: logLevel.NOTHING,
})
const consumer = kafka.consumer({
  groupId,
  sessionTimeout: 6000,
  heartbeatInterval: 300,
  // kafkajs notices a rebalance after its fetch, which waits so long for records.
  maxWaitTimeInMs: 200,
})
process.once('SIGTERM', async () => {
  await consumer.disconnect()
  process.exit(0)
})
await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })
await consumer.run({
  autoCommitInterval: 200,
  eachMessage: async ({ partition, message }) => {
    process.stdout.write(`${partition} ${message.offset} ${message.value}\n`)
  },
})
