import type { MetadataEntry, MetadataTransaction } from '@varve/replication'

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
