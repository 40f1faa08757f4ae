import { VarveError } from '@varve/records'
import { messageOf } from './broker-log.js'

/** What to do about what the system said. */
const remedies: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'free space on its disk'],
  ['EDQUOT', 'free space in its quota'],
  ['EMFILE', 'raise the limit on open files (ulimit -n)'],
  ['ENFILE', "raise the system's limit on open files (fs.file-max)"],
  ['EROFS', 'make its file system writable'],
  ['EACCES', 'make it writable for this user'],
  ['EPERM', 'make it writable for this user'],
  ['EIO', 'check its disk'],
])

/** A limit of the process is raised for the next process only. */
const limits: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE'])

/** What says that a disk is gone, mounted no more, or that its file system has given up. What is full or not allowed is no failure. */
const failures: ReadonlySet<string> = new Set(['EIO', 'EROFS', 'ENXIO', 'ENODEV', 'ENOENT'])

/** Whether an error is what a disk that has failed would answer; a single bad sector answers the same. */
export function diskHasFailed(error: unknown): boolean {
  return failures.has(errnoOf(error) ?? '')
}

/** Whether the storage is at fault, not the request and not the broker. */
export function isStorageFailure(error: unknown): boolean {
  if (!VarveError.is(error)) return remedies.has(errnoOf(error) ?? '')
  const { code } = error
  if (code.startsWith('VARVE_LOG_') || code.startsWith('VARVE_PARTITION_')) return true
  return code === 'VARVE_LOW_DISK' || code === 'VARVE_IO' || code === 'VARVE_NOT_WRITABLE'
}

/**
 * A storage failure in words for whoever operates the broker: what happened to which file, and what to do. The engine
 * speaks to whoever opens logs, which in a broker is nobody but the broker itself.
 *
 * @param next what to do when the cause is out of the way, unless nothing but a restart helps
 */
export function storageFailureText(error: unknown, next = 'restart the broker'): string {
  const message = messageOf(error)
  if (!isStorageFailure(error)) return message
  const errno = errnoOf(error)
  const remedy = remedies.get(errno ?? '')
  const failed = VarveError.is(error) && error.code === 'VARVE_LOG_FAILED'
  const what = message
    .replace(/^the log .*? takes no more writes: /, '')
    .replace(/(; open it again( to recover)?)?\.?$/, '')
  if (remedy === undefined && !failed) return what
  const last = failed || limits.has(errno ?? '') ? 'restart the broker' : next
  return `${what}. To recover, ${remedy === undefined ? last : `${remedy}, then ${last}`}`
}

/** The system's name for what went wrong, such as `ENOSPC`, of an error or of what caused it. */
function errnoOf(error: unknown): string | null {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException
    if (code !== undefined && /^E[A-Z0-9]+$/.test(code)) return code
  }
  return null
}
