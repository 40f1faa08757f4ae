/** Runs vitest and counts what came of it. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { cache, root } from './paths.mjs'

/**
 * @param {readonly string[]} args of `vitest run`
 * @param {Record<string, string>} [env] added to this process's environment
 * @returns {Promise<{ passed: number, failed: number, skipped: { name: string, reason: string }[] }>}
 */
export async function vitest(args, env) {
  const summary = join(cache, `vitest-${process.pid}.json`)
  mkdirSync(cache, { recursive: true })
  try {
    const { code } = await run(
      process.execPath,
      [
        join('node_modules', 'vitest', 'vitest.mjs'),
        'run',
        '--reporter=default',
        '--reporter=./scripts/vitest-summary.mjs',
        ...args,
      ],
      { cwd: root, env: { ...env, VARVE_TEST_SUMMARY: summary } },
    )
    let result = { passed: 0, failed: 0, skipped: [] }
    try {
      result = JSON.parse(readFileSync(summary, 'utf8'))
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
    }
    // An unhandled rejection, or vitest itself failing, fails the run without failing a test.
    if (code !== 0 && result.failed === 0) result.failed = 1
    return result
  } finally {
    rmSync(summary, { force: true })
  }
}

/** Says of each skipped test why, in a line that begins the same everywhere. */
export function tellSkipped(skipped) {
  for (const { name, reason } of skipped) console.log(`skipped: ${name}${reason ? `: ${reason}` : ''}`)
}
