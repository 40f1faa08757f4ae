import { Admin, Consumer, type ConsumerOptions } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { type BrokerFlags, clientOptions } from './client-options.js'
import { Failure } from './failure.js'
import { onInterrupt } from './interrupt.js'
import { Output } from './output.js'
import { printRecord, type RecordTextOptions } from './record-text.js'
import { rangesOf } from './starting-offsets.js'
import { Tally } from './tally.js'
import type { From } from './values.js'

export interface ConsumeOptions extends BrokerFlags, RecordTextOptions {
  from: From
  follow?: boolean
  group?: string
  partition?: number
  max?: number
  timeout?: number
  quiet?: boolean
}

/** A group has no end that one of its members could come to. */
const isFollowing = ({ follow, group }: ConsumeOptions): boolean => follow === true || group !== undefined

/** In a group, `--from` says where to begin what it has not committed yet. */
function groupOptions({ group, from }: ConsumeOptions): Partial<ConsumerOptions> {
  if (group === undefined) return {}
  if (from.at === 'earliest' || from.at === 'latest') return { groupId: group, offsetReset: from.at }
  throw new Failure(
    'with --group, --from is earliest or latest; varve group reset-offsets moves a group elsewhere',
    { exitCode: 2 },
  )
}

async function assign(
  consumer: Consumer,
  admin: Admin,
  topic: string,
  { from, partition: only, follow }: ConsumeOptions,
): Promise<void> {
  const ranges = await rangesOf(admin, topic, from, only)
  consumer.assign(
    ranges.map(({ partition, offset, end }) => ({
      topic,
      partition,
      offset,
      end: follow ? undefined : end,
    })),
  )
}

/** A group would wait for a topic that is not there, which is mostly one that was misspelt. */
async function subscribe(consumer: Consumer, admin: Admin, topic: string): Promise<void> {
  await admin.describeTopics([topic])
  consumer.subscribe([topic])
}

/** Ends a consumer for which nothing comes; what it does with its records takes as long as it takes. */
class Patience {
  readonly #controller = new AbortController()
  readonly #ms: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(ms: number | undefined) {
    this.#ms = ms
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  wait(): void {
    this.rest()
    if (this.#ms !== undefined) this.#timer = setTimeout(() => this.#controller.abort(), this.#ms)
  }

  rest(): void {
    clearTimeout(this.#timer)
  }
}

/** Prints what the consumer was assigned, to the end where it has one. Ends early when `signal` says so. */
async function printRecords(
  consumer: Consumer,
  options: ConsumeOptions,
  output: Output,
  tally: Tally,
  patience: Patience,
  signal: AbortSignal,
): Promise<void> {
  const { max = Infinity } = options
  patience.wait()
  for await (const { records } of consumer.batches({ signal })) {
    patience.rest()
    for (const record of records()) {
      printRecord(record, options, output)
      tally.bytes += record.value?.length ?? 0
      if (++tally.records >= max) {
        // What was not printed of the batch is for the group to read.
        consumer.seek(record, record.offset + 1)
        return
      }
      if (output.isFull) await output.flush()
    }
    if (isFollowing(options)) await output.flush()
    patience.wait()
  }
}

export async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  const { signal: interrupted, exitCode } = onInterrupt()
  const output = new Output()
  const patience = new Patience(options.timeout)
  const signal = AbortSignal.any([interrupted, output.gone, patience.signal])
  const client = clientOptions(options, 'varve-consume')
  const tally = new Tally()
  const admin = new Admin(client)
  const consumer = new Consumer({ ...client, ...groupOptions(options) })
  try {
    if (options.group === undefined) await assign(consumer, admin, topic, options)
    else await subscribe(consumer, admin, topic)
    await admin.close()
    // Where records go to the terminal, a line about them would get in between.
    if (!options.quiet && !process.stdout.isTTY) tally.show('consumed')
    await printRecords(consumer, options, output, tally, patience, signal)
  } catch (error) {
    if (!signal.aborted) throw brokerFailure(error, options.broker, topic)
  } finally {
    patience.rest()
    tally.hide()
    await output.flush()
    await Promise.all([admin.close(), consumer.close()])
  }
  summarise(tally, topic, options)
  // Ctrl-C is how following ends; in the middle of something that has an end it is an interruption.
  process.exitCode = isFollowing(options) ? 0 : exitCode()
}

function summarise(tally: Tally, topic: string, options: ConsumeOptions): void {
  if (options.quiet || !process.stderr.isTTY) return
  if (tally.records === 0 && !isFollowing(options))
    process.stderr.write(`There is nothing to read in ${topic} from there on; --follow waits for more.\n`)
  else if (!process.stdout.isTTY) process.stderr.write(`Consumed from ${topic}: ${tally.summary()}\n`)
}
