import type { DataDirectory, Durability, Log } from '@varve/log'
import type { MetadataEntry, MetadataEvent, MetadataPut, MetadataTransaction } from '@varve/replication'
import { type BrokerLog, errorFields, messageOf, silentLog } from '../broker-log.js'
import { type Clock, systemClock } from '../clock.js'
import { LocalLeases } from './local-leases.js'
import { type MetadataLog, openMetadataLog, recordOf } from './metadata-log.js'
import {
  checkLeaseTtl,
  checkTransaction,
  keptLeaseOfNothing,
  leaseGone,
  metadataClosed,
  tell,
  type MetadataFollower,
  type MetadataFollowing,
  type MetadataListing,
  type MetadataStore,
  type MetadataTransactionResult,
} from './metadata-store.js'

/** Keys and values of transactions that share a batch, in characters: well below what a batch may hold. */
const mostSharedLength = 128 * 1024

interface WaitingTransaction {
  readonly transaction: Required<MetadataTransaction>
  readonly resolve: (result: MetadataTransactionResult) => void
  readonly reject: (error: unknown) => void
}

/** A lease that has gone, whose keys are to go as well. */
interface WaitingRemoval {
  readonly lease: string
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** What each key is to be; null for one that is deleted. */
type Changes = Map<string, MetadataPut | null>

interface Follower {
  readonly prefix: string
  readonly follower: MetadataFollower
}

export interface LocalMetadataStoreOptions {
  readonly durability: Durability
  /** Whether the directory is closed with the store. Default false. */
  readonly ownsDirectory?: boolean
  /** What leases expire by. Default: the machine's. */
  readonly clock?: Clock
  /** Default: {@link silentLog} */
  readonly log?: BrokerLog
}

/**
 * The metadata of a single broker, or of those of one process: a log in a data directory, replayed into a map when it is
 * opened.
 *
 * A transaction lies in one record batch, and recovery keeps or cuts whole batches, so a crash leaves all of it or nothing.
 * Those that come while one is written share the next batch, if none of them concerns what another changes. The revision of a transaction is the base offset of
 * its batch plus one, so that 0 is free to mean "does not exist".
 *
 * Leases are in memory, since whoever holds one ends with the process. A key that was put with one is deleted when the log is
 * opened next.
 */
export class LocalMetadataStore implements MetadataStore {
  readonly #log: Log
  /** Null: somebody else's. */
  readonly #directory: DataDirectory | null
  readonly #entries: Map<string, MetadataEntry>
  readonly #leases: LocalLeases
  readonly #followers = new Set<Follower>()
  #revision: number
  /** In the order in which they came: a comparison must see what the one before committed. */
  readonly #waiting: (WaitingTransaction | WaitingRemoval)[] = []
  #writing: Promise<void> | null = null
  #isClosed = false

