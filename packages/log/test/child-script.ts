import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const alive = new Set<ChildProcess>()

// Whatever a failed test leaves behind ends with its file.
afterAll(async () => {
  const left = [...alive]
  for (const child of left) child.kill('SIGKILL')
  await Promise.all(left.map((child) => once(child, 'exit')))
})

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface ChildScript {
  readonly process: ChildProcess
  /** The lines it writes, as they come. */
  readonly lines: AsyncIterableIterator<string>
  readonly ended: Promise<Ended>
}

/** Starts Node on an ES module (or, with `commonJs`, a script) that imports the built package by its name. */
export function startScript(
  code: string,
  args: readonly string[] = [],
  { env = {}, commonJs = false, flags = [] as readonly string[] } = {},
): ChildScript {
  const type = commonJs ? 'commonjs' : 'module'
  const child = spawn(process.execPath, [...flags, `--input-type=${type}`, '-e', code, '--', ...args], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  // It may end without reading what it is sent: how it ended and what it wrote tell whether it should have.
  child.stdin.on('error', () => {})
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr }) as Ended)
  return { process: child, lines: createInterface(child.stdout)[Symbol.asyncIterator](), ended }
}

/** Runs one to its end. */
export function runScript(...args: Parameters<typeof startScript>): Promise<Ended> {
  const script = startScript(...args)
  script.process.stdin!.end()
  return script.ended
}
