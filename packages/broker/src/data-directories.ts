import { existsSync } from 'node:fs'
import { open as openFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type DataDirectory,
  type DataDirectoryOptions,
  type Log,
  type LogOptions,
  type openDataDirectory,
  syncDirectory,
} from '@varve/log'
import { VarveError } from '@varve/records'
import { messageOf } from './broker-log.js'
import { refuseDirectoryOfSeveral } from './directories-of-several.js'
import { refuseForeignDirectory } from './foreign-directory.js'
import { metadataLogName } from './metadata/metadata-log.js'
import { diskHasFailed } from './storage-failure.js'
import { isDeleted } from './stray-directory.js'

/** Written to find out whether a directory still takes anything. */
const probeFile = '.varve-probe'

/**
 * The data directories of a broker, each usually a disk of its own: Kafka's `log.dirs`. A partition lies in one of them
 * and is found wherever it is. The broker's own metadata lies in the first, or wherever it was found.
 */
export class DataDirectories {
  /** Where the broker's own metadata is. */
  readonly first: DataDirectory
  readonly #all: readonly DataDirectory[]
  /** Logs in each, those being created included: what decides where the next one goes. */
  readonly #counts = new Map<DataDirectory, number>()
  readonly #failures = new Map<DataDirectory, VarveError>()
  #lastSync: Promise<void> = Promise.resolve()
  #nextSync: Promise<void> | null = null

  private constructor(all: readonly DataDirectory[], first: DataDirectory) {
    this.#all = all
    this.first = first
  }

  /**
   * Opens all of them, as one cluster's and node's, in the same way. On failure none stays open.
   *
   * @param keepsMetadata whether the broker's metadata lies in one of them, as that of a broker that is alone does
   * @throws VarveError as `openDataDirectory`; `VARVE_FOREIGN_DIRECTORY` when one has partitions of another broker, or
   * two have a broker's metadata, or one has where none should, or one is that of several brokers
   */
  static async open(
    paths: readonly string[],
    options: DataDirectoryOptions,
    open: typeof openDataDirectory,
    keepsMetadata = true,
  ): Promise<DataDirectories> {
    for (const path of paths) refuseDirectoryOfSeveral(path)
    if (!keepsMetadata) refuseLoneDirectories(paths)
    const home = keepsMetadata ? await homeOf(paths) : paths[0]!
    const opened = new Map<string, DataDirectory>()
    try {
      let known = options
      // The one with the metadata first: the others have to belong to its cluster and node.
      for (const path of [home, ...paths.filter((other) => other !== home)]) {
        const directory = await open(path, known)
        opened.set(path, directory)
        known = { ...options, clusterId: directory.clusterId, nodeId: directory.nodeId }
      }
      const directories = new DataDirectories(
        paths.map((path) => opened.get(path)!),
        opened.get(home)!,
      )
      for (const directory of directories.#all) {
        const names = (await directory.logs()).filter((name) => !isDeleted(name))
        directories.#counts.set(directory, names.length)
      }
      return directories
    } catch (error) {
      for (const directory of opened.values()) await directory.close().catch(() => {})
      throw error
    }
  }

  /** All of them, in the order in which they were given. */
  get all(): readonly DataDirectory[] {
    return this.#all
  }

  get paths(): string[] {
    return this.#all.map(({ dir }) => dir)
  }

  /** Those that have failed, with why: they get no new logs. What has failed stays so until the broker is started again. */
  get failures(): ReadonlyMap<DataDirectory, VarveError> {
    return this.#failures
  }

  /** Is told of each directory that has failed, once. */
  onFailure: (directory: DataDirectory, failure: VarveError) => void = () => {}

  /** Finds out whether the disk of a directory has failed, once something there has. */
  async probe(directory: DataDirectory): Promise<void> {
    const { dir } = directory
    const path = join(dir, probeFile)
    try {
      const file = await openFile(path, 'w')
      await file.sync().finally(() => file.close())
      await rm(path, { force: true })
    } catch (error) {
      if (diskHasFailed(error) && !this.#failures.has(directory)) {
        const what = `the disk of the data directory ${dir} has failed: ${messageOf(error)}`
        const failure = new VarveError('VARVE_IO', what, { cause: error })
        this.#failures.set(directory, failure)
        this.onFailure(directory, failure)
      }
    }
  }

