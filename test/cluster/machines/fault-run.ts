import { setMaxListeners } from 'node:events'
import { setTimeout as timer } from 'node:timers/promises'
import type { FaultKind, FaultPlan, PlannedFault } from './fault-plan.js'

/** What a run of faults goes by. */
export interface RunTime {
  /** In milliseconds. */
  now(): number
  /** Waits so long, or until it is told that it need not. */
  sleep(ms: number, enough: AbortSignal): Promise<void>
}

const realTime: RunTime = {
  now: () => performance.now(),
  async sleep(ms, enough) {
    try {
      await timer(ms, undefined, { signal: enough })
    } catch (error) {
      if (!enough.aborted) throw error
    }
  },
}

export interface RunOptions {
  /** Takes a line of the log of the run. */
  readonly tell: (line: string) => void
  /** Ends the run before its time: what has begun is healed, and nothing else begins. */
  readonly enough?: AbortSignal
  readonly time?: RunTime
}

const seconds = (ms: number): string => (ms / 1000).toFixed(3)

/**
 * Lets the faults of a plan begin and end. Every one that has begun is healed when it resolves, and when it rejects: with what
 * went wrong first when something could not be broken or healed.
 */
export async function runFaults(
  { atOnce, faults }: FaultPlan,
  kinds: readonly FaultKind[],
  { tell, enough = new AbortController().signal, time = realTime }: RunOptions,
): Promise<void> {
  const began = time.now()
  const failed = new AbortController()
  const over = AbortSignal.any([enough, failed.signal])
  // All that is still to come waits for it.
  setMaxListeners(0, over)
  const width = {
    kind: longest(faults.map(({ kind }) => kind)),
    target: longest(faults.map(({ target }) => target)),
  }
  const log = ({ kind, target }: PlannedFault, what: string): void => {
    const at = seconds(time.now() - began).padStart(9)
    tell(`${at} s  ${target.padEnd(width.target)}  ${kind.padEnd(width.kind)}  ${what}`)
  }

  const errors: unknown[] = []
  const breakAndHeal = async (planned: PlannedFault): Promise<void> => {
    try {
      const kind = kinds.find(({ name }) => name === planned.kind)
      if (kind === undefined) throw new Error(`no fault is called ${planned.kind}`)
      const fault = await kind.begin(planned.target, planned.strength)
      if (fault === null) {
        log(planned, 'is left out: there is nothing to break')
        return
      }
      log(planned, `for ${seconds(planned.forMs)} s: ${fault.what}`)
      await time.sleep(planned.forMs, over)
      await fault.heal()
      log(planned, 'is over')
    } catch (error) {
      log(planned, `could not be done: ${String(error)}`)
      errors.push(error)
      failed.abort()
    }
  }

  // A broker that takes long to start is broken for longer than was planned: what comes behind waits.
  const underWay = new Set<Promise<void>>()
  const strike = async (planned: PlannedFault, before: Promise<void> | undefined): Promise<void> => {
    await time.sleep(planned.atMs, over)
    await before
    while (underWay.size >= atOnce) await Promise.race(underWay)
    if (over.aborted) return
    const done = breakAndHeal(planned).finally(() => underWay.delete(done))
    underWay.add(done)
    await done
  }

  /** The last one that breaks this part of this target. */
  const last = new Map<string, Promise<void>>()
  for (const planned of faults) {
    const broken = `${planned.part} of ${planned.target}`
    last.set(broken, strike(planned, last.get(broken)))
  }
  await Promise.all(last.values())
  if (errors.length > 0) throw errors[0]
}

const longest = (words: readonly string[]): number => Math.max(0, ...words.map(({ length }) => length))
