import { openLog, VarveError, type Log } from '@varve/log'
import { onInterrupt } from './interrupt.js'
import { existingLog } from './log-directory.js'
import { Output } from './output.js'
import { printRecord, type RecordTextOptions } from './record-text.js'
import { Tally } from './tally.js'
import type { LogFrom } from './values.js'

export interface LogReadOptions extends RecordTextOptions {
  from: LogFrom
  count?: number
  quiet?: boolean
}

/** Somebody else has it, or it cannot be written: it is read as it is. */
const AS_IT_IS = ['VARVE_LOCKED', 'VARVE_NOT_WRITABLE']

async function openToRead(dir: string): Promise<Log> {
  await existingLog(dir)
  try {
    return await openLog(dir)
  } catch (error) {
    if (!VarveError.is(error) || !AS_IT_IS.includes(error.code)) throw error
    return openLog(dir, { readOnly: true })
  }
}

async function printRecords(
  log: Log,
  options: LogReadOptions,
  output: Output,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const { from, count = Infinity } = options
  for await (const record of log.read({ from, signal })) {
    printRecord(record, options, output)
    tally.bytes += record.value?.length ?? 0
    if (++tally.records >= count) return
    if (output.isFull) await output.flush()
  }
}

export async function readLog(dir: string, options: LogReadOptions): Promise<void> {
  const { signal: interrupted, exitCode } = onInterrupt()
  const output = new Output()
  const signal = AbortSignal.any([interrupted, output.gone])
  const tally = new Tally()
  const log = await openToRead(dir)
  if (log.recovered !== null && log.recovered.cutBytes > 0) {
    const { cutBytes, endOffset } = log.recovered
    process.stderr.write(`${dir}: recovery cut ${cutBytes} bytes, the log now ends at offset ${endOffset}\n`)
  }
  // Where records go to the terminal, a line about them would get in between.
  if (!options.quiet && !process.stdout.isTTY) tally.show('read')
  try {
    await printRecords(log, options, output, tally, signal)
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    tally.hide()
    await output.flush()
    await log.close()
  }
  if (!options.quiet && process.stderr.isTTY) {
    if (tally.records === 0) process.stderr.write(`There is nothing to read in ${dir} from there on.\n`)
    else if (!process.stdout.isTTY) process.stderr.write(`Read from ${dir}: ${tally.summary()}\n`)
  }
  process.exitCode = exitCode()
}
