/** A thread of `npm run simulate -- --seeds`: runs the seeds that it is sent, and answers with what they come to. */
import { parentPort, workerData } from 'node:worker_threads'
import { importSimulation } from './simulation.mjs'

const { simulate, changesOf } = await importSimulation(workerData.code)

parentPort.on('message', ({ first, last }) => {
  const started = performance.now()
  const results = []
  for (let seed = first; seed <= last; seed++) {
    const {
      violation,
      violated,
      events,
      virtualMs,
      recoveryMs,
      acknowledged,
      committed,
      faults,
      operations,
    } = simulate(seed, { scenario: changesOf(seed, workerData.changes) })
    results.push({
      seed,
      violation: violation && {
        seed,
        invariant: violation.invariant,
        message: violation.message,
        partition: violated,
      },
      events,
      virtualMs,
      recoveryMs,
      acknowledged,
      committed,
      faults,
      operations,
    })
  }
  parentPort.postMessage({ results, ms: performance.now() - started })
})
