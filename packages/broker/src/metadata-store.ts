/** The most comparisons, and the most puts and deletes together, that one transaction may carry (etcd's limit). */
export const maxTransactionOperations = 128

/** A key as the store holds it. */
export interface MetadataEntry {
  readonly key: string
  readonly value: string
  /** The revision of the transaction that last put this key. */
  readonly revision: number
}

/** Holds when the key was last put at exactly `revision`; 0 means that the key does not exist. */
export interface MetadataCompare {
  readonly key: string
  readonly revision: number
}

export interface MetadataPut {
  readonly key: string
  readonly value: string
}

export interface MetadataTransaction {
  readonly compares?: readonly MetadataCompare[]
  readonly puts?: readonly MetadataPut[]
  readonly deletes?: readonly string[]
}

export interface MetadataTransactionResult {
  /** False when a comparison did not hold; then nothing was changed. */
  readonly succeeded: boolean
  /** The store's revision after the transaction. */
  readonly revision: number
}

/**
 * What the broker knows about its topics, behind the smallest interface that a local log and a shared store such as
 * etcd can both keep.
 */
export interface MetadataStore {
  /** Every entry whose key starts with `prefix`, in the order of the keys. */
  list(prefix: string): Promise<MetadataEntry[]>
  /**
   * Applies all puts and deletes or none, if all comparisons hold. Resolves when the outcome is as durable as the store
   * promises; a rejection leaves the outcome unknown, unless its code is `VARVE_METADATA_TXN_TOO_LARGE`.
   */
  txn(transaction: MetadataTransaction): Promise<MetadataTransactionResult>
  close(): Promise<void>
}