  /** The directories that hold a log of each name, the broker's own metadata left out. */
  async places(): Promise<Map<string, DataDirectory[]>> {
    const places = new Map<string, DataDirectory[]>()
    for (const directory of this.#all) {
      for (const name of await directory.logs()) {
        if (name === metadataLogName) continue
        places.set(name, [...(places.get(name) ?? []), directory])
      }
    }
    return places
  }

  /** Those of all that work that have something called `name`, with a log in it or not. Of all names, `places` tells at the start. */
  having(name: string): readonly DataDirectory[] {
    return this.#working.filter(({ dir }) => existsSync(join(dir, name)))
  }

  /** Where the directory `name` is, with a log in it or not; null when it is nowhere. */
  find(name: string): string | null {
    const [directory] = this.having(name)
    return directory === undefined ? null : join(directory.dir, name)
  }

  /** Makes the names in all of them durable. Whoever asks while that is under way shares the next time. */
  sync(): Promise<void> {
    this.#nextSync ??= this.#lastSync.then(async () => {
      const syncing = Promise.all(this.#working.map(({ dir }) => syncDirectory(dir))).then(() => {})
      this.#nextSync = null
      this.#lastSync = syncing.catch(() => {})
      await syncing
    })
    return this.#nextSync
  }

  get #working(): readonly DataDirectory[] {
    return this.#all.filter((directory) => !this.#failures.has(directory))
  }

  /**
   * Creates a log in the directory that holds the fewest, the first of equals (as Kafka does), of all whose disks have not failed.
   *
   * @throws VarveError as `openLog` of the last that was tried
   */
  async create(name: string, options: LogOptions): Promise<Log> {
    const working = this.#working
    const directory = (working.length === 0 ? this.#all : working).reduce((fewest, other) =>
      this.#counts.get(other)! < this.#counts.get(fewest)! ? other : fewest,
    )
    this.#counts.set(directory, this.#counts.get(directory)! + 1)
    try {
      return await directory.openLog(name, options)
    } catch (error) {
      this.#counts.set(directory, this.#counts.get(directory)! - 1)
      if (diskHasFailed(error)) await this.probe(directory)
      const mayTryAnother = working.length > 1 && this.#failures.has(directory)
      if (!mayTryAnother) throw error
      return await this.create(name, options)
    }
  }

  /** Counts a log that is gone from the directory `dir` no more. */
  forget(dir: string): void {
    const directory = this.#all.find((one) => one.dir === dir)
    if (directory !== undefined) this.#counts.set(directory, this.#counts.get(directory)! - 1)
  }

  /** Sets the clock of directories that were opened with one. */
  async turnClockTo(now: number): Promise<void> {
    await Promise.all(this.#all.map((directory) => directory.turnClockTo(now)))
  }

  /** @throws the first failure, of closing or before; all of them are closed nevertheless. */
  async close(): Promise<void> {
    const closed = await Promise.allSettled(this.#all.map((directory) => directory.close()))
    for (const result of closed) if (result.status === 'rejected') throw result.reason
    // Not all of its logs can have been closed in order, whether somebody looked or not.
    for (const failure of this.#failures.values()) throw failure
  }
}

/** Refuses directories of a broker that is alone. @throws VarveError `VARVE_FOREIGN_DIRECTORY` */
export function refuseLoneDirectories(paths: readonly string[]): void {
  const home = paths.find((path) => existsSync(join(path, metadataLogName)))
  if (home === undefined) return
  throw new VarveError(
    'VARVE_FOREIGN_DIRECTORY',
    `${home} is that of a broker that is alone: it has metadata of its own (${metadataLogName}). Start it without a cluster, give this one another directory, or take it into a new cluster with: varve cluster import`,
  )
}

/** Which of the directories has, or is to have, the broker's own metadata. */
async function homeOf(paths: readonly string[]): Promise<string> {
  const homes = paths.filter((path) => existsSync(join(path, metadataLogName)))
  if (homes.length > 1) {
    throw new VarveError(
      'VARVE_FOREIGN_DIRECTORY',
      `${homes.join(' and ')} each hold the metadata of a broker (${metadataLogName}), so they are two brokers'; give one of them`,
    )
  }
  if (homes.length === 1) return homes[0]!
  for (const path of paths) await refuseForeignDirectory(path)
  return paths[0]!
}
