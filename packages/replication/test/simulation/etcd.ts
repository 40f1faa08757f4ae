import {
  maxTransactionOperations,
  type MetadataEntry,
  type MetadataEvent,
  type MetadataOutcome,
  type MetadataTransaction,
} from '@varve/replication'
import { EtcdLeases } from './etcd-leases.js'
import type { Random } from './random.js'
import type { VirtualTime } from './virtual-time.js'

export interface CommittedTransaction {
  readonly revision: number
  readonly events: readonly MetadataEvent[]
  /** What each event replaced, so that the past can be listed. */
  readonly replaced: readonly (MetadataEntry | undefined)[]
}

export interface Listing {
  /** In the order of their keys. */
  readonly entries: readonly MetadataEntry[]
  readonly revision: number
}

export interface EtcdOptions {
  readonly time: VirtualTime
  readonly random: Random
  /** How long a scan may leave an expired lease alone beyond the half second between two, and how often it does. */
  readonly lateExpiry?: { readonly chance: number; readonly maxMs: number }
}

const failed: MetadataOutcome = { kind: 'failed' }

/** What an etcd cluster has agreed on. Everything is immediate here; that requests take time is the server's affair. */
export class Etcd {
  /** Called within each commit. */
  onCommit: ((transaction: CommittedTransaction) => void) | null = null
  readonly #leases: EtcdLeases
  readonly #entries = new Map<string, MetadataEntry>()
  /** Behind the compaction revision. */
  #history: CommittedTransaction[] = []
  #revision = 1
  #compactedRevision = 0
  readonly #watchers = new Set<(transaction: CommittedTransaction) => void>()

  constructor({ time, random, lateExpiry = { chance: 0, maxMs: 0 } }: EtcdOptions) {
    this.#leases = new EtcdLeases({ time, random, lateExpiry, removeKeys: (keys) => this.#commit([], keys) })
  }

  get revision(): number {
    return this.#revision
  }

  /** A watch or list has to start behind this revision, or at it. */
  get compactedRevision(): number {
    return this.#compactedRevision
  }

  get(key: string): MetadataEntry | undefined {
    return this.#entries.get(key)
  }

  /** Throws on what no caller may ask for, as etcd refuses it in any state. */
  transaction({ compares = [], puts = [], deletes = [] }: MetadataTransaction): MetadataOutcome {
    checkOperations(compares.length, puts, deletes)
    for (const { key, revision } of compares) {
      if ((this.#entries.get(key)?.revision ?? 0) !== revision) return failed
    }
    for (const { key, lease } of puts) {
      // etcd refuses to keep the lease of a key that is not there, and a lease that has gone.
      const isRefused =
        lease === 'kept' ? !this.#entries.has(key) : lease !== undefined && !this.#leases.has(lease)
      if (isRefused) return failed
    }
    this.#commit(puts, deletes)
    return { kind: 'succeeded', revision: this.#revision }
  }

  /** As of `revision`, or now. */
  list(prefix: string, revision = this.#revision): Listing | 'compacted' {
    if (revision < this.#compactedRevision) return 'compacted'
    const found = new Map<string, MetadataEntry>()
    for (const [key, entry] of this.#entries) if (key.startsWith(prefix)) found.set(key, entry)
    for (let i = this.#history.length - 1; i >= 0 && this.#history[i]!.revision > revision; i--) {
      const { events, replaced } = this.#history[i]!
      for (const [j, { key }] of events.entries()) {
        if (!key.startsWith(prefix)) continue
        const before = replaced[j]
        if (before === undefined) found.delete(key)
        else found.set(key, before)
      }
    }
    const entries = [...found.values()].sort((one, other) => (one.key < other.key ? -1 : 1))
    return { entries, revision }
  }

  /** All transactions from `revision` on; those that come are handed to `deliver` until {@link unwatch}. */
  watch(
    revision: number,
    deliver: (transaction: CommittedTransaction) => void,
  ): readonly CommittedTransaction[] | 'compacted' {
    if (revision < this.#compactedRevision) return 'compacted'
    this.#watchers.add(deliver)
    let first = this.#history.length
    while (first > 0 && this.#history[first - 1]!.revision >= revision) first--
    return this.#history.slice(first)
  }

  unwatch(deliver: (transaction: CommittedTransaction) => void): void {
    this.#watchers.delete(deliver)
  }

  /** What happened before `revision` cannot be listed or watched from now on. */
  compact(revision: number): void {
    if (revision <= this.#compactedRevision || revision > this.#revision) return
    this.#compactedRevision = revision
    this.#history = this.#history.filter((transaction) => transaction.revision >= revision)
  }

  /** In whole seconds. */
  grant(ttlSeconds: number): string {
    return this.#leases.grant(ttlSeconds)
  }

  /** Its time to live in seconds; 0 when it has gone, or is about to. */
  keepAlive(lease: string): number {
    return this.#leases.keepAlive(lease)
  }

  /** False when there is none. */
  revoke(lease: string): boolean {
    return this.#leases.revoke(lease)
  }

  /** The cluster has no leader until {@link leaderElected}: nothing expires. */
  leaderLost(): void {
    this.#leases.suspend()
  }

  /** Every lease gets its whole time again. */
  leaderElected(): void {
    this.#leases.extendAll()
  }

  #commit(puts: NonNullable<MetadataTransaction['puts']>, deletes: readonly string[]): void {
    const revision = this.#revision + 1
    const events: MetadataEvent[] = []
    const replaced: (MetadataEntry | undefined)[] = []
    for (const { key, value, lease: wanted } of puts) {
      const before = this.#entries.get(key)
      const lease = wanted === 'kept' ? before?.lease : wanted
      if (before?.lease !== lease) {
        if (before?.lease !== undefined) this.#leases.detach(before.lease, key)
        if (lease !== undefined) this.#leases.attach(lease, key)
      }
      const entry: MetadataEntry =
        lease === undefined ? { key, value, revision } : { key, value, revision, lease }
      this.#entries.set(key, entry)
      events.push({ kind: 'put', ...entry })
      replaced.push(before)
    }
    for (const key of deletes) {
      const before = this.#entries.get(key)
      if (before === undefined) continue
      if (before.lease !== undefined) this.#leases.detach(before.lease, key)
      this.#entries.delete(key)
      events.push({ kind: 'delete', key, revision })
      replaced.push(before)
    }
    // Deleting what is not there changes nothing.
    if (events.length === 0) return
    this.#revision = revision
    const transaction = { revision, events, replaced }
    this.#history.push(transaction)
    this.onCommit?.(transaction)
    for (const deliver of this.#watchers) deliver(transaction)
  }
}

function checkOperations(
  compares: number,
  puts: readonly { readonly key: string }[],
  deletes: readonly string[],
): void {
  if (compares > maxTransactionOperations || puts.length + deletes.length > maxTransactionOperations) {
    throw new Error(
      `too many operations: ${compares} comparisons, ${puts.length} puts, ${deletes.length} deletes`,
    )
  }
  if (puts.length + deletes.length < 2) return
  const keys = new Set(deletes)
  for (const { key } of puts) keys.add(key)
  if (keys.size < puts.length + deletes.length) throw new Error('a transaction changes a key twice')
}
