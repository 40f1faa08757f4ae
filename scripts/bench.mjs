/** `npm run bench`: installs the peers, measures beside them, and writes bench/results and docs/benchmarks.md. */
import { parseArgs } from 'node:util'
import { Failure } from './failure.mjs'
import { installPeers } from './peers.mjs'

const USAGE =
  'usage: npm run bench -- [--full] [--quick] [NAME…]; --full measures every cell, --quick only looks whether each works'

/** @returns {Promise<number>} the exit code */
export async function bench(args) {
  let parsed
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: { full: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
    })
  } catch (error) {
    throw new Failure(`${error.message}\n${USAGE}`, { exitCode: 2 })
  }
  const { measureAll } = await import('../bench/run.mjs')
  return measureAll({ ...parsed.values, names: parsed.positionals, missing: await installPeers() })
}
