import { nextProducerIdBlock, producerIdsKey } from '@varve/replication'
import type { MetadataStore } from './metadata/metadata-store.js'

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

  /**
   * @throws VarveError, or ReplicationError where the entry is damaged: what kept the block from being set apart; nothing is
   * handed out then
   */
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
      const { entries } = await this.#metadata.list(producerIdsKey)
      const block = nextProducerIdBlock(entries.find(({ key }) => key === producerIdsKey) ?? null)
      const { succeeded } = await this.#metadata.txn(block.transaction)
      // Another broker of the cluster may have been quicker.
      if (!succeeded) continue
      this.#next = block.firstProducerId
      this.#end = block.endProducerId
      return
    }
  }
}
