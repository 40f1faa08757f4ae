import { VarveError, type RecordBatch } from '@varve/records'
import type { Log } from './log.js'
import type { AbortedTransaction } from './producers.js'
import { invalidOption } from './whole-number.js'

/** Whether records count before, and without, the commit of their transaction. */
export type Isolation = 'readUncommitted' | 'readCommitted'

/**
 * How far a reader sees: `'durable'` as far as the log's durability reaches; `'written'` up to the log's end, of which a power loss
 * may take back what is not durable. That is for a follower, whose own copy may be what makes it safe.
 */
export type Visibility = 'durable' | 'written'

/** Both in one: what may be lost is not committed. */
export type Sight = Isolation | 'written'

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function checkVisibility(visibility: Visibility): void {
  if (visibility === 'durable' || visibility === 'written') return
  throw invalidOption('visibility', visibility, "'durable' or 'written'")
}

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function sightOf(isolation: Isolation, visibility: Visibility): Sight {
  checkVisibility(visibility)
  if (isolation !== 'readUncommitted' && isolation !== 'readCommitted')
    throw invalidOption('isolation', isolation, "'readUncommitted' or 'readCommitted'")
  if (visibility === 'durable') return isolation
  if (isolation === 'readUncommitted') return 'written'
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    "the options isolation: 'readCommitted' and visibility: 'written' contradict each other; give one of them",
  )
}

/** Up to where a reader sees. */
export function visibleOffset(log: Log, sight: Sight): number {
  if (sight === 'written') return log.endOffset
  return sight === 'readCommitted' ? log.lastStableOffset : log.durableOffset
}

/** Whether the batch belongs to one of the transactions; their markers do not. */
export function isAborted(batch: RecordBatch, aborted: readonly AbortedTransaction[]): boolean {
  if (aborted.length === 0 || !batch.isTransactional || batch.isControl) return false
  const { baseOffset, producerId } = batch
  return aborted.some(
    (one) => one.producerId === producerId && one.firstOffset <= baseOffset && baseOffset <= one.lastOffset,
  )
}
