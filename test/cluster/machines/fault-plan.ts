/** Which faults a run has, and when: decided by a seed before it begins. */
import { random } from '../../support/random.js'

/** What of a target a fault breaks. Who has no disk, or is traced, is no process to kill or start: that is one. */
export type Part = 'process' | 'clock' | 'network'

/** A fault that has begun. */
export interface Fault {
  /** In words, as the log of a run says it: `fsync takes 230 ms more`. */
  readonly what: string
  /** Takes it back; resolves when everything works again. */
  heal(): void | Promise<void>
}

/** A way to break something. */
export interface FaultKind {
  readonly name: string
  /** No two faults break the same part of one target at once. */
  readonly part: Part
  readonly targets: readonly string[]
  /**
   * Breaks it. Null if there is nothing to break: what does not run cannot be paused.
   *
   * @param strength how badly, 0 to 1, each as likely
   */
  begin(target: string, strength: number): Promise<Fault | null> | Fault | null
}

export interface PlannedFault {
  readonly kind: string
  readonly part: Part
  readonly target: string
  readonly strength: number
  /** When it begins, in milliseconds from the begin of the run. */
  readonly atMs: number
  readonly forMs: number
}

export interface FaultPlan {
  /** So many at most. */
  readonly atOnce: number
  /** In the order in which they begin. */
  readonly faults: readonly PlannedFault[]
}

export interface PlanOptions {
  readonly seed: number
  /** All are over by then. */
  readonly durationMs: number
  readonly kinds: readonly FaultKind[]
  /** So many at most. Default 2. */
  readonly atOnce?: number
  /** Until the next one begins, on average. Default 3000. */
  readonly meanGapMs?: number
  /** How long one lasts on average; at most three times that. Default 3000. */
  readonly meanMs?: number
}

const overAt = ({ atMs, forMs }: PlannedFault): number => atMs + forMs

/** Every kind has its turn before one comes again. */
export function planFaults({
  seed,
  durationMs,
  kinds,
  atOnce = 2,
  meanGapMs = 3000,
  meanMs = 3000,
}: PlanOptions): FaultPlan {
  const next = random(seed)
  const exponential = (mean: number): number => Math.min(3 * mean, -mean * Math.log(1 - next()))
  const shuffled = <Item>(items: readonly Item[]): Item[] =>
    items
      .map((item) => ({ item, at: next() }))
      .sort((one, other) => one.at - other.at)
      .map(({ item }) => item)

  const faults: PlannedFault[] = []
  let turn: FaultKind[] = []
  let atMs = 0
  for (;;) {
    const underWay = faults.filter((fault) => overAt(fault) > atMs)
    const from = underWay.length < atOnce ? atMs : Math.min(...underWay.map(overAt))
    atMs = Math.round(from + exponential(meanGapMs))
    const forMs = Math.round(Math.max(meanMs / 10, exponential(meanMs)))
    if (atMs + forMs > durationMs) return { atOnce, faults }
    const still = faults.filter((fault) => overAt(fault) > atMs)
    if (turn.length === 0) turn = shuffled(kinds)
    for (const kind of turn) {
      const isFree = (name: string): boolean =>
        !still.some(({ part, target }) => part === kind.part && target === name)
      const [target] = shuffled(kind.targets.filter(isFree))
      if (target === undefined) continue
      turn = turn.filter((other) => other !== kind)
      faults.push({ kind: kind.name, part: kind.part, target, strength: next(), atMs, forMs })
      break
    }
  }
}
