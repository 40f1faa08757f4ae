/**
 * A member of a consumer group on our own consumer: BROKERS GROUP TOPIC [ASSIGNOR…]. Prints `PARTITION OFFSET VALUE` for each
 * record, from the first one on unless the group has committed others, and leaves on SIGTERM.
 */
import { Consumer } from '@varve/client'

const [bootstrapServers, groupId, topic, ...assignors] = process.argv.slice(2)
const consumer = new Consumer({
  brokers: bootstrapServers.split(','),
  groupId,
  offsetReset: 'earliest',
  sessionTimeoutMs: 6_000,
  heartbeatIntervalMs: 300,
  autoCommitIntervalMs: 200,
  ...(assignors.length > 0 ? { assignors } : {}),
})
consumer.subscribe([topic])
process.on('SIGTERM', () => void consumer.close())
for await (const { partition, offset, value } of consumer)
  process.stdout.write(`${partition} ${offset} ${value}\n`)
