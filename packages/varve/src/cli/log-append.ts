import { openLog, VarveError, type Durability, type Log, type RecordInput } from '@varve/log'
import { Failure } from './failure.js'
import { input, inputFailure } from './input.js'
import { onInterrupt } from './interrupt.js'
import { lineParser, type LineFormat } from './line-record.js'
import { linesOf } from './lines.js'
import { printJson } from './table.js'
import { recordsText, Tally } from './tally.js'

export interface LogAppendOptions {
  file?: string
  json?: boolean
  keySeparator?: Buffer
  durability: Durability
  quiet?: boolean
}

/** Lines up to this many bytes share a batch; a longer one has a batch of its own. */
const BATCH_BYTES = 64 * 1024

/** How much may wait for the disk before reading stops. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024

/** Appends lines in batches and counts what was acknowledged. */
class LineAppender {
  readonly acknowledged = new Tally()
  /** The first thing that went wrong, and the number of the first line that it concerns. */
  failure: { line: number; error: unknown } | undefined
  readonly #log: Log
  readonly #recordOf: ReturnType<typeof lineParser>
  #lines = 0

  constructor(log: Log, format: LineFormat) {
    this.#log = log
    this.#recordOf = lineParser(format)
  }

  /** Appends lines that were read together, which are one batch unless a line is long. Resolves when there is room for more. */
  async append(lines: readonly Buffer[]): Promise<void> {
    let records: RecordInput[] = []
    let bytes = 0
    const first = this.#lines + 1
    for (const [index, line] of lines.entries()) {
      if (records.length > 0 && bytes + line.length > BATCH_BYTES) {
        await this.#appendBatch(records, bytes)
        if (this.failure !== undefined) return
        records = []
        bytes = 0
      }
      records.push(this.#recordOf(line, first + index))
      bytes += line.length
    }
    const last = this.#appendBatch(records, bytes)
    if (this.#log.pendingBytes > MAX_WAITING_BYTES) await last
  }

  async #appendBatch(records: RecordInput[], bytes: number): Promise<void> {
    const first = this.#lines + 1
    this.#lines += records.length
    try {
      await this.#log.append(records)
      this.acknowledged.records += records.length
      this.acknowledged.bytes += bytes
    } catch (error) {
      this.failure ??= { line: first, error }
    }
  }

  /** What the user needs to know of the failure. */
  explained(): Failure {
    const { line, error } = this.failure!
    const message = error instanceof Error ? error.message : String(error)
    return new Failure(
      `line ${line} was not appended to ${this.#log.dir}: ${message} (${recordsText(this.acknowledged.records)} acknowledged)`,
      { cause: error },
    )
  }
}

export async function appendToLog(dir: string, options: LogAppendOptions): Promise<void> {
  const { signal, exitCode } = onInterrupt()
  const log = await openLog(dir, { durability: options.durability })
  const appender = new LineAppender(log, options)
  const source = input(options.file)
  // A read that waits for a terminal ends with the stream.
  const stop = (): void => void source.destroy()
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  if (source === process.stdin && process.stdin.isTTY) {
    // Progress would get in between what is typed.
    if (process.stderr.isTTY) process.stderr.write('Each line is a record; Ctrl-D ends.\n')
  } else if (!options.quiet) {
    appender.acknowledged.show('acknowledged')
  }
  try {
    for await (const lines of linesOf(source)) {
      if (signal.aborted) break
      await appender.append(lines)
      if (appender.failure !== undefined) break
    }
  } catch (error) {
    // Destroying the input on Ctrl-C ends the loop that reads it with an error that says no more than that.
    if (!signal.aborted) throw inputFailure(error, options.file)
  } finally {
    source.destroy()
    await log.close().catch((error: unknown) => {
      // A failed log says once more at its end why it has failed.
      if (appender.failure === undefined || !VarveError.is(error)) throw error
    })
    appender.acknowledged.hide()
  }
  const { records, bytes } = appender.acknowledged
  if (options.json && !options.quiet) printJson({ directory: dir, records, bytes })
  if (appender.failure !== undefined) throw appender.explained()
  if (!options.quiet && !options.json)
    process.stderr.write(`Appended to ${dir}: ${appender.acknowledged.summary()}\n`)
  process.exitCode = exitCode()
}
