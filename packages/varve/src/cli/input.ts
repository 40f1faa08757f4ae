import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { Failure } from './failure.js'

/** Where a command's lines come from: a file, or standard input for none and for `-`. */
export function input(file: string | undefined): Readable {
  return file === undefined || file === '-' ? process.stdin : createReadStream(file)
}

/** What the user can do about a file that cannot be read; any other error as it is. */
export function inputFailure(error: unknown, file: string | undefined): unknown {
  const code = (error as { code?: unknown } | null)?.code
  if (file === undefined || (error as { syscall?: unknown } | null)?.syscall === undefined) return error
  if (code === 'ENOENT') return new Failure(`there is no file ${file}. Check --file`, { cause: error })
  if (code === 'EISDIR') return new Failure(`${file} is a directory; --file takes a file`, { cause: error })
  return new Failure(`${file} cannot be read: ${(error as Error).message}`, { cause: error })
}
