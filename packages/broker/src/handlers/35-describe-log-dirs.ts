/**
 * DescribeLogDirs (35), versions 1 to 5: the data directories, with the sizes of their file systems and of the segment files
 * of each partition in them. As in Kafka a replica lags behind the high watermark that it knows itself, which is mostly not at
 * all, and by -1 where its log cannot be read. A directory that has failed has an error and, as in Kafka, no replicas. None is
 * being moved. The broker's own metadata log is not listed.
 */
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type DescribeLogDirsRequest, type DescribeLogDirsResponseInput, errors } from '@varve/protocol'
import type { Partition } from '../partition.js'
import type { RequestContext } from '../request-context.js'

type Result = NonNullable<DescribeLogDirsResponseInput['results']>[number]

export async function handleDescribeLogDirs(
  { topics: asked }: DescribeLogDirsRequest,
  { broker }: RequestContext,
): Promise<DescribeLogDirsResponseInput> {
  const wanted =
    asked === null ? null : new Map(asked.map(({ topic, partitions }) => [topic, new Set(partitions)]))
  const found = new Map<string, Map<string, Partition[]>>()
  for (const { name, partitions } of broker.topics.all()) {
    for (const partition of partitions) {
      const isWanted = wanted === null || wanted.get(name)?.has(partition.index) === true
      if (!isWanted || partition.directory === null) continue
      const directory = dirname(partition.directory)
      const byTopic = found.get(directory) ?? new Map<string, Partition[]>()
      found.set(directory, byTopic)
      byTopic.set(name, [...(byTopic.get(name) ?? []), partition])
    }
  }
  const { all, failures } = broker.directories
  const results = all.map((directory) =>
    failures.has(directory)
      ? { errorCode: errors.KAFKA_STORAGE_ERROR.code, logDir: directory.dir, topics: [] }
      : describe(directory.dir, found.get(directory.dir) ?? new Map()),
  )
  return { throttleTimeMs: 0, errorCode: 0, results: await Promise.all(results) }
}

async function describe(dir: string, topics: ReadonlyMap<string, readonly Partition[]>): Promise<Result> {
  const described = [...topics].map(([name, partitions]) => ({
    name,
    partitions: partitions.map(({ index, sizeBytes, readable, highWatermark, logEndOffset }) => ({
      partitionIndex: index,
      partitionSize: sizeBytes,
      offsetLag: readable ? Math.max(0, highWatermark - logEndOffset) : -1,
      isFutureKey: false,
    })),
  }))
  try {
    const { bsize, blocks, bavail } = await statfs(dir)
    const volume = { totalBytes: blocks * bsize, usableBytes: bavail * bsize }
    return { errorCode: 0, logDir: dir, topics: described, ...volume }
  } catch {
    return { errorCode: errors.KAFKA_STORAGE_ERROR.code, logDir: dir, topics: described }
  }
}
