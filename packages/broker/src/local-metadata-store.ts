import { readdir } from 'node:fs/promises'
import type { DataDirectory, Durability, Log } from '@varve/log'
import { VarveError, type RecordInput } from '@varve/records'
import { maxTransactionOperations, type MetadataEntry, type MetadataTransaction } from '@varve/replication'
import { messageOf } from './broker-log.js'
import type { MetadataStore, MetadataTransactionResult } from './metadata-store.js'

/** The directory of the metadata log inside the data directory. */
export const metadataLogName = '__varve_metadata-0'

/** Keys and values of transactions that share a batch, in characters: well below what a batch may hold. */
const mostSharedLength = 128 * 1024

interface Waiting {
  readonly transaction: Required<MetadataTransaction>
  readonly resolve: (result: MetadataTransactionResult) => void
  readonly reject: (error: unknown) => void
}

/**
 * The metadata of a single broker: a log in its data directory, replayed into a map when it is opened.
 *
 * A transaction lies in one record batch, and recovery keeps or cuts whole batches, so a crash leaves all of it or nothing.
 * Those that come while one is written share the next batch, if none of them concerns what another changes. A record's key
 * is the metadata key, its value the new value, or null for a delete. The revision of a transaction is the base offset of
 * its batch plus one, so that 0 is free to mean "does not exist".
 */
export class LocalMetadataStore implements MetadataStore {
  readonly #log: Log
  readonly #entries: Map<string, MetadataEntry>
  #revision: number
  /** In the order in which they came: a comparison must see what the one before committed. */
  readonly #waiting: Waiting[] = []
  #writing: Promise<void> | null = null

  private constructor(log: Log, entries: Map<string, MetadataEntry>, revision: number) {
    this.#log = log
    this.#entries = entries
    this.#revision = revision
  }

  /**
   * Opens the metadata log of a data directory and replays it.
   *
   * @throws VarveError `VARVE_METADATA_CORRUPT` when the log cannot be replayed to its end: a broker that went on would
   * treat the topics it can no longer see as strays.
   */
  static async open(directory: DataDirectory, durability: Durability): Promise<LocalMetadataStore> {
    const path = `${directory.dir}/${metadataLogName}`
    let log: Log
    try {
      log = await directory.openLog(metadataLogName, { durability, gather: 'microtask' })
    } catch (error) {
      throw isCorruption(error) ? corrupt(path, error) : error
    }
    try {
      if (log.state === 'corrupt') throw log.failure ?? new Error('the log is damaged')
      // Recovery keeps aside whole batches that follow a bad one. One transaction is written after the other, so here
      // that never is the trace of a crash, and those batches were acknowledged.
      const cut = (await readdir(log.dir)).find((name) => name.endsWith('.cut'))
      if (cut !== undefined)
        throw new Error(`recovery cut whole transactions off, which are in ${log.dir}/${cut}`)
      const entries = new Map<string, MetadataEntry>()
      let revision = 0
      let nextOffset = log.startOffset
      for await (const batch of log.readBatches()) {
        if (!batch.verifyCrc()) throw new Error(`the batch at offset ${batch.baseOffset} has a wrong CRC`)
        revision = batch.baseOffset + 1
        nextOffset = batch.nextOffset
        for (const { key, value, offset } of batch.records()) {
          if (key === null) throw new Error(`the record at offset ${offset} has no key`)
          const name = key.toString('utf8')
          if (value === null) entries.delete(name)
          else entries.set(name, { key: name, value: value.toString('utf8'), revision })
        }
      }
      if (nextOffset !== log.endOffset) throw new Error(`it can be read up to offset ${nextOffset} only`)
      return new LocalMetadataStore(log, entries, revision)
    } catch (error) {
      await log.close().catch(() => {})
      throw corrupt(path, error)
    }
  }

  list(prefix: string): Promise<MetadataEntry[]> {
    const found = [...this.#entries.values()].filter((entry) => entry.key.startsWith(prefix))
    return Promise.resolve(found.sort((a, b) => (a.key < b.key ? -1 : 1)))
  }

  txn(transaction: MetadataTransaction): Promise<MetadataTransactionResult> {
    const { compares = [], puts = [], deletes = [] } = transaction
    if (
      compares.length > maxTransactionOperations ||
      puts.length + deletes.length > maxTransactionOperations
    ) {
      return Promise.reject(
        new VarveError(
          'VARVE_METADATA_TXN_TOO_LARGE',
          `a metadata transaction carries at most ${maxTransactionOperations} comparisons and as many changes; ` +
            `this one has ${compares.length} and ${puts.length + deletes.length}: split it`,
        ),
      )
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ transaction: { compares, puts, deletes }, resolve, reject })
      this.#writing ??= this.#writeAll()
    })
  }

  async #writeAll(): Promise<void> {
    // Whoever asks in the same turn comes along.
    await Promise.resolve()
    while (this.#waiting.length > 0) await this.#writeSome()
    this.#writing = null
  }

  /** Writes as many of those that wait as may share a batch. */
  async #writeSome(): Promise<void> {
    const group: Waiting[] = []
    const changed = new Set<string>()
    const records: RecordInput[] = []
    let length = 0
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { compares, puts, deletes } = next.transaction
      const keys = [...puts.map(({ key }) => key), ...deletes]
      if ([...compares.map(({ key }) => key), ...keys].some((key) => changed.has(key))) break
      const holds = compares.every(({ key, revision }) => this.#revisionOf(key) === revision)
      if (holds && keys.length > 0) {
        for (const { key, value } of puts) length += key.length + value.length
        for (const key of deletes) length += key.length
        if (group.length > 0 && length > mostSharedLength) break
        group.push(next)
        for (const key of keys) changed.add(key)
        records.push(...puts, ...deletes.map((key) => ({ key, value: null })))
      } else {
        next.resolve({ succeeded: holds, revision: this.#revision })
      }
      this.#waiting.shift()
    }
    if (group.length === 0) return
    try {
      const { baseOffset } = await this.#log.append(records)
      this.#take(group, baseOffset + 1)
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }

  #take(group: readonly Waiting[], revision: number): void {
    this.#revision = revision
    for (const { transaction, resolve } of group) {
      for (const put of transaction.puts) this.#entries.set(put.key, { ...put, revision })
      for (const key of transaction.deletes) this.#entries.delete(key)
      resolve({ succeeded: true, revision })
    }
  }

  #revisionOf(key: string): number {
    return this.#entries.get(key)?.revision ?? 0
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#log.close()
  }
}

function isCorruption(error: unknown): boolean {
  return VarveError.is(error) && (error.code === 'VARVE_LOG_CORRUPT' || error.code.startsWith('VARVE_BATCH_'))
}

function corrupt(path: string, cause: unknown): VarveError {
  return new VarveError(
    'VARVE_METADATA_CORRUPT',
    `the metadata log ${path} is damaged: ${messageOf(cause)}. The broker does not start, because it would no longer know ` +
      `its topics; restore this directory from a copy, or move the whole data directory away to begin anew`,
    { cause },
  )
}
