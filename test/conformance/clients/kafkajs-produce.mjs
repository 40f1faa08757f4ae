/**
 * A line producer on kafkajs: BROKERS TOPIC FILE none|gzip|keyed. Lines go to partition 0 in order; with `keyed`, each
 * KEY:VALUE line to the partition of its key. Retries are off, so that a lost answer cannot double a record unnoticed.
 */
import { readFileSync } from 'node:fs'
import { CompressionTypes, Kafka, Partitioners, logLevel } from 'kafkajs'

const BATCH = 2000
const [bootstrapServers, topic, file, mode] = process.argv.slice(2)

const bytes = readFileSync(file)
const lines = []
for (let at = 0; at < bytes.length;) {
  const newline = bytes.indexOf(0x0a, at)
  const end = newline === -1 ? bytes.length : newline
  lines.push(bytes.subarray(at, end))
  at = end + 1
}

const message = (line) => {
  if (mode !== 'keyed') return { value: line, partition: 0 }
  const at = line.indexOf(':')
  return { key: line.subarray(0, at), value: line.subarray(at + 1) }
}

const kafka = new Kafka({
  brokers: bootstrapServers.split(','),
  clientId: 'kafkajs',
  logLevel: logLevel.ERROR,
  // By default it gives up a connection behind a second, in which a busy machine may have given it no time at all.
  connectionTimeout: 60_000,
  retry: { retries: 0 },
})
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, retry: { retries: 0 } })
await producer.connect()
for (let at = 0; at < lines.length; at += BATCH) {
  await producer.send({
    topic,
    acks: -1,
    compression: mode === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None,
    messages: lines.slice(at, at + BATCH).map(message),
  })
}
await producer.disconnect()
