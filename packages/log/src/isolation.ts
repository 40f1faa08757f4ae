import type { RecordBatch } from '@varve/records'
import type { Log } from './log.js'
import type { AbortedTransaction } from './producers.js'
import { invalidOption } from './whole-number.js'

/** Whether records count before, and without, the commit of their transaction. */
export type Isolation = 'readUncommitted' | 'readCommitted'

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function checkIsolation(isolation: Isolation): void {
  if (isolation === 'readUncommitted' || isolation === 'readCommitted') return
  throw invalidOption('isolation', isolation, "'readUncommitted' or 'readCommitted'")
}

/** Up to where a reader sees. */
export function visibleOffset(log: Log, isolation: Isolation): number {
  return isolation === 'readCommitted' ? log.lastStableOffset : log.durableOffset
}

/** Whether the batch belongs to one of the transactions; their markers do not. */
export function isAborted(batch: RecordBatch, aborted: readonly AbortedTransaction[]): boolean {
  if (aborted.length === 0 || !batch.isTransactional || batch.isControl) return false
  const { baseOffset, producerId } = batch
  return aborted.some(
    (one) => one.producerId === producerId && one.firstOffset <= baseOffset && baseOffset <= one.lastOffset,
  )
}
