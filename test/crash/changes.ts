import type { CleanupPolicy, LogOptions } from '@varve/log'

/** What the process under test does to its log elsewhere than at the end, `after` so many appends of its first loop. */
export interface Change {
  readonly after: number
  readonly kind: 'truncate' | 'delete' | 'retain' | 'compact'
  /** How much of the log: from its end on for a truncation, from its start on for a deletion. */
  readonly part: number
}

export const POLICIES = ['delete', 'compact', 'compact,delete'] as const satisfies CleanupPolicy[]

/** Some of each kind in turn, as the seed chooses them: mostly small ones, or there would never be much of a log. */
export function planChanges(next: () => number, policy: CleanupPolicy): Change[] {
  const kinds: Change['kind'][] = ['truncate', 'delete', 'retain']
  if (policy !== 'delete') kinds.push('compact')
  const first = Math.floor(next() * kinds.length)
  return Array.from({ length: 20 }, (_, n) => {
    const kind = kinds[(first + n) % kinds.length]!
    return { after: 1 + Math.floor(next() * 5), kind, part: kind === 'truncate' ? next() ** 5 : next() ** 3 }
  })
}

const DAY_MS = 86_400_000
/** There are fewer runs on a log. */
const DAYS = 1000

/** The runs of a log are a day apart, by the timestamps of their records. */
export const timestampOf = (run: number): number => Date.now() - (DAYS - run) * DAY_MS

/** The retention under which a run finds the records of all but itself and the one before it expired. */
export const retentionOf = (run: number): LogOptions => ({ retentionMs: (DAYS - run + 1.5) * DAY_MS })

/** Whether a record of `run` may be deleted by retention in a later one. */
export const hasExpired = (run: number, now: number): boolean => run < now - 1
