/**
 * A run that failed is repeated by its seed: if that does not bring the same faults at the same times, nobody finds out why. And a
 * fault that is left behind when the run is over, or when one of them goes wrong, makes the next hour of tests fail.
 */
import { expect, test } from 'vitest'
import { type FaultKind, type FaultPlan, planFaults, type PlannedFault } from './fault-plan.js'
import { runFaults, type RunTime } from './fault-run.js'

/** Time that passes as soon as nobody has anything else to do. */
class SimulatedTime implements RunTime {
  #now = 0
  readonly #sleepers = new Set<{ at: number; wake: () => void }>()

  now(): number {
    return this.#now
  }

  sleep(ms: number, enough: AbortSignal): Promise<void> {
    if (enough.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const sleeper = { at: this.#now + ms, wake: resolve }
      this.#sleepers.add(sleeper)
      enough.addEventListener('abort', () => {
        if (this.#sleepers.delete(sleeper)) resolve()
      })
    })
  }

  async until<Value>(done: Promise<Value>): Promise<Value> {
    let isDone = false
    const settled = (): void => void (isDone = true)
    done.then(settled, settled)
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      if (isDone) return done
      const [first] = [...this.#sleepers].sort((one, other) => one.at - other.at)
      if (first === undefined) throw new Error('nothing would ever happen')
      this.#sleepers.delete(first)
      this.#now = Math.max(this.#now, first.at)
      first.wake()
    }
  }
}

const BROKERS = ['broker-1', 'broker-2', 'broker-3']

/** Kinds that note what is broken. */
class Recorder {
  readonly broken = new Set<string>()
  readonly events: string[] = []
  most = 0
  readonly kinds: FaultKind[]

