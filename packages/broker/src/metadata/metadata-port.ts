import type { MessagePort } from 'node:worker_threads'
import { VarveError } from '@varve/records'
import type { MetadataEntry, MetadataEvent } from '@varve/replication'
import { messageOf } from '../broker-log.js'
import {
  metadataClosed,
  tell,
  type MetadataFollower,
  type MetadataFollowing,
  type MetadataStore,
} from './metadata-store.js'

type Method = 'list' | 'txn' | 'grantLease' | 'keepAlive' | 'revokeLease'

/** What a user of a store sends through the port. Ids are the user's. */
type Asked =
  | { readonly kind: 'call'; readonly id: number; readonly method: Method; readonly argument: never }
  | { readonly kind: 'follow'; readonly id: number; readonly prefix: string }
  | { readonly kind: 'unfollow'; readonly id: number }

/** What is sent back. A result is behind what followers are told of it. */
type Told =
  | { readonly kind: 'result'; readonly id: number; readonly result: never }
  | { readonly kind: 'failure'; readonly id: number; readonly failure: Failure }
  | {
      readonly kind: 'reset'
      readonly id: number
      readonly entries: readonly MetadataEntry[]
      readonly revision: number
    }
  | { readonly kind: 'events'; readonly id: number; readonly events: readonly MetadataEvent[] }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure }

/** An error as far as it goes through a port, which knows nothing of codes. */
interface Failure {
  readonly code: string | null
  readonly message: string
}

function failureOf(error: unknown): Failure {
  return { code: VarveError.is(error) ? error.code : null, message: messageOf(error) }
}

function errorOf({ code, message }: Failure): Error {
  return code === null ? new Error(message) : new VarveError(code, message)
}

/**
 * Lets another thread use a store, through its end of a channel: what {@link metadataStoreThrough} makes of that end. When the channel is
 * closed, or that thread has ended, what it follows is ended, and nothing else.
 *
 * @param port this thread's end, which is used for nothing else
 */
export function serveMetadataStore(store: MetadataStore, port: MessagePort): void {
  const followings = new Map<number, MetadataFollowing>()
  const answer = (told: Told): void => port.postMessage(told)
  const call = (id: number, method: Method, argument: never): void => {
    store[method](argument).then(
      (result) => answer({ kind: 'result', id, result: result as never }),
      (error: unknown) => answer({ kind: 'failure', id, failure: failureOf(error) }),
    )
  }
  const follow = (id: number, prefix: string): void => {
    try {
      const following = store.follow(prefix, {
        reset: (entries, revision) => answer({ kind: 'reset', id, entries, revision }),
        events: (events) => answer({ kind: 'events', id, events }),
        failed: (error) => answer({ kind: 'failed', id, failure: failureOf(error) }),
      })
      followings.set(id, following)
    } catch (error) {
      answer({ kind: 'failed', id, failure: failureOf(error) })
    }
  }
  port.on('message', (asked: Asked) => {
    switch (asked.kind) {
      case 'call': {
        call(asked.id, asked.method, asked.argument)
        break
      }
      case 'follow': {
        follow(asked.id, asked.prefix)
        break
      }
      case 'unfollow': {
        followings.get(asked.id)?.close()
        followings.delete(asked.id)
        break
      }
    }
  })
  port.on('close', () => {
    for (const following of followings.values()) following.close()
  })
}

/**
 * A metadata store that another thread of this process has, and serves by {@link serveMetadataStore}: what brokers on worker threads are
 * given as `cluster.openStore`, so that all of them share one. When that thread closes its end, or ends itself, calls under way are
 * rejected with `VARVE_METADATA_OUTCOME_UNKNOWN`, and this store is closed.
 *
 * @param port this thread's end of the channel, which is used for nothing else; closing the store closes it
 * @example
 * ```ts
 * import { metadataStoreThrough, startBroker } from '@varve/broker'
 * import { workerData } from 'node:worker_threads'
 *
 * const { port, nodeId, data } = workerData
 * await startBroker({ nodeId, data, cluster: { openStore: async () => metadataStoreThrough(port) } })
 * ```
 */