  private constructor(
    { log, entries, revision }: MetadataLog,
    directory: DataDirectory,
    { ownsDirectory = false, clock = systemClock, log: say = silentLog }: LocalMetadataStoreOptions,
  ) {
    this.#log = log
    this.#directory = ownsDirectory ? directory : null
    this.#entries = entries
    this.#revision = revision
    this.#leases = new LocalLeases(clock, (lease) => {
      this.#removeKeysOf(lease).catch((error: unknown) =>
        say(
          'error',
          `what was put into the metadata with the lease ${lease}, which has expired, is still there: ${messageOf(error)}; it is deleted when the metadata is opened again`,
          errorFields(error),
        ),
      )
    })
  }

  /**
   * Opens the metadata log of a data directory and replays it.
   *
   * @throws VarveError `VARVE_METADATA_CORRUPT` when the log cannot be replayed to its end: a broker that went on would
   * treat the topics it can no longer see as strays.
   */
  static async open(
    directory: DataDirectory,
    options: LocalMetadataStoreOptions,
  ): Promise<LocalMetadataStore> {
    const opened = await openMetadataLog(directory, options.durability)
    const store = new LocalMetadataStore(opened, directory, options)
    try {
      await store.#deleteLeased(({ lease }) => lease !== undefined)
    } catch (error) {
      await opened.log.close().catch(() => {})
      throw error
    }
    return store
  }

  list(prefix: string): Promise<MetadataListing> {
    return this.#isClosed ? Promise.reject(metadataClosed()) : Promise.resolve(this.#listing(prefix))
  }

  txn(transaction: MetadataTransaction): Promise<MetadataTransactionResult> {
    const { compares = [], puts = [], deletes = [] } = transaction
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw metadataClosed()
      checkTransaction(transaction)
      this.#enqueue({ transaction: { compares, puts, deletes }, resolve, reject })
    })
  }

  follow(prefix: string, follower: MetadataFollower): MetadataFollowing {
    if (this.#isClosed) throw metadataClosed()
    const following = { prefix, follower }
    let isClosed = false
    queueMicrotask(() => {
      if (isClosed || this.#isClosed) return
      this.#followers.add(following)
      const { entries, revision } = this.#listing(prefix)
      tell(() => follower.reset(entries, revision))
    })
    return {
      close: () => {
        isClosed = true
        this.#followers.delete(following)
      },
    }
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    if (this.#isClosed) throw metadataClosed()
    checkLeaseTtl(ttlSeconds)
    return this.#leases.grant(ttlSeconds)
  }

  async keepAlive(lease: string): Promise<boolean> {
    if (this.#isClosed) throw metadataClosed()
    return this.#leases.keepAlive(lease)
  }

  async revokeLease(lease: string): Promise<void> {
    if (this.#isClosed) throw metadataClosed()
    if (this.#leases.end(lease)) await this.#removeKeysOf(lease)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#followers.clear()
    this.#leases.close()
    await this.#writing
    await this.#log.close()
    await this.#directory?.close()
  }

  #listing(prefix: string): MetadataListing {
    const found = [...this.#entries.values()].filter((entry) => entry.key.startsWith(prefix))
    return { entries: found.sort((a, b) => (a.key < b.key ? -1 : 1)), revision: this.#revision }
  }

  #removeKeysOf(lease: string): Promise<void> {
    return new Promise((resolve, reject) => this.#enqueue({ lease, resolve, reject }))
  }

  #enqueue(waiting: WaitingTransaction | WaitingRemoval): void {
    this.#waiting.push(waiting)
    this.#writing ??= this.#writeAll()
  }

  async #writeAll(): Promise<void> {
    // Whoever asks in the same turn comes along.
    await Promise.resolve()
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if ('lease' in next) await this.#remove(next)
      else await this.#writeSome()
    }
    this.#writing = null
  }

  async #remove({ lease, resolve, reject }: WaitingRemoval): Promise<void> {
    this.#waiting.shift()
    await this.#deleteLeased((entry) => entry.lease === lease).then(resolve, reject)
  }

  async #deleteLeased(isMeant: (entry: MetadataEntry) => boolean): Promise<void> {
    const entries = [...this.#entries.values()].filter(isMeant)
    if (entries.length > 0) await this.#write(new Map(entries.map(({ key }) => [key, null])))
  }

  /** Writes as many of the transactions that wait as may share a batch. */
  async #writeSome(): Promise<void> {
    const group: WaitingTransaction[] = []
    const changes: Changes = new Map()
    let length = 0
    for (let next = this.#waiting[0]; next !== undefined && !('lease' in next); next = this.#waiting[0]) {
      const { compares, puts, deletes } = next.transaction
      const keys = [...compares.map(({ key }) => key), ...puts.map(({ key }) => key), ...deletes]
      if (keys.some((key) => changes.has(key))) break
      try {
        const own = this.#changesOf(next.transaction)
        if (own === null || own.size === 0) {
          next.resolve({ succeeded: own !== null, revision: this.#revision })
        } else {
          for (const [key, entry] of own) length += key.length + (entry?.value.length ?? 0)
          if (group.length > 0 && length > mostSharedLength) break
          group.push(next)
          for (const [key, entry] of own) changes.set(key, entry)
        }
      } catch (error) {
        next.reject(error)
      }
      this.#waiting.shift()
    }
    if (group.length === 0) return
    try {
      const revision = await this.#write(changes)
      for (const { resolve } of group) resolve({ succeeded: true, revision })
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }

  /**
   * What a transaction changes; null where its comparisons do not hold.
   *
   * @throws VarveError `VARVE_LEASE_GONE`, `VARVE_METADATA_REFUSED`
   */
  #changesOf({ compares, puts, deletes }: Required<MetadataTransaction>): Changes | null {
    if (compares.some(({ key, revision }) => (this.#entries.get(key)?.revision ?? 0) !== revision))
      return null
    const changes: Changes = new Map()
    for (const { key, value, lease } of puts) {
      const before = this.#entries.get(key)
      if (lease === 'kept' && before === undefined) throw keptLeaseOfNothing(key)
      const own = lease === 'kept' ? before?.lease : lease
      if (lease !== 'kept' && own !== undefined && !this.#leases.has(own)) throw leaseGone(own)
      changes.set(key, own === undefined ? { key, value } : { key, value, lease: own })
    }
    for (const key of deletes) if (this.#entries.has(key)) changes.set(key, null)
    return changes
  }

  /** Returns the revision at which it is done, and told to all followers. */
  async #write(changes: Changes): Promise<number> {
    const { baseOffset } = await this.#log.append([...changes].map(([key, entry]) => recordOf(key, entry)))
    const revision = baseOffset + 1
    this.#revision = revision
    const events: MetadataEvent[] = []
    for (const [key, change] of changes) {
      if (change === null) {
        this.#entries.delete(key)
        events.push({ kind: 'delete', key, revision })
      } else {
        const entry = { ...change, revision }
        this.#entries.set(key, entry)
        events.push({ kind: 'put', ...entry })
      }
    }
    for (const { prefix, follower } of this.#followers) {
      const wanted = events.filter(({ key }) => key.startsWith(prefix))
      if (wanted.length > 0) tell(() => follower.events(wanted))
    }
    return revision
  }
}