  constructor(time: SimulatedTime) {
    const kind = (name: string, part: FaultKind['part']): FaultKind => ({
      name,
      part,
      targets: BROKERS,
      begin: (target) => {
        const what = `${part} of ${target}`
        if (this.broken.has(what)) throw new Error(`the ${what} is broken already`)
        this.broken.add(what)
        this.events.push(`${time.now()} ${name} ${target}`)
        this.most = Math.max(this.most, this.broken.size)
        return { what: 'is broken', heal: () => void this.broken.delete(what) }
      },
    })
    this.kinds = [
      kind('kill', 'process'),
      kind('pause', 'process'),
      kind('split', 'network'),
      kind('clock', 'clock'),
    ]
  }
}

const overAt = ({ atMs, forMs }: PlannedFault): number => atMs + forMs

test('a seed has one plan, and another seed another', () => {
  const { kinds } = new Recorder(new SimulatedTime())
  const plan = (seed: number): FaultPlan => planFaults({ seed, durationMs: 60_000, kinds })
  expect(plan(7)).toEqual(plan(7))
  expect(plan(8)).not.toEqual(plan(7))
  expect(plan(7).faults.length).toBeGreaterThan(5)
})

test.for([1, 2, 3])(
  '%d faults at once at most, each part of a target broken by one, all over in time',
  (atOnce) => {
    const { kinds } = new Recorder(new SimulatedTime())
    let most = 0
    for (let seed = 0; seed < 50; seed++) {
      const durationMs = 120_000
      const { faults } = planFaults({ seed, durationMs, kinds, atOnce, meanGapMs: 500 })
      for (const fault of faults) {
        expect(overAt(fault)).toBeLessThanOrEqual(durationMs)
        const others = faults.filter((other) => other.atMs <= fault.atMs && overAt(other) > fault.atMs)
        most = Math.max(most, others.length)
        const broken = others.map(({ part, target }) => `${part} of ${target}`)
        expect(new Set(broken).size, 'what is broken by two').toBe(broken.length)
      }
      expect(new Set(faults.map(({ kind }) => kind)).size, 'every kind has its turn').toBe(kinds.length)
    }
    expect(most).toBe(atOnce)
  },
)

test('a run does what was planned, says each in a line, and leaves nothing broken', async () => {
  const time = new SimulatedTime()
  const recorder = new Recorder(time)
  const plan = planFaults({ seed: 3, durationMs: 60_000, kinds: recorder.kinds, meanGapMs: 500 })
  const { faults } = plan
  const lines: string[] = []
  await time.until(runFaults(plan, recorder.kinds, { time, tell: (line) => lines.push(line) }))
  expect(recorder.events).toEqual(faults.map(({ atMs, kind, target }) => `${atMs} ${kind} ${target}`))
  expect(recorder.most).toBe(2)
  expect([...recorder.broken]).toEqual([])
  const [{ atMs, forMs, kind, target }] = faults as [PlannedFault]
  const words = (line: string): string => line.trim().replaceAll(/ +/g, ' ')
  expect(words(lines[0]!)).toBe(
    `${(atMs / 1000).toFixed(3)} s ${target} ${kind} for ${(forMs / 1000).toFixed(3)} s: is broken`,
  )
  expect(lines.map(words)).toContain(`${(overAt(faults[0]!) / 1000).toFixed(3)} s ${target} ${kind} is over`)
  expect(lines).toHaveLength(2 * faults.length)
})

const planned = (kind: string, target: string, atMs: number, forMs: number): PlannedFault => {
  return { kind, part: 'process', target, strength: 0.5, atMs, forMs }
}

const planOf = (...faults: PlannedFault[]): FaultPlan => ({ atOnce: 2, faults })

test('what takes longer to heal than was planned holds up what breaks the same, and what would be too much at once', async () => {
  const time = new SimulatedTime()
  const events: string[] = []
  const slow: FaultKind = {
    name: 'kill',
    part: 'process',
    targets: BROKERS,
    begin: (target) => {
      events.push(`${time.now()} ${target}`)
      return { what: 'is killed', heal: () => time.sleep(500, new AbortController().signal) }
    },
  }
  const plan = planOf(
    planned('kill', 'one', 100, 100),
    planned('kill', 'one', 250, 10),
    planned('kill', 'two', 260, 10),
    planned('kill', 'three', 300, 10),
  )
  await time.until(runFaults(plan, [slow], { time, tell: () => {} }))
  expect(events).toEqual(['100 one', '260 two', '700 one', '770 three'])
})

test('a run that is ended early heals what is broken and begins nothing else', async () => {
  const time = new SimulatedTime()
  const recorder = new Recorder(time)
  const enough = new AbortController()
  const plan = planOf(planned('kill', 'broker-1', 100, 10_000), planned('pause', 'broker-2', 5000, 10))
  const run = runFaults(plan, recorder.kinds, { time, tell: () => {}, enough: enough.signal })
  void time.sleep(1000, new AbortController().signal).then(() => enough.abort())
  await time.until(run)
  expect(time.now()).toBe(1000)
  expect(recorder.events).toEqual(['100 kill broker-1'])
  expect([...recorder.broken]).toEqual([])
})

test('a fault that cannot be done ends the run, says so, and leaves nothing broken', async () => {
  const time = new SimulatedTime()
  const recorder = new Recorder(time)
  const lines: string[] = []
  const failing: FaultKind = {
    name: 'pause',
    part: 'process',
    targets: BROKERS,
    begin: () => Promise.reject(new Error('it is not allowed')),
  }
  const plan = planOf(
    planned('kill', 'broker-1', 100, 10_000),
    planned('pause', 'broker-2', 500, 10),
    planned('kill', 'broker-3', 600, 10),
  )
  const kinds = [recorder.kinds[0]!, failing]
  const run = runFaults(plan, kinds, { time, tell: (line) => lines.push(line) })
  await expect(time.until(run)).rejects.toThrow('it is not allowed')
  expect(recorder.events).toEqual(['100 kill broker-1'])
  expect([...recorder.broken]).toEqual([])
  expect(lines.join('\n')).toMatch(/0\.500 s +broker-2 +pause +could not be done: Error: it is not allowed/)
})

test('where there is nothing to break, the log says so', async () => {
  const time = new SimulatedTime()
  const lines: string[] = []
  const nothing: FaultKind = { name: 'pause', part: 'process', targets: BROKERS, begin: () => null }
  const run = runFaults(planOf(planned('pause', 'broker-2', 500, 10)), [nothing], {
    time,
    tell: (line) => lines.push(line),
  })
  await time.until(run)
  expect(lines).toEqual(['    0.500 s  broker-2  pause  is left out: there is nothing to break'])
})
