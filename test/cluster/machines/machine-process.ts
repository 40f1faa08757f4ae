import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { processStat } from './process-stat.js'

/** How a process ended: one of the two is null. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ProcessOptions {
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly cwd?: string | undefined
  readonly name: string
  readonly hear?: ((text: string) => void) | undefined
}

/** For what is asked of a machine that only fails to answer if it is broken. */
const PATIENCE_MS = 30_000

/** Stopped, by a signal or under a tracer, or at its end. */
const STANDS = /[TtZX]/

/** What ends with this process, however that ends: the kernel kills it. */
const bound = (command: string, args: readonly string[]): [string, string[]] => [
  'setpriv',
  ['--pdeathsig', 'KILL', '--', command, ...args],
]

/** A process on a machine. What it writes is kept. */
export class MachineProcess {
  readonly pid: number
  readonly exited: Promise<Ended>
  readonly #child: ChildProcess
  readonly #command: string
  #ended: Ended | null = null
  #stdout = ''
  #stderr = ''
  readonly #listeners = new Set<() => void>()

  private constructor(child: ChildProcess, command: string, hear: (text: string) => void) {
    this.#child = child
    this.#command = command
    this.pid = child.pid!
    this.exited = new Promise((resolve) => {
      // Not 'exit': what it said last counts.
      child.once('close', (code, signal) => {
        this.#ended = { code, signal }
        resolve(this.#ended)
        this.#tell()
      })
    })
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      this.#tell()
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
      hear(text)
      this.#tell()
    })
  }

  /**
   * Starts a command. It ends with this process at the latest.
   *
   * @param name how it is called in errors
   * @param hear is given what it writes to standard error, when it does
   */
  static async start(
    [command, args]: readonly [string, readonly string[]],
    { env, cwd, name, hear = () => {} }: ProcessOptions,
  ): Promise<MachineProcess> {
    const child = spawn(...bound(command, args), { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    // Rejects if there is no such command.
    await once(child, 'spawn')
    return new MachineProcess(child, name, hear)
  }

  get isRunning(): boolean {
    return this.#ended === null
  }

  /** What it has written to standard output. */
  get stdout(): string {
    return this.#stdout
  }

  /** What it has written to standard error. */
  get stderr(): string {
    return this.#stderr
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }

  /**
   * Waits until its output, of either kind, has a match.
   *
   * @throws what it said instead, if it ends before or takes too long
   */
  said(pattern: RegExp, withinMs = PATIENCE_MS): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        this.#listeners.delete(look)
        act()
      }
      const fail = (how: string): void =>
        settle(() => reject(new Error(`${this.#command} ${how}: ${this.#all}`)))
      const look = (): void => {
        const match = pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr)
        if (match !== null) settle(() => resolve(match))
        else if (this.#ended !== null)
          fail(`ended with ${this.#ended.code ?? this.#ended.signal} before it said ${pattern}`)
      }
      const timer = setTimeout(() => fail(`did not say ${pattern} within ${withinMs} ms`), withinMs)
      this.#listeners.add(look)
      look()
    })
  }

  get #all(): string {
    return [this.#stdout, this.#stderr].filter(Boolean).join('\n') || 'it said nothing'
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends it on the spot. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.exited
  }

  /** Asks it to end. Resolves with its exit code, or null if a signal ended it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.signal(signal)
    return (await this.exited).code
  }

  /** Stops all of its threads where they are; resolves when they stand. */
  async pause(): Promise<void> {
    this.signal('SIGSTOP')
    for (
      let stat = processStat(this.pid);
      stat !== null && !STANDS.test(stat.state);
      stat = processStat(this.pid)
    )
      await sleep(1)
  }

  resume(): void {
    this.signal('SIGCONT')
  }
}
