/** What the programs that run a command for each step have in common: none of their processes outlives them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'

const alive = new Set()
const directories = []
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
process.once('SIGTERM', () => process.exit(1))

/** A directory that goes with this process. */
export function temporaryDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'varve-client-'))
  directories.push(directory)
  return directory
}

/** Starts a command that reads `input`, if there is any. */
export function start(command, args, input) {
  const child = spawn(command, args, { stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] })
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  // It may end without reading all: how it ended and what it said tell whether it should have.
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  return child
}

/** Runs a command to its end: what it said, and how it ended. */
export async function ended(command, args, input) {
  const child = start(command, args, input)
  const [output, errors, [code]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { output, errors, code }
}
