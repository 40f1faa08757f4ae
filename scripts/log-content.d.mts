import type { AbortedTransaction, Log } from '@varve/log'

export interface LogContent {
  readonly startOffset: number
  readonly endOffset: number
  readonly lastStableOffset: number
  readonly leaderEpoch: number
  /** Offset, timestamp, key, value and headers of each, uncommitted ones too. */
  readonly records: readonly unknown[]
  /** The offsets that a reader of committed records gets. */
  readonly committed: readonly number[]
  readonly aborted: readonly AbortedTransaction[]
}
export function contentOf(log: Log): Promise<LogContent>
