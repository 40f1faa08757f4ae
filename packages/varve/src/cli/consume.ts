import { Admin, Consumer } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { type BrokerFlags, clientOptions } from './client-options.js'
import { onInterrupt } from './interrupt.js'
import { Output } from './output.js'
import { printRecord, type RecordTextOptions } from './record-text.js'
import { rangesOf } from './starting-offsets.js'
import { Tally } from './tally.js'
import type { From } from './values.js'

export interface ConsumeOptions extends BrokerFlags, RecordTextOptions {
  from: From
  follow?: boolean
  partition?: number
  max?: number
  quiet?: boolean
}

/** Prints what the consumer was assigned, to the end where it has one. Ends early when `signal` says so. */
async function printRecords(
  consumer: Consumer,
  options: ConsumeOptions,
  output: Output,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const { follow, max = Infinity } = options
  for await (const { records } of consumer.batches({ signal })) {
    for (const record of records()) {
      printRecord(record, options, output)
      tally.bytes += record.value?.length ?? 0
      if (++tally.records >= max) return
      if (output.isFull) await output.flush()
    }
    if (follow) await output.flush()
  }
}

export async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  const { signal: interrupted, exitCode } = onInterrupt()
  const output = new Output()
  const signal = AbortSignal.any([interrupted, output.gone])
  const client = clientOptions(options, 'varve-consume')
  const tally = new Tally()
  const admin = new Admin(client)
  const consumer = new Consumer(client)
  try {
    const ranges = await rangesOf(admin, topic, options.from, options.partition)
    await admin.close()
    consumer.assign(
      ranges.map(({ partition, offset, end }) => ({
        topic,
        partition,
        offset,
        end: options.follow ? undefined : end,
      })),
    )
    // Where records go to the terminal, a line about them would get in between.
    if (!options.quiet && !process.stdout.isTTY) tally.show('consumed')
    await printRecords(consumer, options, output, tally, signal)
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
