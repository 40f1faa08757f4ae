import { readFileSync } from 'node:fs'
import { startChild } from '../support/children.js'

/** Calls that reach a file by its path or its descriptor. */
const FILE_CALLS = '%file,%desc'
/**
 * `execve` is ours. `close` decides nothing: the kernel lets go of the descriptor whatever it answers, and whatever was
 * promised was flushed before.
 */
const LEFT_ALONE = ['execve', 'close']

export interface Traced {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly trace: string
}

/** Runs a command to its end under strace, with all its threads. */
async function run(
  trace: string,
  flags: readonly string[],
  [command, args]: [string, string[]],
  env: NodeJS.ProcessEnv,
): Promise<Traced> {
  // Only the calls that are traced stop the process, which is then hardly slower than without.
  const own = ['-f', '--seccomp-bpf', '-q', '-o', trace]
  const child = startChild('strace', [...own, ...flags, '--', command, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.once('close', (...how) => resolve(how)),
  )
  return { code, signal, stdout, stderr, trace: readFileSync(trace, 'utf8') }
}

/** The calls of a command that reach a directory: how often each thread makes each, and which files it reaches. */
export interface Survey {
  /** By name, the most that one thread makes: strace counts the calls of each thread by themselves. */
  readonly calls: Map<string, number>
  readonly paths: string[]
}

export async function survey(
  dir: string,
  trace: string,
  command: [string, string[]],
  env: NodeJS.ProcessEnv,
): Promise<Survey> {
  const traced = await run(trace, ['-y', '-e', `trace=${FILE_CALLS}`], command, env)
  const counts = new Map<string, Map<string, number>>()
  const paths = new Set<string>()
  const inDir = new RegExp(`[<"](${dir.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?:/[^">]*)?)[">]`, 'g')
  for (const line of traced.trace.split('\n')) {
    const [, thread, name] = /^(\d+) +(\w+)\(/.exec(line) ?? []
    if (name === undefined || LEFT_ALONE.includes(name)) continue
    const reached = [...line.matchAll(inDir)].map((match) => match[1]!)
    if (reached.length === 0) continue
    for (const path of reached) paths.add(path)
    const byThread = counts.get(name) ?? new Map<string, number>()
    counts.set(name, byThread.set(thread!, (byThread.get(thread!) ?? 0) + 1))
  }
  const calls = new Map([...counts].map(([name, byThread]) => [name, Math.max(...byThread.values())]))
  return { calls, paths: [...paths] }
}

/** Runs a command in which one kind of call to the given files fails; the trace shows `alsoTraced` as well. */
export function inject(
  paths: readonly string[],
  trace: string,
  { call, fault, alsoTraced = [] }: { call: string; fault: string; alsoTraced?: readonly string[] },
  command: [string, string[]],
  env: NodeJS.ProcessEnv,
): Promise<Traced> {
  const files = paths.flatMap((path) => ['-P', path])
  const calls = [...new Set([call, ...alsoTraced])].join()
  return run(trace, ['-y', ...files, '-e', `trace=${calls}`, '-e', `inject=${call}:${fault}`], command, env)
}
