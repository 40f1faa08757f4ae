import { join, resolve } from 'node:path'
import {
  openDirectory,
  type Failure,
  type NativeDirectory,
  type NativeProgress,
  type NativeRepaired,
} from '@varve/native'
import { VarveError } from '@varve/records'
import { forgetLog, listenToLog, numberLog } from './changed-logs.js'
import { completeOptions, nativeConfig } from './checked-options.js'
import { EngineLog } from './engine-log.js'
import { exists } from './existing-path.js'
import { unwrap } from './failure.js'
import type { Log } from './log.js'
import { LogOpenings } from './log-openings.js'
import { checkNames } from './option-names.js'
import type { LogOptions } from './options.js'
import { randomId } from './random-id.js'
import { checkDirectory, checkWholeNumber, invalidOption } from './whole-number.js'

export const META_PROPERTIES = 'meta.properties'

/** Who a data directory shall belong to. */
export interface DataDirectoryOptions {
  /** The cluster that the directory must belong to. Default: whichever it does; a new id for a new directory. */
  clusterId?: string
  /** The node that the directory must belong to. Default: whichever it does; 0 for a new directory. */
  nodeId?: number
  /**
   * Nothing is ever flushed, whatever a log's durability says: for a directory that nobody needs after this process or a
   * power loss. Default false.
   */
  volatile?: boolean
  /**
   * Stops the directory's clock at this time, in ms since 1970, until {@link DataDirectory.turnClockTo} turns it: by it
   * records age, retention and compaction come due, and `LogAppendTime` is given. Default: it runs with the machine's.
   */
  timeMs?: number
}

/**
 * A directory with logs in sub-directories, as a broker has one: it holds the lock, the clean marker, the recovery
 * points and `meta.properties` for all of them.
 */
export interface DataDirectory extends AsyncDisposable {
  /** Its absolute path. */
  readonly dir: string
  /** As `meta.properties` has it: 22 characters of base64url where it was made here. */
  readonly clusterId: string
  /** As `meta.properties` has it, from 0 on. */
  readonly nodeId: number
  /** As `meta.properties` has it (KIP-858). */
  readonly directoryId: string
  /** Whether it was closed cleanly the last time; false for a new one. */
  readonly cleanShutdown: boolean
  /**
   * Opens or creates the log in the sub-directory `name`, recovering it if need be.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_LOCKED` when it is open already, `VARVE_LOG_CORRUPT` when durable
   * segments are missing, `VARVE_LOG_CLOSED` when the directory is closed, `VARVE_IO`.
   */
  openLog(name: string, options?: LogOptions): Promise<Log>
  /**
   * Names of the sub-directories that hold a log, whether open or not.
   *
   * @throws VarveError `VARVE_LOG_CLOSED`, `VARVE_IO`
   */
  logs(): Promise<string[]>
  /**
   * Sets the clock of a directory that was opened with `timeMs`, never back. Resolves when its logs have done what became due:
   * what has expired is deleted then.
   *
   * @throws VarveError `VARVE_INVALID_OPTION` when the clock is the machine's
   * @example
   * ```ts
   * import { openDataDirectory } from '@varve/log'
   *
   * const [start, day] = [Date.UTC(2026, 0, 1), 24 * 60 * 60 * 1000]
   * const directory = await openDataDirectory('./data', { timeMs: start, volatile: true })
   * const log = await directory.openLog('orders-0', { retentionMs: day })
   * await log.append([{ value: 'a', timestamp: start }])
   * await directory.turnClockTo(start + 2 * day)
   * console.log(log.startOffset) // 1: it has expired
   * await directory.close()
   * ```
   */
  turnClockTo(timeMs: number): Promise<void>
  /**
   * Closes its logs, notes that all is well if it is, and lets go of the lock. Calling it again gives the same promise.
   *
   * @throws VarveError the first failure to close a log; the directory is closed nevertheless.
   */
  close(): Promise<void>
}

/**
 * Opens or creates a data directory and locks it.
 *
 * Another thread of this process may have it open too.
 *
 * @throws VarveError `VARVE_LOCKED` when another process or this thread has it, `VARVE_NOT_WRITABLE`, `VARVE_META_MISMATCH` when it
 * belongs to another cluster or node, `VARVE_INVALID_OPTION`, `VARVE_IO`.
 * @example
 * ```ts
 * import { openDataDirectory } from '@varve/log'
 *
 * const directory = await openDataDirectory('./data', { nodeId: 1 })
 * const log = await directory.openLog('orders-0')
 * await log.append([{ value: 'a' }])
 * console.log(directory.clusterId, await directory.logs()) // … [ 'orders-0' ]
 * await directory.close()
 * ```
 */
export async function openDataDirectory(
  dir: string,
  options: DataDirectoryOptions = {},
): Promise<DataDirectory> {
  checkNames(options, { clusterId: 1, nodeId: 1, volatile: 1, timeMs: 1 })
  return openEngineDirectory(dir, options)
}

