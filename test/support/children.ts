import { type ChildProcess, spawn, spawnSync, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { afterAll } from 'vitest'

const alive = new Set<ChildProcess>()

// Whatever a test forgets, or cannot end because it failed, ends with its file.
afterAll(async () => {
  for (const child of alive) child.kill('SIGKILL')
  await Promise.all([...alive].map((child) => once(child, 'exit')))
})
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

/** Starts a process that is killed at the end of the test file at the latest. */
export function startChild(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  child.once('error', () => alive.delete(child))
  // It may end without reading what it was sent: how it ended and what it said tell whether it should have.
  child.stdin?.on('error', () => {})
  return child
}

export interface Finished {
  /** The exit code, or null after a signal. */
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs a process to its end, feeding it `input`, if there is any. */
export async function runChild(
  command: string,
  args: readonly string[],
  { input, ...options }: SpawnOptions & { input?: string | Buffer } = {},
): Promise<Finished> {
  const child = startChild(command, args, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...options,
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout!.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin?.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }
}

/** As {@link runChild}, but fails with what the process said unless it ends with 0. */
export async function mustRun(
  command: string,
  args: readonly string[],
  options: SpawnOptions & { input?: string | Buffer } = {},
): Promise<Finished> {
  const finished = await runChild(command, args, options)
  if (finished.code !== 0) {
    throw new Error(
      `${command} ${args.join(' ')} ended with ${finished.code}: ${finished.stderr || finished.stdout.toString()}`,
    )
  }
  return finished
}

/** Whether a command exists and answers with exit code 0. */
export function answers(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
