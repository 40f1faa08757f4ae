/** `npm run bench`: installs the peers, measures beside them, and writes bench/results and docs/benchmarks.md. */
import { parseArgs } from 'node:util'
import { Failure } from './failure.mjs'
import { installPeers } from './peers.mjs'

const USAGE =
  'usage: npm run bench -- [--full] [--quick] [NAME…]; --full measures every cell, --quick only looks whether each works'

/**
 * Looks at the arguments, before anything is built for them.
 *
 * @returns {(() => Promise<number>) | null} measures, and resolves with the exit code; null where only the usage was wanted
 */
export function bench(args) {
  let parsed
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        full: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw new Failure(`${error.message}\n${USAGE}`, { exitCode: 2 })
  }
  const { help, ...which } = parsed.values
  if (help) {
    console.log(USAGE)
    return null
  }
  return async () => {
    const { measureAll } = await import('../bench/run.mjs')
    return measureAll({ ...which, names: parsed.positionals, missing: await installPeers() })
  }
}
