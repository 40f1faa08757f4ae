import { printJson, table } from './table.js'
import { placesOf } from './topic-places.js'
import type { TopicPartitions } from './values.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

const shown = (value: number): number | null => (value < 0 ? null : value)

/** The producers that partitions remember, as kafka-transactions describe-producers shows them. */
export async function describeProducers(
  topics: readonly TopicPartitions[],
  options: AdminCommandOptions,
): Promise<void> {
  await withAdmin(
    options,
    async (admin) => {
      const found = await admin.describeProducers(await placesOf(admin, topics, 'the topic'))
      if (options.json) return printJson(found)
      const rows = found.flatMap(({ topic, partition, producers }) =>
        producers.map((producer) => ({ topic, partition, ...producer })),
      )
      if (rows.length === 0) {
        process.stderr.write('No producer is remembered there.\n')
        return
      }
      process.stdout.write(
        table(
          [
            { head: 'TOPIC', cell: ({ topic }) => topic },
            { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
            { head: 'PRODUCER-ID', right: true, cell: ({ producerId }) => producerId },
            { head: 'EPOCH', right: true, cell: ({ producerEpoch }) => producerEpoch },
            { head: 'LAST-SEQUENCE', right: true, cell: ({ lastSequence }) => shown(lastSequence) },
            {
              head: 'LAST-TIMESTAMP',
              cell: ({ lastTimestamp }) => (lastTimestamp < 0 ? null : new Date(lastTimestamp).toISOString()),
            },
            {
              head: 'TRANSACTION-START',
              right: true,
              cell: ({ transactionStartOffset }) => shown(transactionStartOffset),
            },
          ],
          rows,
        ),
      )
    },
    topics[0]!.topic,
  )
}
