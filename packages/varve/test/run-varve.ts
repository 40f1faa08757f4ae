import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const bin = fileURLToPath(new URL('../bin/varve.mjs', import.meta.url))

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line to its end, without a terminal, feeding it `input`, if there is any. */
export async function runVarve(args: readonly string[], input?: string): Promise<Ran> {
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill())
  // It may end without reading all of it.
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'exit') as Promise<[number]>,
  ])
  return { status, stdout, stderr }
}
