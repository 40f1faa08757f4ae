/** A key as the metadata store holds it. */
export interface MetadataEntry {
  readonly key: string
  readonly value: string
  /** The revision of the transaction that last put this key. */
  readonly revision: number
  /** The lease with which the key vanishes; absent for one that stays. */
  readonly lease?: string
}

/** Holds when the key was last put at exactly `revision`; 0 means that the key does not exist. */
export interface MetadataCompare {
  readonly key: string
  readonly revision: number
}

export interface MetadataPut {
  readonly key: string
  readonly value: string
  /** The lease with which the key vanishes; `'kept'`: the one that it has. Absent: none. */
  readonly lease?: string
}

/** Applied as a whole or not at all. */
export interface MetadataTransaction {
  readonly compares?: readonly MetadataCompare[]
  readonly puts?: readonly MetadataPut[]
  readonly deletes?: readonly string[]
}

/** The most comparisons, and the most puts and deletes together, that one transaction may carry (etcd's limit). */
export const maxTransactionOperations = 128

/**
 * How a transaction ended, as far as who sent it can tell: `'unknown'` when the answer got lost, and then it may still be
 * applied at any later time, unless one of its comparisons has stopped to hold for good.
 */
export type MetadataOutcome =
  | { readonly kind: 'succeeded'; readonly revision: number }
  | { readonly kind: 'failed' }
  | { readonly kind: 'unknown' }

/** One change of one key, as a watch delivers them: in the order of revisions, those of one transaction together. */
export type MetadataEvent =
  | ({ readonly kind: 'put' } & MetadataEntry)
  | { readonly kind: 'delete'; readonly key: string; readonly revision: number }
