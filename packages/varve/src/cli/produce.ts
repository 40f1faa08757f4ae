import { Admin, Producer } from '@varve/client'
import { compressionOptions, type Compression, type CompressionOptions } from '@varve/records'
import { brokerFailure } from './broker-failure.js'
import { type BrokerFlags, clientOptions } from './client-options.js'
import { Failure } from './failure.js'
import { input, inputFailure } from './input.js'
import { onInterrupt } from './interrupt.js'
import { lineParser, type LineFormat } from './line-record.js'
import { linesOf } from './lines.js'
import { printJson } from './table.js'
import { Tally, recordsText } from './tally.js'

export interface ProduceOptions extends BrokerFlags, LineFormat {
  file?: string
  acks: -1 | 0 | 1
  compression: Compression
  compressionLevel?: number
  linger: number
  batchSize: number
  quiet?: boolean
}

/** How much may wait for an answer before reading stops. What waits is garbage that lives: more of it is slower. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024
const MAX_WAITING_LINES = 10_000

/** How long Ctrl-C waits for answers to what has been sent. */
const PATIENCE_MS = 2000

/** Sends lines and counts what was acknowledged. It takes no more than the broker does. */
class LineSender {
  readonly acknowledged = new Tally()
  sent = 0
  failed = 0
  /** The first thing that went wrong, and the number of its line. */
  failure: { line: number; error: unknown } | undefined
  #waitingLines = 0
  #waitingBytes = 0
  #wake: (() => void) | undefined

  readonly #producer: Producer
  readonly #topic: string
  readonly #recordOf: ReturnType<typeof lineParser>

  constructor(producer: Producer, topic: string, options: ProduceOptions) {
    this.#producer = producer
    this.#topic = topic
    this.#recordOf = lineParser(options)
  }

  /** Sends lines that were read together. They share what is done with their outcomes, which is most of a line's cost. */
  send(lines: readonly Buffer[]): void {
    const first = this.sent + 1
    // A line that is no record is found before any of them is sent.
    const records = lines.map((line, index) => this.#recordOf(line, first + index))
    const outcomes: Array<Promise<unknown>> = []
    let bytes = 0
    let waiting = lines.length
    const settled = (): void => {
      this.#waitingLines--
      if (--waiting === 0) this.#waitingBytes -= bytes
      this.#wake?.()
    }
    const acknowledged = (): void => {
      this.acknowledged.records++
      if (waiting === 1) this.acknowledged.bytes += bytes
      settled()
    }
    const refused = (error: unknown): void => {
      this.failed++
      if (this.failure === undefined) {
        this.failure = { line: first, error }
        this.#findRefused(outcomes, first)
      }
      settled()
    }
    for (const [index, record] of records.entries()) {
      bytes += lines[index]!.length
      const outcome = this.#producer.send(this.#topic, record)
      outcome.then(acknowledged, refused)
      outcomes.push(outcome)
    }
    this.sent += lines.length
    this.#waitingLines += lines.length
    this.#waitingBytes += bytes
  }

  /** Corrects the failure to the first line that has been refused. Its promise is asked first, so it answers first. */
  #findRefused(outcomes: ReadonlyArray<Promise<unknown>>, first: number): void {
    let isFound = false
    for (const [index, outcome] of outcomes.entries()) {
      outcome.catch((error: unknown) => {
        if (!isFound) this.failure = { line: first + index, error }
        isFound = true
      })
    }
  }

  get isFull(): boolean {
    return this.#waitingLines >= MAX_WAITING_LINES || this.#waitingBytes >= MAX_WAITING_BYTES
  }

  /** Resolves when there is room for more, or when there is no point in sending more. */
  async room(signal: AbortSignal): Promise<void> {
    // Nothing is sent until there is room, so that no batch needs to wait for more.
    void this.#producer.flush()
    await new Promise<void>((resolve) => {
      const check = (): void => {
        // Half empty before reading goes on: waking for every answer would read a line at a time.
        const isHalfEmpty =
          this.#waitingLines <= MAX_WAITING_LINES / 2 && this.#waitingBytes <= MAX_WAITING_BYTES / 2
        if (!isHalfEmpty && !signal.aborted && this.failure === undefined) return
        this.#wake = undefined
        signal.removeEventListener('abort', check)
        resolve()
      }
      this.#wake = check
      signal.addEventListener('abort', check)
      check()
    })
  }
}

async function sendAll(
  sender: LineSender,
  lines: AsyncIterable<Buffer[]>,
  signal: AbortSignal,
): Promise<void> {
  for await (const group of lines) {
    if (sender.failure !== undefined || signal.aborted) return
    sender.send(group)
    if (sender.isFull) await sender.room(signal)
  }
}

function produceFailure(sender: LineSender, topic: string, options: ProduceOptions): Failure {
  const { line, error } = sender.failure!
  const known = brokerFailure(error, options.broker)
  if (known instanceof Failure) return known
  const message = error instanceof Error ? error.message : String(error)
  return new Failure(
    `line ${line} was not accepted by ${topic}: ${message} (${recordsText(sender.acknowledged.records)} acknowledged, ${sender.failed} not)`,
    { cause: error },
  )
}

/** A producer goes on trying for minutes; whoever types a wrong port should hear of it at once. */
async function checkBroker(client: ReturnType<typeof clientOptions>): Promise<void> {
  const admin = new Admin(client)
  try {
    await admin.listTopics()
  } catch (error) {
    throw brokerFailure(error, client.brokers)
  } finally {
    await admin.close()
  }
}

function compressionOf({ compression, compressionLevel }: ProduceOptions): CompressionOptions {
  try {
    return compressionOptions({ codec: compression, level: compressionLevel })
  } catch (error) {
    throw new Failure((error as Error).message)
  }
}

export async function produce(topic: string, options: ProduceOptions): Promise<void> {
  const compression = compressionOf(options)
  const { signal, exitCode } = onInterrupt()
  const client = clientOptions(options, 'varve-produce')
  await checkBroker(client)
  const source = input(options.file)
  const producer = new Producer({
    ...client,
    acks: options.acks,
    compression,
    lingerMs: options.linger,
    batchBytes: options.batchSize,
  })
  const sender = new LineSender(producer, topic, options)
  const stop = (): void => {
    // A read that waits for a terminal ends with the stream.
    source.destroy()
    setTimeout(() => void producer.close({ discard: true }), PATIENCE_MS).unref()
  }
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  if (source === process.stdin && process.stdin.isTTY) {
    // Progress would get in between what is typed.
    if (process.stderr.isTTY) process.stderr.write('Each line is a record; Ctrl-D ends.\n')
  } else if (!options.quiet) {
    sender.acknowledged.show('acknowledged')
  }
  try {
    await sendAll(sender, linesOf(source), signal)
    await producer.flush().catch(() => {})
  } catch (error) {
    // Destroying the input on Ctrl-C ends the loop that reads it with an error that says no more than that.
    if (!signal.aborted) throw inputFailure(error, options.file)
  } finally {
    sender.acknowledged.hide()
    await producer.close().catch((error: unknown) => {
      sender.failure ??= { line: sender.sent, error }
    })
  }
  const { acknowledged, failed } = sender
  if (options.json && !options.quiet)
    printJson({ topic, records: acknowledged.records, bytes: acknowledged.bytes, failed })
  if (sender.failure !== undefined) throw produceFailure(sender, topic, options)
  if (!options.quiet && !options.json)
    process.stderr.write(`Produced to ${topic}: ${sender.acknowledged.summary()}\n`)
  process.exitCode = exitCode()
}
