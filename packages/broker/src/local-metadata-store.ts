import { readdir } from 'node:fs/promises'
import type { DataDirectory, Durability, Log } from '@varve/log'
import { VarveError, type RecordInput } from '@varve/records'
import { messageOf } from './broker-log.js'
import {
  maxTransactionOperations,
  type MetadataEntry,
  type MetadataStore,
  type MetadataTransaction,
  type MetadataTransactionResult,
} from './metadata-store.js'

/** The directory of the metadata log inside the data directory. */
export const metadataLogName = '__varve_metadata-0'

/**
 * The metadata of a single broker: a log in its data directory, replayed into a map when it is opened.
 *
 * A transaction is one record batch, and recovery keeps or cuts whole batches, so a crash leaves all of it or nothing.
 * A record's key is the metadata key, its value the new value, or null for a delete. The revision of a transaction is
 * the base offset of its batch plus one, so that 0 is free to mean "does not exist".
 */
export class LocalMetadataStore implements MetadataStore {
  readonly #log: Log
  readonly #entries: Map<string, MetadataEntry>
  #revision: number
  /** Transactions run one after the other: a comparison must see what the one before committed. */
  #last: Promise<unknown> = Promise.resolve()

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
    const result = this.#last.then(() => this.#apply(transaction))
    this.#last = result.catch(() => {})
    return result
  }

  async #apply({
    compares = [],
    puts = [],
    deletes = [],
  }: MetadataTransaction): Promise<MetadataTransactionResult> {
    const holds = compares.every(({ key, revision }) => (this.#entries.get(key)?.revision ?? 0) === revision)
    if (!holds) return { succeeded: false, revision: this.#revision }
    const records: RecordInput[] = [
      ...puts.map(({ key, value }) => ({ key, value })),
      ...deletes.map((key) => ({ key, value: null })),
    ]
    if (records.length === 0) return { succeeded: true, revision: this.#revision }
    const { baseOffset } = await this.#log.append(records)
    const revision = baseOffset + 1
    for (const put of puts) this.#entries.set(put.key, { ...put, revision })
    for (const key of deletes) this.#entries.delete(key)
    this.#revision = revision
    return { succeeded: true, revision }
  }

  async close(): Promise<void> {
    await this.#last
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
