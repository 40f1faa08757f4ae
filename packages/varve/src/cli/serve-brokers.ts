import { resolve } from 'node:path'
import { type BrokerLog, openLocalMetadataStore } from '@varve/broker'
import { BrokerThread, type ThreadFacts } from './broker-thread.js'
import { brokersBanner, brokersLine } from './brokers-banner.js'
import { closeOnSignal } from './close-on-signal.js'
import { eachBroker, type SeveralOptions } from './each-broker.js'
import { Failure } from './failure.js'
import { invocation } from './invocation.js'
import { withoutCredentials } from './serve-cluster.js'
import type { KafkaConfigs } from './serve-sources.js'
import { startFailure } from './start-failure.js'
import { version } from './version.js'

/**
 * Serves several brokers, each on a thread of its own. Without an etcd this thread has the metadata store that they share. They
 * end together, however one of them ends.
 */
export async function serveBrokers(
  options: SeveralOptions,
  given: KafkaConfigs,
  log: BrokerLog,
): Promise<void> {
  const { brokers, metadata } = eachBroker(options)
  const isAlone = options.cluster === undefined
  // A copy on another thread of this process is worth nothing.
  const configs = isAlone ? { 'offsets.topic.replication.factor': 1, ...given } : given
  const store = isAlone ? await openLocalMetadataStore(metadata, { log }) : null
  const threads = brokers.map((own) => new BrokerThread({ options: own, configs, store, log }))
  const endAll = async (): Promise<void> => {
    await Promise.all(threads.map((thread) => thread.terminate()))
    await store?.close()
  }
  let served: ThreadFacts[]
  try {
    served = await Promise.all(
      threads.map(async (thread, place) => {
        try {
          return await thread.served
        } catch (error) {
          throw named(thread.brokerId, startFailure(error, brokers[place]!))
        }
      }),
    )
  } catch (error) {
    await endAll()
    throw error
  }
  const isJson = options.logFormat === 'json'
  let isClosing = false
  for (const { brokerId, ended } of threads) {
    ended.catch((error: unknown) => {
      if (!isClosing) crash(brokerId, error, isJson ? log : null)
    })
  }
  closeOnSignal(
    {
      name: 'a broker',
      hasTls: served.some(({ hasTls }) => hasTls),
      reloadCertificates: () => {
        for (const thread of threads) thread.reloadCertificates()
      },
      close: async () => {
        isClosing = true
        const closed = await Promise.allSettled(threads.map((thread) => thread.close()))
        await store?.close()
        for (const result of closed) if (result.status === 'rejected') throw result.reason
      },
    },
    log,
    isJson,
  )
  const facts = {
    version: version(),
    brokers: threads.map(({ brokerId }, place) => ({ brokerId, ...served[place]! })),
    isAlone,
    metadata: isAlone ? metadata : withoutCredentials(options.cluster!),
    data: options.data.map((path) => resolve(path)),
  }
  if (isJson) {
    log('info', brokersLine(facts))
    return
  }
  process.stdout.write(
    brokersBanner({
      ...facts,
      invocation: invocation({
        script: process.argv[1] ?? '',
        cwd: process.cwd(),
        path: process.env['PATH'] ?? '',
      }),
      colour: process.stdout.isTTY && !process.env['NO_COLOR'],
    }),
  )
}

/** One fault domain: what is acknowledged is as safe as after any crash, and whoever looks after the process starts all of it again. */
function crash(brokerId: number, error: unknown, log: BrokerLog | null): never {
  const { message, stack } = error as Error
  const failure = `broker ${brokerId} has ended: ${message}. The others share its process, and end with it`
  if (log !== null) log('error', failure, { broker: brokerId, ...(stack !== undefined && { stack }) })
  else process.stderr.write(`varve: ${failure}\n${stack === undefined ? '' : `${stack}\n`}`)
  process.exit(1)
}

function named(brokerId: number, error: unknown): Error {
  const { message } = error as Error
  const text = `broker ${brokerId} does not start: ${message}`
  if (error instanceof Failure) return new Failure(text, { cause: error, exitCode: error.exitCode })
  return Object.assign(error as Error, { message: text })
}