export async function openEngineDirectory(
  dir: string,
  options: DataDirectoryOptions,
): Promise<EngineDirectory> {
  checkDirectory(dir)
  const { clusterId, nodeId, timeMs } = options
  // It becomes a line of meta.properties, where a blank or a line break would say something else.
  if (clusterId !== undefined && !/^[!-~]+$/.test(clusterId)) {
    throw invalidOption('clusterId', clusterId, 'of printable ASCII characters without blanks')
  }
  if (nodeId !== undefined) checkWholeNumber('nodeId', nodeId, 0, 0x7fff_ffff)
  if (timeMs !== undefined) checkWholeNumber('timeMs', timeMs, 0, Number.MAX_SAFE_INTEGER)
  const path = resolve(dir)
  const identity = { clusterId, nodeId, newClusterId: randomId(), newDirectoryId: randomId() }
  const use = { isVolatile: options.volatile ?? false, ...(timeMs !== undefined && { timeMs }) }
  const native = unwrap(await openDirectory(path, identity, use))
  const isOther =
    (clusterId !== undefined && clusterId !== native.clusterId) ||
    (nodeId !== undefined && nodeId !== native.nodeId)
  if (isOther) {
    // The engine compares when it opens a directory; this one another thread has open.
    await native.close()
    throw new VarveError(
      'VARVE_META_MISMATCH',
      `the directory ${path} belongs to node ${native.nodeId} of cluster ${native.clusterId}, which is not what was asked for`,
    )
  }
  return new EngineDirectory(path, native, timeMs !== undefined)
}

export class EngineDirectory implements DataDirectory {
  readonly dir: string
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: string
  readonly cleanShutdown: boolean
  readonly #native: NativeDirectory
  readonly #openings: LogOpenings
  readonly #isTurned: boolean
  readonly #open = new Map<string, Promise<EngineLog>>()
  #closing: Promise<void> | null = null

  constructor(dir: string, native: NativeDirectory, isTurned: boolean) {
    this.#native = native
    this.#openings = new LogOpenings(native)
    this.#isTurned = isTurned
    this.dir = dir
    this.clusterId = native.clusterId
    this.nodeId = native.nodeId
    this.directoryId = native.directoryId
    this.cleanShutdown = native.cleanShutdown
  }

  async openLog(name: string, options: LogOptions = {}): Promise<Log> {
    if (
      typeof name !== 'string' ||
      name === '' ||
      name === '.' ||
      name === '..' ||
      /[/\\\p{Cc}]/u.test(name)
    ) {
      throw new VarveError(
        'VARVE_INVALID_OPTION',
        `${JSON.stringify(name)} cannot name a log in ${this.dir}; it must be a plain directory name`,
      )
    }
    if (exists(join(this.dir, name, META_PROPERTIES))) {
      throw new VarveError(
        'VARVE_INVALID_OPTION',
        `${join(this.dir, name)} is a data directory of its own, with its own lock; open it by openLog`,
      )
    }
    return this.open(name, options, async () => {})
  }

  /** Opens a log; the empty name is the directory itself. `closed` runs after the log has closed. */
  async open(name: string, options: LogOptions, closed: () => Promise<void>): Promise<EngineLog> {
    const complete = completeOptions(options)
    const dir = join(this.dir, name)
    this.#assertOpen()
    if (this.#open.has(name)) {
      throw new VarveError(
        'VARVE_LOCKED',
        `the log ${dir} is open already in this process; use that one or close it first`,
      )
    }
    const opening = this.#openNative(name, dir, complete, closed)
    this.#open.set(name, opening)
    try {
      return await opening
    } catch (error) {
      this.#open.delete(name)
      throw error
    }
  }

  async #openNative(
    name: string,
    dir: string,
    options: Required<LogOptions>,
    closed: () => Promise<void>,
  ): Promise<EngineLog> {
    const { changedLogs, number } = numberLog()
    const native = unwrap(
      await this.#openings.open({ name, config: nativeConfig(options), number }, changedLogs),
    )
    // Another thread of the process may have it open.
    if (native.fsync !== (options.durability === 'fsync')) {
      await native.close()
      throw new VarveError(
        'VARVE_INVALID_OPTION',
        `the log ${dir} is open in another thread with durability '${native.fsync ? 'fsync' : 'os'}'; open it with the same here`,
      )
    }
    const log = new EngineLog(native, dir, options, async () => {
      forgetLog(number)
      this.#open.delete(name)
      await closed()
    })
    listenToLog(number, log.changed)
    return log
  }

  async logs(): Promise<string[]> {
    this.#assertOpen()
    const names = unwrap(await this.#native.logs())
    return names.filter((name) => name !== '')
  }

  async turnClockTo(timeMs: number): Promise<void> {
    checkWholeNumber('timeMs', timeMs, 0, Number.MAX_SAFE_INTEGER)
    if (!this.#isTurned) {
      throw new VarveError(
        'VARVE_INVALID_OPTION',
        `the clock of ${this.dir} is the machine's; open the directory with timeMs to turn it`,
      )
    }
    unwrap(await this.#native.turnClockTo(timeMs))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const opened = await Promise.allSettled(this.#open.values())
    const logs = opened.flatMap((log) => (log.status === 'fulfilled' ? [log.value] : []))
    const closed = await Promise.allSettled(logs.map((log) => log.close()))
    await this.release()
    for (const result of closed) if (result.status === 'rejected') throw result.reason
  }

  #assertOpen(): void {
    if (this.#closing === null) return
    throw new VarveError('VARVE_LOG_CLOSED', `the data directory ${this.dir} is closed; open it again`)
  }

  /** Repairs a log that is not open; the empty name is the directory itself. */
  repair(name: string, progress: NativeProgress): Promise<NativeRepaired[] | Failure> {
    return this.#native.repairLog(name, progress)
  }

  /** Writes the clean marker if all is well and lets go of the lock. */
  async release(): Promise<void> {
    unwrap(await this.#native.close())
  }
}
