import { spawnSync } from 'node:child_process'

/**
 * Runs one of the system's commands to its end and returns what it printed. They take milliseconds, and what they made can be
 * taken away while the process exits.
 *
 * @throws what it said, if it does not end with 0
 */
export function command(name: string, args: readonly string[], input = ''): string {
  const { status, stdout, stderr, error } = spawnSync(name, args, { input, encoding: 'utf8' })
  if (error !== undefined) throw new Error(`${name} cannot be run: ${error.message}`, { cause: error })
  if (status !== 0) {
    const given = input === '' ? '' : `, given\n${input}`
    throw new Error(`${name} ${args.join(' ')} ended with ${status}: ${(stderr || stdout).trim()}${given}`)
  }
  return stdout
}
