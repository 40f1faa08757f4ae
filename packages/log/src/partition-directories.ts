import { readdir } from 'node:fs/promises'
import { VarveError } from '@varve/records'

/** `<topic>-<partition>`, the number as Kafka writes it. */
const PARTITION_DIRECTORY = /^(.+)-(0|[1-9]\d*)$/
const SEGMENT_FILE = /^\d{20}\.log$/

export interface PartitionDirectory {
  readonly topic: string
  readonly partition: number
}

interface Content {
  readonly partitions: readonly PartitionDirectory[]
  readonly hasSegments: boolean
}

async function contentOf(dir: string): Promise<Content> {
  const entries = await readdir(dir, { withFileTypes: true })
  const partitions = entries.flatMap((entry) => {
    const [, topic, partition] = PARTITION_DIRECTORY.exec(entry.name) ?? []
    if (topic === undefined || !(entry.isDirectory() || entry.isSymbolicLink())) return []
    return [{ topic, partition: Number(partition) }]
  })
  return { partitions, hasSegments: entries.some(({ name }) => SEGMENT_FILE.test(name)) }
}

/** The partitions that lie in a data directory. */
export async function partitionDirectories(dir: string): Promise<readonly PartitionDirectory[]> {
  return (await contentOf(dir)).partitions
}

/** What is not there, or not to be looked into, is told in better words by who opens it. */
const nothing = (): Content => ({ partitions: [], hasSegments: false })

/**
 * A log of its own may not begin in a data directory: its segments would lie between the partitions.
 *
 * @throws VarveError `VARVE_INVALID_OPTION`
 */
export async function refusePartitions(dir: string): Promise<void> {
  const { partitions, hasSegments } = await contentOf(dir).catch(nothing)
  const [first] = partitions
  if (first === undefined || hasSegments) return
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `${dir} is no log but a data directory: it holds ${partitions.length} partitions. Open one of them, such as ` +
      `${first.topic}-${first.partition}, or the topic by openTopic`,
  )
}

/**
 * A log's own directory holds no partitions.
 *
 * @throws VarveError `VARVE_INVALID_OPTION`
 */
export async function refuseSegments(dir: string): Promise<void> {
  const { partitions, hasSegments } = await contentOf(dir).catch(nothing)
  if (!hasSegments || partitions.length > 0) return
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `${dir} is no data directory but a log: it holds segments. Open it by openLog, or name another directory`,
  )
}
