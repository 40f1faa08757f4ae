import { readFileSync } from 'node:fs'

/** What the kernel says of a process. */
export interface ProcessStat {
  /** One letter: `T` for one that is stopped. */
  readonly state: string
  /** When it began, in the kernel's ticks. */
  readonly began: number
}

/** Null if there is no such process. */
export function processStat(pid: number | 'self'): ProcessStat | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program comes second, in parentheses, and may have any.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0]!, began: Number(fields[19]) }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}
