import { VarveError } from '@varve/records'
import type { MetadataEntry, MetadataStore } from './metadata-store.js'

/** Where the metadata store holds which producer ids have been set apart. */
export const producerIdsKey = '/producer-ids'

/** As many ids are set apart at once as in Kafka, so that the store is asked once for every so many producers. */
const blockSize = 1000

/** The version of the value's form. A broker that finds a higher one must not guess. */
const formVersion = 1

/**
 * Hands out producer ids, none of them twice in the life of a cluster: two producers with one id would take each other's
 * records for retries of their own. A block of ids is set apart in the metadata store, durably, before the first of them
 * is handed out; what is left of it when the broker ends is lost.
 */
export class ProducerIds {
  readonly #metadata: MetadataStore
  #next = 0
  #end = 0
  #reserving: Promise<void> | null = null

  constructor(metadata: MetadataStore) {
    this.#metadata = metadata
  }

  /** @throws VarveError what kept the block from being set apart; nothing is handed out then */
  async next(): Promise<number> {
    while (this.#next === this.#end) {
      this.#reserving ??= this.#reserve().finally(() => {
        this.#reserving = null
      })
      await this.#reserving
    }
    return this.#next++
  }

  async #reserve(): Promise<void> {
    for (;;) {
      const entry = (await this.#metadata.list(producerIdsKey)).find(({ key }) => key === producerIdsKey)
      const first = entry === undefined ? 0 : decode(entry)
      const nextProducerId = first + blockSize
      const { succeeded } = await this.#metadata.txn({
        compares: [{ key: producerIdsKey, revision: entry?.revision ?? 0 }],
        puts: [{ key: producerIdsKey, value: JSON.stringify({ version: formVersion, nextProducerId }) }],
      })
      // Another broker of the cluster may have been quicker.
      if (!succeeded) continue
      this.#next = first
      this.#end = nextProducerId
      return
    }
  }
}

function decode({ key, value }: MetadataEntry): number {
  let fields: { version?: unknown; nextProducerId?: unknown } | null = null
  try {
    fields = JSON.parse(value)
  } catch {
    // Told below, with the value.
  }
  const next = fields?.nextProducerId
  if (fields?.version === formVersion && typeof next === 'number' && Number.isSafeInteger(next) && next >= 0)
    return next
  throw new VarveError(
    'VARVE_METADATA_CORRUPT',
    `the metadata entry ${key} is not one that this version wrote: ${value.slice(0, 120)}`,
  )
}
