import type { HistoryEvent } from './event.js'
import type { History } from './history.js'

export const ruleNames = [
  'lost write',
  'unseen write',
  'vanished record',
  'final read ends early',
  'failed write read',
  'value from nowhere',
  'value in the wrong partition',
  'read before it was written',
  'duplicate',
  'two values at one offset',
  'acknowledged elsewhere',
  'reordered writes',
  'non-monotonic send',
  'poll goes back within',
  'poll goes back',
  'poll skips within',
  'poll skips',
  'committed offset goes back',
  'offset that nobody committed',
  'group goes back',
  'group skips',
  'commit of an old generation',
  'two owners in one generation',
] as const

export type RuleName = (typeof ruleNames)[number]

/** Something in a history that should not be. */
export interface Finding {
  readonly rule: RuleName
  /** The partition, or the group and the partition. */
  readonly subject: string
  /** The partition and the offset around which to look at polls. */
  readonly partition: string
  readonly offset: number | null
  /** A sentence. */
  readonly what: string
  readonly evidence: readonly HistoryEvent[]
  /** Why it is no anomaly for who was promised no more. */
  readonly toleratedBecause?: string
}

export type Rule = (history: History) => Iterable<Finding>