export function metadataStoreThrough(port: MessagePort): MetadataStore {
  return new PortMetadataStore(port)
}

interface Call {
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
}

class PortMetadataStore implements MetadataStore {
  readonly #port: MessagePort
  readonly #calls = new Map<number, Call>()
  readonly #followers = new Map<number, MetadataFollower>()
  #lastId = 0
  #closed: Promise<void> | null = null
  #drained: (() => void) | null = null

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (told: Told) => this.#take(told))
    port.on('close', () => this.#ended())
  }

  list(prefix: string): ReturnType<MetadataStore['list']> {
    return this.#call('list', prefix)
  }

  txn(transaction: Parameters<MetadataStore['txn']>[0]): ReturnType<MetadataStore['txn']> {
    return this.#call('txn', transaction)
  }

  grantLease(ttlSeconds: number): Promise<string> {
    return this.#call('grantLease', ttlSeconds)
  }

  keepAlive(lease: string): Promise<boolean> {
    return this.#call('keepAlive', lease)
  }

  revokeLease(lease: string): Promise<void> {
    return this.#call('revokeLease', lease)
  }

  follow(prefix: string, follower: MetadataFollower): MetadataFollowing {
    if (this.#closed !== null) throw metadataClosed()
    const id = ++this.#lastId
    this.#followers.set(id, follower)
    this.#ask({ kind: 'follow', id, prefix })
    return {
      close: () => {
        if (this.#followers.delete(id)) this.#ask({ kind: 'unfollow', id })
      },
    }
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  /** What is under way is waited for: whether a transaction was applied nobody could tell any more. */
  async #close(): Promise<void> {
    this.#followers.clear()
    if (this.#calls.size > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve
      })
    }
    this.#port.close()
  }

  /** The other end is closed, or its thread has ended: nothing is answered any more. */
  #ended(): void {
    this.#closed ??= Promise.resolve()
    for (const { reject } of this.#calls.values()) reject(answerLost())
    this.#calls.clear()
    for (const follower of this.#followers.values()) tell(() => follower.failed?.(metadataClosed()))
    this.#followers.clear()
    this.#drained?.()
  }

  #call<T>(method: Method, argument: unknown): Promise<T> {
    if (this.#closed !== null) return Promise.reject(metadataClosed())
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      this.#calls.set(id, { resolve, reject })
      this.#ask({ kind: 'call', id, method, argument: argument as never })
    })
  }

  #ask(asked: Asked): void {
    this.#port.postMessage(asked)
  }

  #take(told: Told): void {
    switch (told.kind) {
      case 'result': {
        this.#settle(told.id, ({ resolve }) => resolve(told.result))
        break
      }
      case 'failure': {
        this.#settle(told.id, ({ reject }) => reject(errorOf(told.failure)))
        break
      }
      default: {
        const follower = this.#followers.get(told.id)
        if (follower !== undefined) tell(() => this.#tell(follower, told))
      }
    }
  }

  #tell(follower: MetadataFollower, told: Extract<Told, { kind: 'reset' | 'events' | 'failed' }>): void {
    if (told.kind === 'reset') follower.reset(told.entries, told.revision)
    else if (told.kind === 'events') follower.events(told.events)
    else follower.failed?.(errorOf(told.failure) as VarveError)
  }

  #settle(id: number, settle: (call: Call) => void): void {
    const call = this.#calls.get(id)
    if (call === undefined) return
    this.#calls.delete(id)
    settle(call)
    if (this.#calls.size === 0) this.#drained?.()
  }
}

function answerLost(): VarveError {
  return new VarveError(
    'VARVE_METADATA_OUTCOME_UNKNOWN',
    'the thread that has the metadata store has ended without an answer; what was asked may have been applied',
  )
}
