import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import {
  type Broker,
  type BrokerLog,
  type LogFields,
  type LogLevel,
  type MetadataStore,
  serveMetadataStore,
} from '@varve/broker'
import type { ServeOptions } from './serve-options.js'
import type { KafkaConfigs } from './serve-sources.js'

/** What a thread begins with. */
export interface ThreadData {
  readonly options: ServeOptions
  readonly configs: KafkaConfigs
  /** The way to a metadata store of the main thread; null where the options name another one. */
  readonly store: MessagePort | null
}

/** What a thread is asked for. */
export type AskedOfThread = 'reloadCertificates' | 'close'

/** What can be said of a broker that serves. */
export interface ThreadFacts extends Pick<
  Broker,
  'address' | 'admin' | 'clusterId' | 'dataDirectories' | 'durability' | 'problems' | 'rack'
> {
  /** What the first listener speaks. */
  readonly isTls: boolean
  /** Whether any listener speaks TLS. */
  readonly hasTls: boolean
}

/** What a thread tells. The last of it is that its broker is closed, or has failed to start or to close. */
export type ToldByThread =
  | { readonly kind: 'line'; readonly level: LogLevel; readonly message: string; readonly fields?: LogFields }
  | { readonly kind: 'serves'; readonly facts: ThreadFacts }
  | { readonly kind: 'failed'; readonly failure: ThreadFailure }
  | { readonly kind: 'closed' }

/** An error as far as it goes from thread to thread, which know nothing of codes. */
export interface ThreadFailure {
  readonly message: string
  readonly code: string | undefined
  readonly stack: string | undefined
}

export interface BrokerThreadOptions {
  readonly options: ServeOptions & { readonly nodeId: number }
  readonly configs: KafkaConfigs
  /** Null where the options name one. */
  readonly store: MetadataStore | null
  readonly log: BrokerLog
}

/** A broker on a thread of its own. */
export class BrokerThread {
  readonly brokerId: number
  /** Resolves when the broker serves; rejects when it does not start. */
  readonly served: Promise<ThreadFacts>
  /** Resolves when the broker is closed, which it was asked for; rejects with whatever else was its end. */
  readonly ended: Promise<void>
  readonly #worker: Worker

  constructor({ options, configs, store, log }: BrokerThreadOptions) {
    this.brokerId = options.nodeId
    const channel = store === null ? null : new MessageChannel()
    if (channel !== null) serveMetadataStore(store!, channel.port1)
    const data: ThreadData = { options, configs, store: channel?.port2 ?? null }
    const worker = new Worker(new URL('./broker-worker.js', import.meta.url), {
      workerData: data,
      transferList: channel === null ? [] : [channel.port2],
    })
    this.#worker = worker
    const told = (take: (told: ToldByThread) => void): unknown => worker.on('message', take)
    told((line) => {
      if (line.kind === 'line') log(line.level, line.message, { broker: this.brokerId, ...line.fields })
    })
    this.ended = new Promise((resolve, reject) => {
      told((end) => {
        if (end.kind === 'closed') resolve()
        else if (end.kind === 'failed') reject(errorOf(end.failure))
      })
      worker.on('error', reject)
      worker.on('exit', (code) => reject(new Error(`its thread has ended with ${code}`)))
    })
    const serves = new Promise<ThreadFacts>((resolve) => {
      told((start) => {
        if (start.kind === 'serves') resolve(start.facts)
      })
    })
    this.served = Promise.race([serves, this.ended as Promise<never>])
  }

  /** What comes of it is in the log. */
  reloadCertificates(): void {
    this.#ask('reloadCertificates')
  }

  /** Closes the broker in order. */
  async close(): Promise<void> {
    this.#ask('close')
    await this.ended
  }

  /** Ends the thread at once. */
  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }

  #ask(asked: AskedOfThread): void {
    this.#worker.postMessage(asked)
  }
}

function errorOf({ message, code, stack }: ThreadFailure): Error {
  return Object.assign(new Error(message), code !== undefined && { code }, stack !== undefined && { stack })
}
