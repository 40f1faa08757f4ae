import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type DataDirectory, type Log, readPartitionMetadata, writePartitionMetadata } from '@varve/log'
import { VarveError } from '@varve/records'
import { type BrokerLog, errorFields, messageOf } from './broker-log.js'
import type { DataDirectories } from './data-directories.js'
import { inParallel } from './in-parallel.js'
import type { Partition } from './partition.js'
import { storageFailureText } from './storage-failure.js'
import { putAside } from './stray-directory.js'

/** How many logs are opened at once. What they need of their data directory becomes durable once for all of them. */
export const openingAtOnce = 1000

export interface PartitionLogsOptions {
  readonly directories: DataDirectories
  /** Whether what is created has to survive a power loss. */
  readonly durable: boolean
  readonly log: BrokerLog
}

/** Creates, opens and puts aside the directories of partitions. */
export class PartitionLogs {
  readonly #options: PartitionLogsOptions

  constructor(options: PartitionLogsOptions) {
    this.#options = options
  }

  /**
   * Creates the logs of new partitions, durably, and attaches them.
   *
   * @param made gets the path of each directory, also of those that were made before a failure
   * @throws VarveError what kept a directory from being made
   */
  async create(partitions: readonly Partition[], topicId: string, made: string[]): Promise<void> {
    const { directories, durable } = this.#options
    let putAside = false
    await inParallel(partitions, openingAtOnce, async (partition) => {
      for (const directory of directories.having(partition.name)) {
        const isLog = (await directory.logs()).includes(partition.name)
        if (!isLog) continue
        putAside = true
        await this.putAside(directory.dir, partition.name)
      }
      const opened = await directories.create(partition.name, partition.logOptions)
      made.push(opened.dir)
      partition.attach(opened)
      await writePartitionMetadata(opened.dir, topicId, durable)
    })
    // The name of a new directory is durable once its log is open.
    if (durable && putAside) await directories.sync()
  }

  /** Removes the directories of a creation that certainly did not happen; nothing was ever appended to them. */
  async remove(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
        this.#options.log(
          'warn',
          `could not remove ${path}, the rest of a failed creation: ${messageOf(error)}`,
        )
      })
    }
  }

  /** Opens the log of a partition that is there; what keeps it from being opened refuses this partition alone. */
  async reopen(partition: Partition, topicId: string, places: readonly DataDirectory[]): Promise<void> {
    const { durable, log } = this.#options
    try {
      const [directory] = places
      if (directory === undefined) throw this.#missing(partition.name)
      const path = join(directory.dir, partition.name)
      this.#refuseSecond(partition, places)
      const owner = await readPartitionMetadata(path)
      if (owner !== null && owner !== topicId) {
        throw new VarveError(
          'VARVE_PARTITION_METADATA',
          `${path} belongs to the topic id ${owner}, not to ${topicId}; move it away and put the right directory back`,
        )
      }
      const opened = await directory.openLog(partition.name, partition.logOptions)
      if (owner === null) await writePartitionMetadata(path, topicId, durable)
      partition.attach(opened)
      this.#tellCut(partition, opened)
    } catch (error) {
      partition.refuse(asVarveError(error))
    }
    const failure = partition.failure
    if (failure !== null)
      log('error', `${partition.name}: ${storageFailureText(failure)}`, {
        topic: partition.topic,
        partition: partition.index,
        ...errorFields(failure),
      })
  }

  /** Whether one of the partitions has no directory. One of its name may be another topic's, which says nothing of it. */
  async someAreMissing(
    partitions: readonly Partition[],
    places: ReadonlyMap<string, readonly DataDirectory[]>,
  ): Promise<boolean> {
    let found = false
    await inParallel(partitions, openingAtOnce, async ({ name, state }) => {
      if (found) return
      // What cannot be read is there, and refused when it is to be opened.
      const owners = (places.get(name) ?? []).map(({ dir }) =>
        readPartitionMetadata(join(dir, name)).catch(() => null),
      )
      found ||= (await Promise.all(owners)).every((owner) => owner !== null && owner !== state.topicId)
    })
    return found
  }

  /**
   * Opens the log of a partition where it is, or else creates it; another topic's directory of that name is put aside. Null,
   * and the partition is refused, where neither is possible.
   */
  async openOrCreate(
    partition: Partition,
    topicId: string,
    places: readonly DataDirectory[],
  ): Promise<Log | null> {
    const { directories, durable, log } = this.#options
    try {
      const own: DataDirectory[] = []
      let isNamed = false
      for (const directory of places) {
        const owner = await readPartitionMetadata(join(directory.dir, partition.name))
        isNamed ||= owner === topicId
        if (owner === null || owner === topicId) own.push(directory)
        else await this.putAside(directory.dir, partition.name)
      }
      this.#refuseSecond(partition, own)
      const [directory] = own
      const opened =
        directory === undefined
          ? await directories.create(partition.name, partition.logOptions)
          : await directory.openLog(partition.name, partition.logOptions)
      if (!isNamed) await writePartitionMetadata(opened.dir, topicId, durable)
      this.#tellCut(partition, opened)
      return opened
    } catch (error) {
      const failure = asVarveError(error)
      partition.refuse(failure)
      log('error', `${partition.name}: ${storageFailureText(failure)}`, {
        topic: partition.topic,
        partition: partition.index,
        ...errorFields(failure),
      })
      return null
    }
  }

  /** @throws VarveError `VARVE_PARTITION_DUPLICATE` */
  #refuseSecond(partition: Partition, places: readonly DataDirectory[]): void {
    if (places.length < 2) return
    const paths = places.map(({ dir }) => join(dir, partition.name))
    throw new VarveError(
      'VARVE_PARTITION_DUPLICATE',
      `it is in two places, ${paths.join(' and ')}; move the one away that is not wanted and restart the broker`,
    )
  }

  #tellCut(partition: Partition, { recovered }: Log): void {
    if (recovered === null || recovered.cutBytes === 0) return
    const { cutBytes, endOffset } = recovered
    this.#options.log(
      'warn',
      `${partition.name}: recovery cut ${cutBytes} bytes, the log now ends at offset ${endOffset}`,
      { topic: partition.topic, partition: partition.index },
    )
  }

  /** @throws VarveError `VARVE_IO` */
  async putAside(dir: string, name: string): Promise<void> {
    const { log } = this.#options
    try {
      const stray = await putAside(dir, name)
      log('warn', `the directory ${name} belongs to no topic; it is kept as ${stray}`)
    } catch (error) {
      throw new VarveError(
        'VARVE_IO',
        `could not rename ${join(dir, name)}, which belongs to no topic: ${messageOf(error)}`,
        { cause: error },
      )
    }
  }

  #missing(name: string): VarveError {
    const { directories } = this.#options
    const path = directories.find(name)
    const [first, ...others] = directories.paths.map((dir) => join(dir, name))
    const nowhere =
      others.length === 0
        ? `its directory ${first} is missing; put it back`
        : `its directory is missing, it was ${[first, ...others].join(' or ')}; name its data directory too, or put it back`
    const what = path === null ? nowhere : `there are no log files in ${path}; put them back`
    return new VarveError(
      'VARVE_PARTITION_MISSING',
      `${what} from a copy and restart the broker, which serves all other partitions meanwhile`,
    )
  }
}

function asVarveError(error: unknown): VarveError {
  return VarveError.is(error) ? error : new VarveError('VARVE_IO', messageOf(error), { cause: error })
}
