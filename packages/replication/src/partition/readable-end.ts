import type { ReplicaLog } from '../replica-log.js'

/** Whether a consumer is to see records of transactions that have not ended (KIP-98). */
export type IsolationLevel = 'read_uncommitted' | 'read_committed'

/**
 * Where what a consumer may read of a replica ends. Behind its own durable offset a replica may lose what is committed all the same, in a power
 * loss under `'fsync'`, so it does not show that.
 */
export function readableEnd(
  isolation: IsolationLevel,
  replica: { readonly highWatermark: number; readonly lastStableOffset: number },
  log: Pick<ReplicaLog, 'durableOffset'>,
): number {
  const end = isolation === 'read_committed' ? replica.lastStableOffset : replica.highWatermark
  return Math.min(end, log.durableOffset)
}
