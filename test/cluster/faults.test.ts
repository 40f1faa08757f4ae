/**
 * Replication that has been proven by a simulator runs on sockets, disks, clocks and a store that are none of its own. So three
 * brokers and their etcd, each on a machine of its own, serve three different clients while they are killed, paused and cut off,
 * their disks fill up and fail and their clocks jump, as a seed says. Afterwards the cluster must become whole by itself, nothing that
 * was acknowledged may be lost or there twice, and the replicas must be equal, byte for byte.
 *
 * In `npm test` the leader alone is killed, without machines. `npm run prove:cluster` breaks everything for an hour, in rounds with a
 * seed each; `-- --seconds 120` for two minutes, and `--seed` has one of them again.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'
import { etcdMissing } from '../support/etcd.js'
import { isLongRun, progress, seed, timeout } from '../support/long-run.js'
import { cache } from '../support/tree.js'
import type { FaultPlan } from './machines/fault-plan.js'
import { machinesMissing } from './machines/missing.js'
import { clientPrograms, varve } from './rounds/client-programs.js'
import { round, type RoundOptions } from './rounds/round.js'

const SECONDS = Number(process.env['VARVE_SECONDS'] ?? 3600)
const ROUND_SECONDS = 120
const rounds = Math.max(1, Math.round(SECONDS / ROUND_SECONDS))
const secondsEach = Math.round(SECONDS / rounds)

/** Temporary folders do not outlive a run of the tests. */
const kept = join(cache, 'rounds')
mkdirSync(kept, { recursive: true })

async function play(options: Omit<RoundOptions, 'folder'>): Promise<void> {
  const folder = mkdtempSync(join(kept, `${options.seed}-`))
  const { findings, missing, text } = await round({ ...options, folder })
  if (findings.length > 0) {
    throw new Error(
      [
        `seed ${options.seed}: what follows must not be`,
        ...findings,
        '',
        text,
        '',
        `logs, histories and data are in ${folder}`,
        `once more: npm run prove:cluster -- --seconds ${options.seconds} --seed ${options.seed}`,
      ].join('\n'),
    )
  }
  if (isLongRun) console.log([...missing.map((line) => `without ${line}`), text].join('\n'))
  rmSync(folder, { recursive: true })
}

async function killALeader(): Promise<void> {
  const killed = {
    kind: 'kill',
    part: 'process',
    target: 'broker-1',
    strength: 0,
    atMs: 1000,
    forMs: 1000,
  } as const
  const plan: FaultPlan = { atOnce: 1, faults: [killed] }
  await play({ seed, seconds: 2, clients: [varve], onLoopback: true, plan })
}

async function breakEverything(): Promise<void> {
  if (machinesMissing() !== null) console.log(`skipped: the faults that need machines: ${machinesMissing()}`)
  for (const { missing, name } of clientPrograms)
    if (missing !== null) console.log(`without ${name}: ${missing}`)
  const clients = clientPrograms.filter(({ missing }) => missing === null)
  for (let n = 0; n < rounds; n++) {
    progress(n, rounds, `rounds, seed ${seed + n}`)
    await play({ seed: seed + n, seconds: secondsEach, clients })
  }
}

test.skipIf(etcdMissing !== null)(
  `a cluster loses nothing that was acknowledged and becomes whole again, whatever breaks${etcdMissing === null ? '' : ` (${etcdMissing})`}`,
  { timeout },
  isLongRun ? breakEverything : killALeader,
)
