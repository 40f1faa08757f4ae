import type { MetadataEntry, MetadataEvent, MetadataTransaction } from '@varve/replication'

/** A metadata store in memory, with everything it has ever told a watch. */
export class MemoryStore {
  readonly #entries = new Map<string, MetadataEntry>()
  readonly events: MetadataEvent[] = []
  revision = 1

  get entries(): readonly MetadataEntry[] {
    return [...this.#entries.values()]
  }

  get(key: string): MetadataEntry | undefined {
    return this.#entries.get(key)
  }

  /** @returns the revision, or null when a comparison does not hold */
  commit({ compares = [], puts = [], deletes = [] }: MetadataTransaction): number | null {
    if (compares.length > 128 || puts.length + deletes.length > 128) {
      throw new Error(`too many operations: ${compares.length}, ${puts.length + deletes.length}`)
    }
    if (compares.some(({ key, revision }) => (this.#entries.get(key)?.revision ?? 0) !== revision)) {
      return null
    }
    const revision = ++this.revision
    for (const { key, value, lease } of puts) {
      const own = lease === 'kept' ? this.#entries.get(key)?.lease : lease
      const entry = { key, value, revision, ...(own === undefined ? {} : { lease: own }) }
      this.#entries.set(key, entry)
      this.events.push({ kind: 'put', ...entry })
    }
    for (const key of deletes) {
      if (this.#entries.delete(key)) {
        this.events.push({ kind: 'delete', key, revision })
      }
    }
    return revision
  }

  /** Everything on a lease vanishes, at once. */
  revoke(lease: string): void {
    const deletes = this.entries.filter((entry) => entry.lease === lease).map(({ key }) => key)
    if (deletes.length > 0) {
      this.commit({ deletes })
    }
  }
}
