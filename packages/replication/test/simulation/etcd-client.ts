import type { MetadataEntry, MetadataEvent, MetadataOutcome, MetadataTransaction } from '@varve/replication'
import type { EtcdOperation, EtcdRequest, EtcdResult, EtcdResults, EtcdServer } from './etcd-server.js'
import type { WatchClient } from './etcd-watch.js'
import type { Listing } from './etcd.js'
import type { Life } from './network.js'
import type { SimulatedNode } from './node.js'
import type { Action, Timer } from './virtual-time.js'

/** What {@link EtcdClient.follow} tells: the state at a revision, then the transactions behind it, one by one. */
export interface Follower {
  reset(entries: readonly MetadataEntry[], revision: number): void
  events(events: readonly MetadataEvent[], revision: number): void
}

export interface EtcdClientOptions {
  readonly node: SimulatedNode
  readonly server: EtcdServer
  /** By the node's clock. After it the outcome is unknown. */
  readonly requestTimeoutMs?: number
  /** Between two tries to list or watch. */
  readonly retryMs?: number
  /** Whether the first list may be behind, as a serializable read is. */
  readonly startsStale?: boolean
}

interface Pending extends EtcdRequest {
  readonly client: EtcdClient
  readonly done: (result: never) => void
  timeout: Timer | null
  hasEnded: boolean
}

/** How one life of a broker talks to the metadata store. */
export class EtcdClient implements WatchClient {
  readonly #life: Life
  readonly #server: EtcdServer
  readonly #requestTimeoutMs: number
  readonly #retryMs: number
  readonly #startsStale: boolean
  #isClosed = false
  #prefix = ''
  #follower: Follower | null = null
  /** Up to which it knows everything. */
  #revision = 0
  /** Counts the tries to list or to watch. Each one ends those before. */
  #attempt = 0

  constructor({
    node,
    server,
    requestTimeoutMs = 2000,
    retryMs = 200,
    startsStale = false,
  }: EtcdClientOptions) {
    this.#life = { node, incarnation: node.incarnation }
    this.#server = server
    this.#requestTimeoutMs = requestTimeoutMs
    this.#retryMs = retryMs
    this.#startsStale = startsStale
  }

  transaction(transaction: MetadataTransaction, done: (outcome: MetadataOutcome) => void): void {
    this.#request<'transaction'>({ kind: 'transaction', transaction }, (outcome) =>
      done(outcome ?? { kind: 'unknown' }),
    )
  }

  /** null: there may be a lease that nobody knows. */
  grantLease(ttlSeconds: number, done: (lease: string | null) => void): void {
    this.#request<'grant'>({ kind: 'grant', ttlSeconds }, done)
  }

  keepAlive(lease: string, done: (answer: 'kept' | 'lost' | 'unknown') => void): void {
    this.#request<'keep alive'>({ kind: 'keep alive', lease }, (ttlSeconds) => {
      if (ttlSeconds === null) done('unknown')
      else done(ttlSeconds > 0 ? 'kept' : 'lost')
    })
  }

  /** Of one that has gone `'revoked'`, too. */
  revokeLease(lease: string, done?: (answer: 'revoked' | 'unknown') => void): void {
    this.#request<'revoke'>({ kind: 'revoke', lease }, (answer) =>
      done?.(answer === null ? 'unknown' : 'revoked'),
    )
  }

  /** null: no answer. A serializable one may be behind. */
  list(
    prefix: string,
    done: (listing: Listing | null) => void,
    options: { serializable?: boolean } = {},
  ): void {
    this.#request<'list'>({ kind: 'list', prefix, serializable: options.serializable ?? false }, done)
  }

  /** Lists what there is, then watches; after a break goes on where it was, or lists again where that is compacted. Once. */
  follow(prefix: string, follower: Follower): void {
    this.#prefix = prefix
    this.#follower = follower
    this.#listAll()
  }

  /** Nothing is answered any more. What is under way may still be applied. */
  close(): void {
    this.#isClosed = true
  }

  /** Of whichever watch: none has a gap, and none began behind what was known. */
  watchEvents(events: readonly MetadataEvent[], revision: number): void {
    if (this.#isClosed || revision <= this.#revision) return
    this.#revision = revision
    this.#follower?.events(events, revision)
  }

  watchBroken(attempt: number): void {
    if (!this.#isClosed && attempt === this.#attempt) this.#openWatch()
  }

  #listAll(): void {
    const attempt = ++this.#attempt
    const serializable = this.#startsStale && this.#revision === 0
    const listed = (listing: Listing | null): void => {
      if (listing === null) return this.#retry(listAgain, attempt)
      // What an older watch has told meanwhile may be newer.
      if (listing.revision > this.#revision) {
        this.#revision = listing.revision
        this.#follower?.reset(listing.entries, listing.revision)
      }
      this.#openWatch()
    }
    this.list(this.#prefix, listed, { serializable })
  }

  #openWatch(): void {
    const attempt = ++this.#attempt
    const from = { prefix: this.#prefix, revision: this.#revision + 1 }
    this.#request<'watch'>({ kind: 'watch', ...from, client: this, attempt }, (answer) => {
      if (attempt !== this.#attempt) return
      if (answer === null) this.#retry(watchAgain, attempt)
      else if (answer === 'compacted') this.#listAll()
    })
  }

  #retry(action: Action<EtcdClient, number>, attempt: number): void {
    this.#life.node.after(this.#retryMs, action, this, attempt)
  }

  /** For {@link listAgain} and {@link watchAgain}. */
  again(what: 'list' | 'watch', attempt: number): void {
    if (this.#isClosed || attempt !== this.#attempt) return
    if (what === 'list') this.#listAll()
    else this.#openWatch()
  }

  /** `done` gets null when no answer has come in time. */
  #request<Kind extends keyof EtcdResults>(
    operation: EtcdOperation & { readonly kind: Kind },
    done: (result: EtcdResults[Kind] | null) => void,
  ): void {
    const pending: Pending = {
      client: this,
      from: this.#life,
      operation,
      answered: answered as (request: EtcdRequest, result: EtcdResult) => void,
      done: done as (result: never) => void,
      timeout: null,
      hasEnded: false,
    }
    pending.timeout = this.#life.node.after(this.#requestTimeoutMs, timedOut, pending)
    this.#server.network.carry(this.#life, this.#server.life, receive, this.#server, pending)
  }

  /** For {@link answered} and {@link timedOut}. */
  settle(pending: Pending, result: EtcdResult | null): void {
    if (pending.hasEnded) return
    pending.hasEnded = true
    pending.timeout?.cancel()
    if (!this.#isClosed) pending.done(result as never)
  }
}

function receive(server: EtcdServer, request: EtcdRequest): void {
  server.receive(request)
}

function answered(pending: Pending, result: EtcdResult): void {
  pending.client.settle(pending, result)
}

function timedOut(pending: Pending): void {
  pending.client.settle(pending, null)
}

function listAgain(client: EtcdClient, attempt: number): void {
  client.again('list', attempt)
}

function watchAgain(client: EtcdClient, attempt: number): void {
  client.again('watch', attempt)
}
