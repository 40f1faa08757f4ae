import type { MetadataEntry, MetadataEvent, MetadataOutcome, MetadataTransaction } from '../../src/index.js'

/** A metadata store without time: leases end when a test says so. */
export class StoreDouble {
  revision = 1
  readonly entries = new Map<string, MetadataEntry>()
  readonly events: MetadataEvent[] = []
  readonly #leases = new Set<string>()
  #lastLease = 0

  grant(): string {
    const lease = `lease ${++this.#lastLease}`
    this.#leases.add(lease)
    return lease
  }

  has(lease: string): boolean {
    return this.#leases.has(lease)
  }

  revoke(lease: string): void {
    this.#leases.delete(lease)
    const keys = [...this.entries.values()].filter((entry) => entry.lease === lease).map(({ key }) => key)
    if (keys.length > 0) this.transaction({ deletes: keys })
  }

  transaction({ compares = [], puts = [], deletes = [] }: MetadataTransaction): MetadataOutcome {
    const holds = compares.every(({ key, revision }) => (this.entries.get(key)?.revision ?? 0) === revision)
    if (!holds || puts.some(({ lease }) => lease !== undefined && !this.#leases.has(lease)))
      return { kind: 'failed' }
    const revision = ++this.revision
    for (const put of puts) {
      const entry = { ...put, revision }
      this.entries.set(put.key, entry)
      this.events.push({ kind: 'put', ...entry })
    }
    for (const key of deletes) {
      this.entries.delete(key)
      this.events.push({ kind: 'delete', key, revision })
    }
    return { kind: 'succeeded', revision }
  }
}
