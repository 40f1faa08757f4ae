/** A key as the metadata store holds it. */
export interface MetadataEntry {
  /** The key. */
  readonly key: string
  /** What was put there. */
  readonly value: string
  /** The revision of the transaction that last put this key. */
  readonly revision: number
  /** The lease with which the key vanishes; absent for one that stays. */
  readonly lease?: string
}

/** Holds when the key was last put at exactly `revision`; 0 means that the key does not exist. */
export interface MetadataCompare {
  /** The key that is looked at. */
  readonly key: string
  /** The revision that the key must have been put at last; 0 when it must not be there. */
  readonly revision: number
}

/** A key that gets a value. */
export interface MetadataPut {
  /** The key. */
  readonly key: string
  /** What is put there. */
  readonly value: string
  /** The lease with which the key vanishes; `'kept'`: the one that it has. Absent: none. */
  readonly lease?: string
}

/** Applied as a whole or not at all. */
export interface MetadataTransaction {
  /** What all has to hold; by default nothing. */
  readonly compares?: readonly MetadataCompare[]
  /** What is put then; by default nothing. */
  readonly puts?: readonly MetadataPut[]
  /** The keys that are deleted then; by default none. */
  readonly deletes?: readonly string[]
}

/** The most comparisons, and the most puts and deletes together, that one transaction may carry (etcd's limit). */
export const maxTransactionOperations = 128

/**
 * How a transaction ended, as far as who sent it can tell: `'failed'` when a comparison did not hold; `'not applied'` when the store
 * could not be asked, or did not take it; `'unknown'` when the answer got lost, and then it may still be applied at any later
 * time, unless one of its comparisons has stopped to hold for good.
 */
export type MetadataOutcome =
  | { readonly kind: 'succeeded'; readonly revision: number }
  | { readonly kind: 'failed' }
  | { readonly kind: 'not applied' }
  | { readonly kind: 'unknown' }

/** One change of one key, as a watch delivers them: in the order of revisions, those of one transaction together. */
export type MetadataEvent =
  | ({ readonly kind: 'put' } & MetadataEntry)
  | { readonly kind: 'delete'; readonly key: string; readonly revision: number }
