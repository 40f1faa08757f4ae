import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'
import { timeout } from './long-run.js'

/** The root of the work tree. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** The command line of the work tree. */
export const varve = join(root, 'packages', 'varve', 'bin', 'varve.mjs')

/** Where `npm run setup:conformance` puts what it installs. */
export const cache = join(root, 'node_modules', '.cache', 'varve')

const directories: string[] = []

// The thousands of files of a long run take a busy disk longer than a hook has.
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
}, timeout)

/** A folder that is removed at the end of the test file. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'varve-test-'))
  directories.push(directory)
  return directory
}
