/** What strace does to the system calls of a process that runs: it makes them late, or lets them fail, until it lets go of it. */
import { MachineProcess } from './machine-process.js'

/** The calls that make something durable. */
export const FLUSHES = ['fsync', 'fdatasync'] as const
/** The calls that write to files; sockets have others. */
export const WRITES = ['pwrite64', 'pwritev', 'pwritev2'] as const

export interface Which {
  /** Names of system calls. */
  readonly calls?: readonly string[]
  /** Only those that reach these files or folders themselves, not what is in a folder. */
  readonly paths?: readonly string[]
}

/** Lets go of the process, which goes on as if nothing had been; there is nothing to do if it has ended meanwhile. */
export type LetGo = () => Promise<void>

/** A disk that is slow: what a call has done is answered late. Each thread waits for itself. */
export function slowCalls(
  process: MachineProcess,
  delayMs: number,
  { calls = [...FLUSHES, ...WRITES], paths }: Which = {},
): Promise<LetGo> {
  return trace(process, `delay_exit=${Math.round(delayMs * 1000)}`, { calls, paths })
}

/** A disk that fails: the calls do nothing, and answer `error`. */
export function failCalls(
  process: MachineProcess,
  error: string,
  { calls = FLUSHES, paths }: Which = {},
): Promise<LetGo> {
  return trace(process, `error=${error}`, { calls, paths })
}

const traced = new WeakSet<MachineProcess>()

async function trace(
  process: MachineProcess,
  how: string,
  { calls, paths = [] }: Which & { calls: readonly string[] },
): Promise<LetGo> {
  if (traced.has(process))
    throw new Error(`process ${process.pid} has a tracer already, and can have only one`)
  traced.add(process)
  try {
    const names = calls.join()
    const which = [
      '-e',
      `trace=${names}`,
      '-e',
      `inject=${names}:${how}`,
      ...paths.flatMap((path) => ['-P', path]),
    ]
    const strace = await MachineProcess.start(
      ['strace', ['-f', '-o', '/dev/null', ...which, '-p', String(process.pid)]],
      { name: 'strace' },
    )
    await strace.said(/attached/)
    return async () => {
      // It ends by the signal that asked it to, once all threads are free.
      if (strace.isRunning) await strace.stop('SIGINT')
      traced.delete(process)
    }
  } catch (error) {
    traced.delete(process)
    throw error
  }
}
