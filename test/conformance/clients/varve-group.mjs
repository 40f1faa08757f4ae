/**
 * A member of a consumer group on our own consumer: BROKER GROUP TOPIC [ASSIGNOR…]. Prints `PARTITION OFFSET VALUE` for each
 * record, from the first one on unless the group has committed others, and leaves on SIGTERM.
 */
import { Consumer } from '@varve/client'

const [broker, groupId, topic, ...assignors] = process.argv.slice(2)
const consumer = new Consumer({
  brokers: [broker],
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
