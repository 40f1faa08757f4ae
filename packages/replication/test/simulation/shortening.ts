import type { FaultKind, OperationKind, Scenario } from './scenario.js'
import { scenarioOf, simulate, type SimulationResult } from './simulation.js'

export type Omitted = FaultKind | OperationKind | 'faults' | 'operations'

/** How a run differs from what its seed draws; each is an option of `npm run simulate`. */
export interface Changes {
  /** Kinds of faults and operations that do not happen; `faults` and `operations` stand for all of them. */
  readonly without?: readonly Omitted[]
  readonly faultsMs?: number
  readonly producers?: number
  readonly consumers?: number
}

/** The scenario that is left of what a seed draws. */
export function changesOf(seed: number, { without = [], ...values }: Changes): Partial<Scenario> {
  const { faults, operations } = scenarioOf(seed)
  return {
    ...values,
    faults: without.includes('faults') ? [] : faults.filter((kind) => !without.includes(kind)),
    operations: without.includes('operations') ? [] : operations.filter((kind) => !without.includes(kind)),
  }
}

/** What shows the run on the command line. */
export function commandOf(seed: number, { without = [], faultsMs, producers, consumers }: Changes): string {
  const options = [
    [
      '--without',
      without.length > 0 ? without.map((kind) => kind.replaceAll(' ', '-')).join(',') : undefined,
    ],
    ['--faults-ms', faultsMs],
    ['--producers', producers],
    ['--consumers', consumers],
  ].flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]))
  return ['npm run simulate --', `--seed ${seed}`, ...options].join(' ')
}

/** No run is asked whether it still fails more often than this. */
const maxRuns = 200

/**
 * Leaves out of a run whatever it does not need to break the same invariant: kinds of operations and faults, one after the
 * other, clients, and the end of the time in which faults begin. What is left out changes what happens to the rest, so the
 * result is short and not the shortest. Null when the run breaks nothing.
 */
export function shorten(seed: number, given: Changes = {}): { changes: Changes; runs: number } | null {
  const run = (changes: Changes): SimulationResult => simulate(seed, { scenario: changesOf(seed, changes) })
  const first = run(given)
  if (first.violation === null) return null
  const { invariant } = first.violation
  let changes = given
  let last = first
  let runs = 0
  const tryWith = (wanted: Changes): boolean => {
    if (runs >= maxRuns) return false
    runs++
    const result = run(wanted)
    if (result.violation?.invariant !== invariant) return false
    changes = wanted
    last = result
    return true
  }
  const leaveOut = (kind: Omitted): boolean =>
    tryWith({ ...changes, without: [...(changes.without ?? []), kind] })

  for (let before: Changes | null = null; before !== changes;) {
    before = changes
    const { operations, faults, producers, consumers } = last.scenario
    if (operations.length > 0 && !leaveOut('operations')) operations.forEach(leaveOut)
    if (faults.length > 0 && !leaveOut('faults')) faults.forEach(leaveOut)
    for (let fewer = 1; fewer < producers; fewer++) {
      if (tryWith({ ...changes, producers: fewer })) break
    }
    for (let fewer = 0; fewer < consumers; fewer++) {
      if (tryWith({ ...changes, consumers: fewer })) break
    }
    // Faults that would have begun after it broke had no part in it.
    const brokeAt = Math.ceil(last.virtualMs)
    if (brokeAt < last.scenario.faultsMs) tryWith({ ...changes, faultsMs: brokeAt })
    for (let ms = shorter(last.scenario.faultsMs); ms < last.scenario.faultsMs; ms = shorter(ms)) {
      if (!tryWith({ ...changes, faultsMs: ms })) break
    }
  }
  return { changes, runs }
}

/** By a fourth, in whole tenths of a second. */
function shorter(ms: number): number {
  return Math.floor((ms * 0.75) / 100) * 100
}
