import { VarveError } from '@varve/records'
import {
  maxTransactionOperations,
  type MetadataEntry,
  type MetadataEvent,
  type MetadataTransaction,
} from '@varve/replication'

/** What a store holds under a prefix, all of it at one revision. */
export interface MetadataListing {
  /** In the order of their keys. */
  readonly entries: MetadataEntry[]
  /** The revision of the store at which this is all that there is. */
  readonly revision: number
}

export interface MetadataTransactionResult {
  /** False when a comparison did not hold; then nothing was changed. */
  readonly succeeded: boolean
  /** The store's revision after the transaction. */
  readonly revision: number
}

/**
 * Who follows a store. What one of these throws is an uncaught exception of the process: nobody can go on who has
 * half taken in what the store holds.
 */
export interface MetadataFollower {
  /**
   * Everything under the prefix, at one revision: the first call of all, and another one wherever what happened since the
   * last call cannot be told any more. Never at a revision below one that was told before.
   */
  reset(entries: readonly MetadataEntry[], revision: number): void
  /** What happened next, of one revision or of several in their order. Those of one revision are never parted. */
  events(events: readonly MetadataEvent[]): void
  /** A try to follow has failed. The next one is made by itself, until one works or the following is closed. */
  failed?(error: VarveError): void
}

/** Ends what it was returned for: nobody is called any more. */
export interface MetadataFollowing {
  close(): void
}

/**
 * What brokers know about their topics and about each other, behind the smallest interface that a local log and a shared
 * store such as etcd can both keep. One store may have several users. Keys begin with a slash.
 *
 * Errors are VarveErrors. After one for which {@link wasNotApplied} is true nothing has changed, nor will.
 */
export interface MetadataStore {
  /** Every entry whose key starts with `prefix`, as of no earlier than the call. */
  list(prefix: string): Promise<MetadataListing>
  /**
   * Applies all puts and deletes or none, if all comparisons hold. Resolves when the outcome is as durable as the store
   * promises; a rejection leaves the outcome unknown, unless {@link wasNotApplied} says otherwise.
   *
   * @throws VarveError `VARVE_METADATA_TXN_TOO_LARGE`; `VARVE_LEASE_GONE` where the comparisons hold and the lease of a put does
   * not exist (any more); `VARVE_METADATA_REFUSED` for what the store never does, such as changing a key twice or keeping the lease
   * of a key that is not there
   */
  txn(transaction: MetadataTransaction): Promise<MetadataTransactionResult>
  /** Tells everything under `prefix`, and what happens from then on. Never calls back before it has returned. */
  follow(prefix: string, follower: MetadataFollower): MetadataFollowing
  /**
   * Grants a lease: when it has not been kept alive for `ttlSeconds`, a whole number from 1 to 86,400, the keys that were put with
   * it are deleted, all at one revision. That may happen late, but not early.
   */
  grantLease(ttlSeconds: number): Promise<string>
  /** Gives a lease its whole time again. False: it is gone for good; its keys are, or are about to be. */
  keepAlive(lease: string): Promise<boolean>
  /** Ends a lease, and deletes its keys. One that is gone already is no error. */
  revokeLease(lease: string): Promise<void>
  /**
   * Ends every following, and whatever is under way, as soon as it can. Calls behind it are rejected with `VARVE_METADATA_CLOSED`.
   * Leases are left to themselves.
   */
  close(): Promise<void>
  /**
   * Reads the certificates by which the store is reached again, for the connections that come from now on. Left out where there are none.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`: they cannot be used, and what was in use stays
   */
  reloadCertificates?(): Promise<void>
}

/** A day: far more than anybody is waited for, and far less than timers can count. */
const longestTtlSeconds = 86_400

const codesOfWhatWasNotApplied = new Set([
  'VARVE_INVALID_OPTION',
  'VARVE_LEASE_GONE',
  'VARVE_METADATA_AUTH',
  'VARVE_METADATA_CLOSED',
  'VARVE_METADATA_REFUSED',
  'VARVE_METADATA_TXN_TOO_LARGE',
  'VARVE_METADATA_UNAVAILABLE',
])

/** Whether what a store rejected a call with says that the call has had no effect, and will have none. */
export function wasNotApplied(error: unknown): boolean {
  return VarveError.is(error) && codesOfWhatWasNotApplied.has(error.code)
}

/** @throws VarveError `VARVE_METADATA_TXN_TOO_LARGE`, `VARVE_METADATA_REFUSED` */
export function checkTransaction({ compares = [], puts = [], deletes = [] }: MetadataTransaction): void {
  const changes = puts.length + deletes.length
  if (compares.length > maxTransactionOperations || changes > maxTransactionOperations) {
    throw new VarveError(
      'VARVE_METADATA_TXN_TOO_LARGE',
      `a metadata transaction carries at most ${maxTransactionOperations} comparisons and as many changes; ` +
        `this one has ${compares.length} and ${changes}: split it`,
    )
  }
  const keys = new Set(deletes)
  for (const { key } of puts) keys.add(key)
  if (keys.size < changes)
    throw new VarveError(
      'VARVE_METADATA_REFUSED',
      'a metadata transaction changes a key twice; change it once',
    )
  for (const key of keys) {
    if (!key.startsWith('/'))
      throw new VarveError('VARVE_METADATA_REFUSED', `the metadata key '${key}' does not begin with a slash`)
  }
}

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function checkLeaseTtl(ttlSeconds: number): void {
  if (Number.isSafeInteger(ttlSeconds) && ttlSeconds >= 1 && ttlSeconds <= longestTtlSeconds) return
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `a lease is asked for with ${ttlSeconds} s to live: give it whole seconds, from 1 to ${longestTtlSeconds}`,
  )
}

export function leaseGone(lease: string): VarveError {
  return new VarveError(
    'VARVE_LEASE_GONE',
    `the lease ${lease} has expired or was revoked, so nothing was put with it; take another one`,
  )
}

export function keptLeaseOfNothing(key: string): VarveError {
  return new VarveError(
    'VARVE_METADATA_REFUSED',
    `the metadata key ${key} is not there, so it has no lease to keep; compare it with the revision that it should have`,
  )
}

export function metadataClosed(): VarveError {
  return new VarveError('VARVE_METADATA_CLOSED', 'the metadata store is closed; open it again')
}

/** Calls a follower, on whose mistakes neither the store nor other followers depend. */
export function tell(call: () => void): void {
  try {
    call()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
