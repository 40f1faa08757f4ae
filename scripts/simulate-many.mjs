/** Many simulated clusters, one thread of them for each processor. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { Progress } from './progress.mjs'
import { renderSimulation } from './simulation.mjs'

/** Seeds that a thread gets at once: enough that messages cost nothing, few enough that it ends soon. */
const BLOCK = 10
/** Violations whose seeds are shortened, each of another invariant. */
const SHORTENED = 3

/** @returns {Promise<number>} the exit code */
export async function simulateMany({
  first,
  last,
  changes,
  stopAfter = Infinity,
  mutation,
  simulation,
  paint,
  print,
  stderr,
  json,
}) {
  const code = await renderSimulation(mutation)
  const totals = new Totals()
  const count = last - first + 1
  const threads = Math.min(availableParallelism(), Math.ceil(count / BLOCK))
  const started = performance.now()

  let next = first
  const workers = []
  let isInterrupted = false
  const interrupt = () => {
    isInterrupted = true
    for (const worker of workers) void worker.terminate()
  }
  process.once('SIGINT', interrupt)
  const progress = new Progress(`Simulating ${number(count)} seeds on ${threads} threads`, '', stderr)

  const runWorker = () =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('simulation-worker.mjs', import.meta.url), {
        workerData: { code, changes },
      })
      workers.push(worker)
      const send = () => {
        if (next > last || totals.violations.length >= stopAfter) {
          void worker.terminate()
          return
        }
        const block = { first: next, last: Math.min(last, next + BLOCK - 1) }
        next = block.last + 1
        worker.postMessage(block)
      }
      worker.on('message', ({ results, ms }) => {
        totals.add(results, ms)
        progress.detail = totals.progress(count, performance.now() - started)
        send()
      })
      worker.once('error', reject)
      worker.once('exit', resolve)
      send()
    })
  try {
    await Promise.all(Array.from({ length: threads }, runWorker))
    progress.done(`${number(totals.seeds)} of ${number(count)} seeds`)
  } finally {
    process.off('SIGINT', interrupt)
    for (const worker of workers) void worker.terminate()
    progress.fail()
  }

  const seconds = (performance.now() - started) / 1000
  const violations = totals.violations
    .sort((a, b) => a.seed - b.seed)
    .map((violation) => ({ ...violation, command: simulation.commandOf(violation.seed, changes) }))
  if (json)
    print(JSON.stringify({ first, last, seconds, threads, isInterrupted, ...totals.summary(), violations }))
  else {
    print(summaryLines(totals.summary(), seconds, threads, paint))
    print(['', ...violationLines(violations, changes, simulation, isInterrupted, paint)])
  }
  if (violations.length > 0) return 1
  return isInterrupted ? 130 : 0
}

class Totals {
  seeds = 0
  events = 0
  virtualMs = 0
  acknowledged = 0
  committed = 0
  longestRecoveryMs = 0
  faults = {}
  operations = {}
  violations = []
  #ms = 0

  add(results, ms) {
    this.#ms += ms
    for (const {
      violation,
      events,
      virtualMs,
      recoveryMs,
      acknowledged,
      committed,
      faults,
      operations,
    } of results) {
      this.seeds++
      this.events += events
      this.virtualMs += virtualMs
      this.acknowledged += acknowledged
      this.committed += committed
      this.longestRecoveryMs = Math.max(this.longestRecoveryMs, recoveryMs ?? 0)
      for (const [kind, times] of Object.entries(faults)) this.faults[kind] = (this.faults[kind] ?? 0) + times
      for (const [kind, times] of Object.entries(operations))
        this.operations[kind] = (this.operations[kind] ?? 0) + times
      if (violation !== null) this.violations.push(violation)
    }
  }

  progress(count, ms) {
    const left = Math.round(((count - this.seeds) * ms) / this.seeds / 1000)
    return `${number(this.seeds)} of ${number(count)} seeds, ${this.violations.length} violations, ${left} s to go`
  }

  summary() {
    const { seeds, events, virtualMs, acknowledged, committed, longestRecoveryMs, faults, operations } = this
    const msPerSeed = seeds === 0 ? 0 : this.#ms / seeds
    return {
      seeds,
      msPerSeed,
      events,
      virtualMs,
      acknowledged,
      committed,
      longestRecoveryMs,
      faults,
      operations,
    }
  }
}

const number = (value) => value.toLocaleString('en-US')

/** How often each kind was done, most often first. */
function timesOf(kinds) {
  const sorted = Object.entries(kinds).sort(([, a], [, b]) => b - a)
  return sorted.length === 0 ? 'none' : sorted.map(([kind, times]) => `${kind} ${number(times)}`).join(', ')
}

function summaryLines(totals, seconds, threads, paint) {
  const rows = [
    [
      'time',
      `${seconds.toFixed(1)} s on ${threads} threads, ${totals.msPerSeed.toFixed(1)} ms a seed on one`,
    ],
    ['virtual time', `${(totals.virtualMs / 3_600_000).toFixed(2)} h, ${number(totals.events)} events`],
    ['acknowledged', `${number(totals.acknowledged)} batches`],
    ['committed', `${number(totals.committed)} records in the partitions that there were in the end`],
    ['recovery', `at most ${(totals.longestRecoveryMs / 1000).toFixed(1)} s after the last fault`],
    ['faults', timesOf(totals.faults)],
    ['operations', timesOf(totals.operations)],
  ]
  const title = paint('title', `${number(totals.seeds)} seeds`)
  return [title, ...rows.map(([name, text]) => `  ${name.padEnd(13)} ${text}`)]
}

function violationLines(violations, changes, simulation, isInterrupted, paint) {
  if (violations.length === 0) return [paint('title', 'No violations')]
  const lines = [
    paint('violation', violations.length === 1 ? '1 violation' : `${number(violations.length)} violations`),
  ]
  for (const { message, command } of violations) lines.push(`  ${command}`, `    ${message}`)
  if (isInterrupted) return lines
  const invariants = new Map(violations.toReversed().map((violation) => [violation.invariant, violation]))
  for (const { seed } of [...invariants.values()].toReversed().slice(0, SHORTENED))
    lines.push('', ...simulation.failureLines(seed, changes, paint))
  return lines
}
