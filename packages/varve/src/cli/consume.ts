import { Admin, Consumer } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { onInterrupt } from './interrupt.js'
import { Output } from './output.js'
import { rangesOf, type Range } from './starting-offsets.js'
import { Tally } from './tally.js'
import type { From } from './values.js'

export interface ConsumeOptions {
  broker: string[]
  from: From
  follow?: boolean
  partition?: number
  max?: number
  keySeparator?: Buffer
  quiet?: boolean
}

const EMPTY = Buffer.alloc(0)

/** Reads until the ends of the ranges, or on and on with `follow`, and prints. Ends early when `signal` says so. */
async function printRecords(
  consumer: Consumer,
  ranges: readonly Range[],
  options: ConsumeOptions,
  output: Output,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const { follow, max = Infinity, keySeparator } = options
  const ends = new Map(ranges.map(({ partition, end }) => [partition, end]))
  const unfinished = new Set(
    ranges.filter(({ offset, end }) => follow || offset < end).map(({ partition }) => partition),
  )
  if (unfinished.size === 0) return
  for await (const { partition, batch, records } of consumer.batches({ signal })) {
    const end = follow ? Infinity : ends.get(partition)!
    for (const { offset, key, value } of records()) {
      if (offset >= end) break
      if (keySeparator === undefined || key === null) output.line(value ?? EMPTY)
      else output.line(key, keySeparator, value ?? EMPTY)
      tally.bytes += value?.length ?? 0
      if (++tally.records >= max) return
      if (output.isFull) await output.flush()
    }
    if (follow) await output.flush()
    if (batch.nextOffset >= end && unfinished.delete(partition) && unfinished.size === 0) return
  }
}

export async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  const { signal: interrupted, exitCode } = onInterrupt()
  const output = new Output()
  const signal = AbortSignal.any([interrupted, output.gone])
  const clientOptions = { brokers: options.broker, clientId: 'varve-consume' }
  const tally = new Tally()
  const admin = new Admin(clientOptions)
  const consumer = new Consumer(clientOptions)
  try {
    const ranges = await rangesOf(admin, topic, options.from, options.partition)
    await admin.close()
    consumer.assign(ranges.map(({ partition, offset }) => ({ topic, partition, offset })))
    // Where records go to the terminal, a line about them would get in between.
    if (!options.quiet && !process.stdout.isTTY) tally.show('consumed')
    await printRecords(consumer, ranges, options, output, tally, signal)
  } catch (error) {
    if (!signal.aborted) throw brokerFailure(error, options.broker, topic)
  } finally {
    tally.hide()
    await output.flush()
    await Promise.all([admin.close(), consumer.close()])
  }
  summarise(tally, topic, options)
  // Ctrl-C is how following ends; in the middle of something that has an end it is an interruption.
  process.exitCode = options.follow ? 0 : exitCode()
}

function summarise(tally: Tally, topic: string, { quiet, follow }: ConsumeOptions): void {
  if (quiet || !process.stderr.isTTY) return
  if (tally.records === 0 && !follow)
    process.stderr.write(`There is nothing to read in ${topic} from there on; --follow waits for more.\n`)
  else if (!process.stdout.isTTY) process.stderr.write(`Consumed from ${topic}: ${tally.summary()}\n`)
}
