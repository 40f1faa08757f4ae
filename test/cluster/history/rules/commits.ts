import type { Commit } from '../event.js'
import type { Finding, RuleName } from '../finding.js'
import type { History } from '../history.js'
import type { Operation } from '../operation.js'
import { CommitsInTime } from './commits-in-time.js'
import { type Observation, observations } from './observations.js'

/** A group's committed offset is what was committed last, for everybody who asks, and for the members that begin there. */
export function* commits(history: History): Iterable<Finding> {
  const subjects = new Map<string, { commits: Operation<Commit>[]; observations: Observation[] }>()
  const subject = (group: string, partition: string): NonNullable<ReturnType<typeof subjects.get>> => {
    const key = `${group} ${partition}`
    if (!subjects.has(key)) subjects.set(key, { commits: [], observations: [] })
    return subjects.get(key)!
  }
  for (const commit of history.commits) {
    if (commit.outcome === 'fail') continue
    for (const partition of Object.keys(commit.invoke.offsets))
      subject(commit.client.consumer!.group!, partition).commits.push(commit)
  }
  for (const seen of observations(history)) subject(seen.group, seen.partition).observations.push(seen)
  for (const { commits, observations } of subjects.values()) yield* judge(history, commits, observations)
}

function* judge(
  history: History,
  commits: readonly Operation<Commit>[],
  observations: Observation[],
): Iterable<Finding> {
  const subject = new CommitsInTime(commits)
  for (const seen of observations.sort((a, b) => a.until - b.until)) {
    const offsetOf = ({ invoke }: Operation<Commit>): number => invoke.offsets[seen.partition]!
    const { current, mayBeNone } = subject.between(seen.since, seen.until)
    if (!current.some((commit) => explains(history, seen, offsetOf(commit)))) {
      if (mayBeNone && explains(history, seen, null)) continue
      const invoked = subject.invokedUntil(seen.until)
      yield contradiction(seen, { invoked, current, mayBeNone }, offsetOf)
    } else if (seen.start === null) {
      // One of those of that offset has taken effect; for all that follows from it, the first.
      const [first] = current
        .filter((commit) => offsetOf(commit) === seen.offset)
        .sort((a, b) => a.invoke.time - b.invoke.time)
      subject.wasSeen(first!, seen.until)
    }
  }
}

/** A member's first record is the first one that there is from the committed offset on. */
function explains(history: History, { offset, start, partition }: Observation, committed: number | null) {
  if (start === null) return offset === committed
  if (committed === null && start.reset === 'latest') return true
  const from = committed ?? 0
  return offset! >= from && history.partition(partition).firstKnown(from, offset!) === null
}

function contradiction(
  { group, partition, offset, start, events }: Observation,
  commits: Record<'invoked' | 'current', readonly Operation<Commit>[]> & { mayBeNone: boolean },
  offsetOf: (commit: Operation<Commit>) => number,
): Finding {
  const { invoked, current, mayBeNone } = commits
  const rule = (): RuleName => {
    if (start !== null) {
      const isBehind = !mayBeNone && current.every((commit) => offset! < offsetOf(commit))
      return isBehind ? 'group goes back' : 'group skips'
    }
    return offset === null || invoked.some((commit) => offsetOf(commit) === offset)
      ? 'committed offset goes back'
      : 'offset that nobody committed'
  }
  const last = current.at(-1)
  return {
    rule: rule(),
    subject: `${group} ${partition}`,
    partition,
    offset,
    what:
      (start === null
        ? `the committed offset is said to be ${offset ?? 'none'}`
        : `${start.client} begins at ${offset}`) +
      (last === undefined
        ? ', and nobody has committed any'
        : `, and ${last.client.client} has committed ${offsetOf(last)}`),
    evidence: [...(last?.events ?? []), ...events],
  }
}
