import { join } from 'node:path'
import { VarveError } from '@varve/records'
import { completeOptions } from './checked-options.js'
import { META_PROPERTIES, type EngineDirectory } from './data-directory.js'
import { exists } from './existing-path.js'
import type { Log } from './log.js'
import type { LogOptions } from './options.js'
import { partitionDirectories, refuseSegments } from './partition-directories.js'
import { readPartitionMetadata, writePartitionMetadata } from './partition-metadata-file.js'
import { randomId } from './random-id.js'
import { realPathOf, releaseDirectory, shareDirectory } from './topic-directories.js'
import { topicNameProblem } from './topic-name.js'
import { partitionChoice, type TopicPartitioner } from './topic-partitioner.js'
import { closeAll, LogTopic, type Topic } from './topic.js'
import { checkDirectory, checkWholeNumber, invalidOption } from './whole-number.js'

/** The longest topic name leaves room for five digits of partition in the name of a directory. */
const MAX_PARTITIONS = 100_000

/** How a topic is opened; the options of its logs besides. */
export interface TopicOptions extends LogOptions {
  /**
   * How many partitions there shall be. More than there are adds some, which moves keys to other partitions from then on;
   * fewer is refused. Default: as many as there are, or 1.
   */
  partitions?: number
  /** Default `'default'`, which is Kafka's. */
  partitioner?: TopicPartitioner
}

/**
 * Opens or creates a topic whose partitions are spread over data directories, each usually a disk of its own. Partitions are
 * found in whichever of them they are; a new one goes to the directory that holds the fewest, of any topic. Each is a
 * data directory as a Kafka broker has it (`meta.properties`, lock, checkpoints), and topics of this process share it.
 *
 * @param dataDirs one directory or several, which must belong to one cluster and node
 * @throws VarveError `VARVE_INVALID_OPTION` for a name that Kafka does not allow and for fewer partitions than there are;
 * `VARVE_PARTITION_DUPLICATE` for a partition in two of the directories; `VARVE_PARTITION_MISSING` when there are partitions
 * with higher numbers than one that is not there; `VARVE_PARTITION_METADATA` when partitions do not agree on the topic's id;
 * otherwise as `openDataDirectory` and `openLog`. Nothing stays open then.
 * @example
 * ```ts
 * import { openTopic } from '@varve/log'
 *
 * await using topic = await openTopic(['./disk1', './disk2'], 'orders', { partitions: 4 })
 * const [position] = await topic.append([{ key: 'order-1', value: 'paid' }])
 * console.log(position)
 * for await (const record of topic.read()) console.log(record.partition, record.offset, String(record.value))
 * ```
 */
export async function openTopic(
  dataDirs: string | readonly string[],
  name: string,
  options: TopicOptions = {},
): Promise<Topic> {
  const { partitions, partitioner = 'default', ...logOptions } = options
  const paths = pathsOf(dataDirs)
  const problem = typeof name === 'string' ? topicNameProblem(name) : 'Topic name is invalid: it is no string'
  if (problem !== null) throw new VarveError('VARVE_INVALID_OPTION', problem)
  if (partitions !== undefined) checkWholeNumber('partitions', partitions, 1, MAX_PARTITIONS)
  const choice = partitionChoice(name, partitioner)
  const durable = completeOptions(logOptions).durability === 'fsync'

  const directories = await openDirectories(paths)
  const release = async (): Promise<void> => {
    const released = await Promise.allSettled(directories.map(releaseDirectory))
    for (const result of released) if (result.status === 'rejected') throw result.reason
  }
  const logs: Log[] = []
  try {
    const places = await placesOf(name, directories)
    const count = countOf(name, places, partitions, paths)
    const id = (await idOf(name, places)) ?? randomId()
    for (let index = 0; index < count; index++) {
      // One after the other: whatever interrupts this leaves no partition out that has others behind it.
      const directory = places.get(index) ?? (await emptiest(directories))
      const log = await directory.openLog(`${name}-${index}`, logOptions)
      logs.push(log)
      if ((await readPartitionMetadata(log.dir)) === null) await writePartitionMetadata(log.dir, id, durable)
    }
    return new LogTopic(name, id, logs, choice, release)
  } catch (error) {
    await closeAll(logs).catch(() => {})
    await release().catch(() => {})
    throw error
  }
}

