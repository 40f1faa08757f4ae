import { basename, dirname, join } from 'node:path'
import { openLogReadOnly } from '@varve/native'
import { forgetLog, listenToLog, numberLog } from './changed-logs.js'
import { completeOptions, nativeConfig } from './checked-options.js'
import { META_PROPERTIES, openEngineDirectory } from './data-directory.js'
import { EngineLog } from './engine-log.js'
import { exists, realPath } from './existing-path.js'
import { unwrap } from './failure.js'
import type { Log } from './log.js'
import type { LogOptions, OpenLogOptions } from './options.js'
import { refusePartitions } from './partition-directories.js'
import { checkDirectory, invalidOption } from './whole-number.js'

/**
 * Opens or creates the log in `dir`, recovering it after an unclean stop. Where `dir` lies in a data directory (one with
 * a `meta.properties`, as a broker has) that directory is locked as a whole while the log is open. With `readOnly` nothing is
 * created, recovered or locked.
 *
 * Worker threads of a process may open the same log, with the same durability, and append to it side by side. It closes
 * with the last of them; its other options are those it was opened with first, or configured with since.
 *
 * @throws VarveError `VARVE_LOCKED` when another process has the directory or this thread has the log, `VARVE_NOT_WRITABLE`,
 * `VARVE_INVALID_OPTION`, `VARVE_META_MISMATCH`, `VARVE_LOG_CORRUPT` when durable segments are missing, `VARVE_IO`, with
 * `readOnly` also for a directory that holds no log.
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
export async function openLog(dir: string, options: OpenLogOptions = {}): Promise<Log> {
  checkDirectory(dir)
  const { readOnly = false, ...logOptions } = options
  completeOptions(logOptions)
  if (typeof readOnly !== 'boolean') throw invalidOption('readOnly', readOnly, 'true or false')
  // A link to a partition must lead to the lock of the directory that the partition lies in.
  const path = realPath(dir)
  const parent = dirname(path)
  const isPartition =
    parent !== path && exists(join(parent, META_PROPERTIES)) && !exists(join(path, META_PROPERTIES))
  const [dataDirectory, name] = isPartition ? [parent, basename(path)] : [path, '']
  if (readOnly) return openToRead(dataDirectory, name, path, logOptions)
  if (!isPartition) await refusePartitions(path)
  const directory = await openEngineDirectory(dataDirectory, {})
  try {
    return await directory.open(name, logOptions, () => directory.release())
  } catch (error) {
    await directory.release()
    throw error
  }
}

async function openToRead(
  dataDirectory: string,
  name: string,
  dir: string,
  options: LogOptions,
): Promise<Log> {
  const complete = completeOptions(options)
  const { changedLogs, number } = numberLog()
  const config = nativeConfig(complete)
  const native = unwrap(await openLogReadOnly(dataDirectory, name, config, changedLogs, number))
  const log = new EngineLog(native, dir, complete, async () => forgetLog(number))
  listenToLog(number, log.changed)
  return log
}
