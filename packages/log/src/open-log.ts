import { basename, dirname, join } from 'node:path'
import { META_PROPERTIES, openEngineDirectory } from './data-directory.js'
import { exists, realPath } from './existing-path.js'
import type { Log } from './log.js'
import { completeOptions, type LogOptions } from './options.js'
import { checkDirectory } from './whole-number.js'

/**
 * Opens or creates the log in `dir`, recovering it after an unclean stop. Where `dir` lies in a data directory (one with
 * a `meta.properties`, as a broker has) that directory is locked as a whole while the log is open.
 *
 * @throws VarveError `VARVE_LOCKED` when another process has the directory, `VARVE_NOT_WRITABLE`,
 * `VARVE_INVALID_OPTION`, `VARVE_META_MISMATCH`, `VARVE_LOG_CORRUPT` when durable segments are missing, `VARVE_IO`.
 * @example
 * ```ts
 * import { openLog } from '@varve/log'
 *
 * const log = await openLog('./data/orders')
 * const { baseOffset } = await log.append([{ key: 'k', value: 'v' }])
 * for await (const record of log.read({ from: baseOffset })) console.log(record.offset, String(record.value))
 * await log.close()
 * ```
 */
export async function openLog(dir: string, options: LogOptions = {}): Promise<Log> {
  checkDirectory(dir)
  completeOptions(options)
  // A link to a partition must lead to the lock of the directory that the partition lies in.
  const path = realPath(dir)
  const parent = dirname(path)
  const isPartition =
    parent !== path && exists(join(parent, META_PROPERTIES)) && !exists(join(path, META_PROPERTIES))
  const directory = await openEngineDirectory(isPartition ? parent : path, {})
  try {
    return await directory.open(isPartition ? basename(path) : '', options, () => directory.release())
  } catch (error) {
    await directory.release()
    throw error
  }
}
