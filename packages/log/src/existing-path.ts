import { realpathSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { VarveError } from '@varve/records'

/** What says that nothing is there, or that the engine, which has the words for it, will be refused as well. */
const ABSENT = ['ENOENT', 'ENOTDIR', 'EACCES']

function unlessAbsent(error: unknown, path: string): void {
  const { code, message } = error as NodeJS.ErrnoException
  if (ABSENT.includes(code!)) return
  throw new VarveError('VARVE_IO', `could not look up ${path}: ${message}`, { cause: error })
}

/** Whether something is there. A disk that does not answer has not said no. @throws VarveError `VARVE_IO` */
export function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    unlessAbsent(error, path)
    return false
  }
}

/** The absolute path, without symbolic links if it is there. @throws VarveError `VARVE_IO` */
export function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    unlessAbsent(error, path)
    return resolve(path)
  }
}
