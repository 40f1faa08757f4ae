import type { LogDir } from '@varve/client'
import { printJson, table } from './table.js'
import { placesOf } from './topic-places.js'
import type { TopicPartitions } from './values.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface LogDirsOptions extends AdminCommandOptions {
  topic?: TopicPartitions[]
  node?: number[]
  partitions?: boolean
}

export async function describeCluster(options: AdminCommandOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    const cluster = await admin.describeCluster()
    if (options.json) return printJson(cluster)
    const { clusterId, controllerId, nodes } = cluster
    process.stdout.write(
      `cluster ${clusterId}, controller ${controllerId < 0 ? 'none' : controllerId}\n${table(
        [
          { head: 'NODE', right: true, cell: ({ nodeId }) => nodeId },
          { head: 'HOST', cell: ({ host }) => host },
          { head: 'PORT', right: true, cell: ({ port }) => port },
          { head: 'RACK', cell: ({ rack }) => rack },
        ],
        nodes,
      )}`,
    )
  })
}

export async function describeLogDirs(options: LogDirsOptions): Promise<void> {
  const { topic, node, partitions, json } = options
  await withAdmin(
    options,
    async (admin) => {
      const dirs = await admin.describeLogDirs({
        ...(node !== undefined && { nodeIds: node }),
        ...(topic !== undefined && { partitions: await placesOf(admin, topic, '--topic') }),
      })
      if (json) {
        // An error has more than a script needs.
        printJson(dirs.map(({ error, ...dir }) => ({ ...dir, error: error?.kafkaName ?? null })))
        return
      }
      process.stdout.write(partitions ? replicasText(dirs) : dirsText(dirs))
    },
    topic?.[0]?.topic,
  )
}

const bytesOrNone = (bytes: number): number | null => (bytes < 0 ? null : bytes)

function dirsText(dirs: readonly LogDir[]): string {
  return table(
    [
      { head: 'NODE', right: true, cell: ({ nodeId }) => nodeId },
      { head: 'DIRECTORY', cell: ({ path }) => path },
      { head: 'PARTITIONS', right: true, cell: ({ replicas }) => replicas.length },
      {
        head: 'BYTES',
        right: true,
        cell: ({ replicas }) => replicas.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      },
      { head: 'FREE-BYTES', right: true, cell: ({ usableBytes }) => bytesOrNone(usableBytes) },
      { head: 'DISK-BYTES', right: true, cell: ({ totalBytes }) => bytesOrNone(totalBytes) },
      { head: 'ERROR', cell: ({ error }) => error?.kafkaName ?? null },
    ],
    dirs,
  )
}

function replicasText(dirs: readonly LogDir[]): string {
  const rows = dirs.flatMap(({ nodeId, path, replicas }) =>
    replicas.map((replica) => ({ nodeId, path, ...replica })),
  )
  return table(
    [
      { head: 'TOPIC', cell: ({ topic }) => topic },
      { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
      { head: 'BYTES', right: true, cell: ({ sizeBytes }) => sizeBytes },
      { head: 'LAG', right: true, cell: ({ offsetLag }) => offsetLag },
      { head: 'NODE', right: true, cell: ({ nodeId }) => nodeId },
      { head: 'DIRECTORY', cell: ({ path }) => path },
    ],
    rows.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1)),
  )
}
