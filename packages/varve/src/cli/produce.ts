import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { Admin, Producer } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { Failure } from './failure.js'
import { onInterrupt } from './interrupt.js'
import { keyAndValue, linesOf } from './lines.js'
import { Tally, recordsText } from './tally.js'

export interface ProduceOptions {
  broker: string[]
  file?: string
  keySeparator?: Buffer
  partition?: number
  acks: -1 | 0 | 1
  compression: 'none' | 'gzip' | 'lz4'
  linger: number
  batchSize: number
  quiet?: boolean
}

/** How much may wait for an answer before reading stops; a record counts more than its bytes, for what it costs besides. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024
const RECORD_COST = 400

/** How long Ctrl-C waits for answers to what has been sent. */
const PATIENCE_MS = 2000

function input(file: string | undefined): Readable {
  if (file !== undefined && file !== '-') return createReadStream(file, { highWaterMark: 256 * 1024 })
  if (process.stdin.isTTY && process.stderr.isTTY)
    process.stderr.write('Each line is a record; Ctrl-D ends.\n')
  return process.stdin
}

/** Sends lines and counts what was acknowledged. It reads no faster than the broker takes. */
class LineSender {
  readonly acknowledged = new Tally()
  sent = 0
  failed = 0
  /** The first thing that went wrong, and the number of its line. */
  failure: { line: number; error: unknown } | undefined
  #waitingBytes = 0
  #wake: (() => void) | undefined

  readonly #producer: Producer
  readonly #topic: string
  readonly #options: ProduceOptions

  constructor(producer: Producer, topic: string, options: ProduceOptions) {
    this.#producer = producer
    this.#topic = topic
    this.#options = options
  }

  send(line: Buffer): void {
    const number = ++this.sent
    const { key, value } = keyAndValue(line, this.#options.keySeparator)
    const cost = line.length + RECORD_COST
    this.#waitingBytes += cost
    this.#producer.send(this.#topic, { key, value, partition: this.#options.partition }).then(
      () => {
        this.acknowledged.records++
        this.acknowledged.bytes += line.length
        this.#settle(cost)
      },
      (error: unknown) => {
        this.failed++
        this.failure ??= { line: number, error }
        this.#settle(cost)
      },
    )
  }

  #settle(cost: number): void {
    this.#waitingBytes -= cost
    this.#wake?.()
  }

  /** Resolves when there is room for more, or when there is no point in sending more. */
  async room(signal: AbortSignal): Promise<void> {
    const isOver = (): boolean => signal.aborted || this.failure !== undefined
    if (this.#waitingBytes < MAX_WAITING_BYTES || isOver()) return
    await new Promise<void>((resolve) => {
      const check = (): void => {
        // Half empty before reading goes on: waking for every answer would read a line at a time.
        if (this.#waitingBytes > MAX_WAITING_BYTES / 2 && !isOver()) return
        this.#wake = undefined
        signal.removeEventListener('abort', check)
        resolve()
      }
      this.#wake = check
      signal.addEventListener('abort', check)
    })
  }
}

async function sendAll(
  sender: LineSender,
  lines: AsyncIterable<Buffer[]>,
  signal: AbortSignal,
): Promise<void> {
  for await (const group of lines) {
    for (const line of group) {
      if (sender.failure !== undefined || signal.aborted) return
      sender.send(line)
      // Asked per line, as one group may hold more than what may wait.
      await sender.room(signal)
    }
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
async function checkBroker(brokers: string[]): Promise<void> {
  const admin = new Admin({ brokers, clientId: 'varve-produce' })
  try {
    await admin.listTopics()
  } catch (error) {
    throw brokerFailure(error, brokers)
  } finally {
    await admin.close()
  }
}

export async function produce(topic: string, options: ProduceOptions): Promise<void> {
  const { signal, exitCode } = onInterrupt()
  await checkBroker(options.broker)
  const source = input(options.file)
  const producer = new Producer({
    brokers: options.broker,
    clientId: 'varve-produce',
    acks: options.acks,
    compression: options.compression,
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
  if (!options.quiet && !process.stdin.isTTY) sender.acknowledged.show('acknowledged')
  try {
    await sendAll(sender, linesOf(source), signal)
    await producer.flush().catch(() => {})
  } catch (error) {
    // Destroying the input on Ctrl-C ends the loop that reads it with an error that says no more than that.
    if (!signal.aborted) throw inputFailure(error, options)
  } finally {
    sender.acknowledged.hide()
    await producer.close().catch((error: unknown) => {
      sender.failure ??= { line: sender.sent, error }
    })
  }
  if (sender.failure !== undefined) throw produceFailure(sender, topic, options)
  if (!options.quiet) process.stderr.write(`Produced to ${topic}: ${sender.acknowledged.summary()}\n`)
  process.exitCode = exitCode()
}

function inputFailure(error: unknown, { file }: ProduceOptions): unknown {
  const code = (error as { code?: unknown } | null)?.code
  if (file === undefined || (error as { syscall?: unknown } | null)?.syscall === undefined) return error
  if (code === 'ENOENT') return new Failure(`there is no file ${file}. Check --file`, { cause: error })
  if (code === 'EISDIR') return new Failure(`${file} is a directory; --file takes a file`, { cause: error })
  return new Failure(`${file} cannot be read: ${(error as Error).message}`, { cause: error })
}