/** @throws VarveError `VARVE_INVALID_OPTION` */
function pathsOf(dataDirs: string | readonly string[]): string[] {
  const dirs: readonly string[] = typeof dataDirs === 'string' ? [dataDirs] : dataDirs
  if (!Array.isArray(dirs) || dirs.length === 0) {
    throw invalidOption('dataDirs', dataDirs, 'the path of a directory or an array of some')
  }
  const paths = dirs.map((dir) => {
    checkDirectory(dir)
    return realPathOf(dir)
  })
  const twice = paths.findIndex((path, index) => paths.indexOf(path) !== index)
  if (twice >= 0) throw invalidOption('dataDirs', dirs[twice], 'given once')
  return paths
}

/** Opens them all, of one cluster and node, in the order of the paths. */
async function openDirectories(paths: readonly string[]): Promise<EngineDirectory[]> {
  const opened = new Map<string, EngineDirectory>()
  // New directories take the ids of those that have some.
  const byAge = [...paths].sort((a, b) => Number(isNew(a)) - Number(isNew(b)))
  try {
    for (const path of byAge) {
      await refuseSegments(path)
      const [first] = opened.values()
      const identity = first === undefined ? {} : { clusterId: first.clusterId, nodeId: first.nodeId }
      opened.set(path, await shareDirectory(path, identity))
    }
  } catch (error) {
    for (const directory of opened.values()) await releaseDirectory(directory).catch(() => {})
    throw error
  }
  return paths.map((path) => opened.get(path)!)
}

const isNew = (path: string): boolean => !exists(join(path, META_PROPERTIES))

/** In which directory each partition is that is there. */
async function placesOf(
  name: string,
  directories: readonly EngineDirectory[],
): Promise<Map<number, EngineDirectory>> {
  const places = new Map<number, EngineDirectory>()
  for (const directory of directories) {
    for (const { topic, partition } of await partitionDirectories(directory.dir)) {
      if (topic !== name) continue
      const other = places.get(partition)
      if (other !== undefined) {
        const [one, two] = [other, directory].map(({ dir }) => join(dir, `${name}-${partition}`))
        throw new VarveError(
          'VARVE_PARTITION_DUPLICATE',
          `partition ${partition} of the topic ${name} is in two places, ${one} and ${two}; move the one away that is not wanted`,
        )
      }
      places.set(partition, directory)
    }
  }
  return places
}

function countOf(
  name: string,
  places: ReadonlyMap<number, unknown>,
  wanted: number | undefined,
  paths: readonly string[],
): number {
  const found = Math.max(-1, ...places.keys()) + 1
  for (let index = 0; index < found; index++) {
    if (places.has(index)) continue
    throw new VarveError(
      'VARVE_PARTITION_MISSING',
      `partition ${index} of the topic ${name}, which has at least ${found}, is in none of ${paths.join(', ')}; name its data directory too, or put it back from a copy`,
    )
  }
  if (wanted === undefined) return Math.max(found, 1)
  if (wanted >= found) return wanted
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `the topic ${name} has ${found} partitions and cannot get along with ${wanted}: partitions are never removed`,
  )
}

/** The topic's id, or null while no partition has one. */
async function idOf(name: string, places: ReadonlyMap<number, EngineDirectory>): Promise<string | null> {
  let known: { id: string; dir: string } | null = null
  for (const [index, directory] of places) {
    const dir = join(directory.dir, `${name}-${index}`)
    const id = await readPartitionMetadata(dir)
    if (id === null) continue
    if (known !== null && known.id !== id) {
      throw new VarveError(
        'VARVE_PARTITION_METADATA',
        `${known.dir} belongs to the topic id ${known.id}, and ${dir} to ${id}; move the directory away that is not this topic's`,
      )
    }
    known ??= { id, dir }
  }
  return known?.id ?? null
}

/** Of equally full directories the first. */
async function emptiest(directories: readonly EngineDirectory[]): Promise<EngineDirectory> {
  const counts = await Promise.all(
    directories.map(async ({ dir }) => (await partitionDirectories(dir)).length),
  )
  return directories[counts.indexOf(Math.min(...counts))]!
}
