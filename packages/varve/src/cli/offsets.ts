import type { OffsetSpec } from '@varve/client'
import { printJson, table } from './table.js'
import type { From } from './values.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface OffsetsOptions extends AdminCommandOptions {
  at?: Exclude<From, { at: 'offset' }> | { at: 'maxTimestamp' }
}

interface PartitionOffsets {
  readonly topic: string
  readonly partition: number
}

export async function showOffsets(topics: string[], options: OffsetsOptions): Promise<void> {
  await withAdmin(
    options,
    async (admin) => {
      const described =
        topics.length === 0
          ? (await admin.listTopics()).filter(({ isInternal }) => !isInternal)
          : await admin.describeTopics(topics)
      const where = described.flatMap(({ name, partitions }) =>
        partitions.map(({ partition }): PartitionOffsets => ({ topic: name, partition })),
      )
      const find = async (timestamp: OffsetSpec) =>
        admin.listOffsets(where.map((each) => ({ ...each, timestamp })))
      const place = [
        { head: 'TOPIC', cell: ({ topic }: PartitionOffsets) => topic },
        { head: 'PARTITION', right: true, cell: ({ partition }: PartitionOffsets) => partition },
      ]
      if (options.at !== undefined) {
        const found = await find(options.at.at === 'time' ? options.at.timestamp : options.at.at)
        if (options.json) return printJson(found)
        const columns = [
          {
            head: 'OFFSET',
            right: true,
            cell: ({ offset }: { offset: number }) => (offset < 0 ? null : offset),
          },
          {
            head: 'TIMESTAMP',
            cell: ({ timestamp }: { timestamp: number }) =>
              timestamp < 0 ? null : new Date(timestamp).toISOString(),
          },
        ]
        process.stdout.write(table([...place, ...columns], found))
        return
      }
      const [starts, ends] = [await find('earliest'), await find('latest')]
      const rows = where.map((each, index) => ({
        ...each,
        earliest: starts[index]!.offset,
        latest: ends[index]!.offset,
      }))
      if (options.json) return printJson(rows)
      process.stdout.write(
        table(
          [
            ...place,
            { head: 'EARLIEST', right: true, cell: ({ earliest }: (typeof rows)[number]) => earliest },
            { head: 'LATEST', right: true, cell: ({ latest }: (typeof rows)[number]) => latest },
          ],
          rows,
        ),
      )
    },
    topics[0],
  )
}
