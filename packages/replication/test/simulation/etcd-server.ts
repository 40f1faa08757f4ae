import { EtcdWatch, type WatchClient } from './etcd-watch.js'
import type { MetadataOutcome, MetadataTransaction } from '@varve/replication'
import type { Etcd, Listing } from './etcd.js'
import type { Carrier, Life } from './network.js'
import type { SimulatedNode } from './node.js'
import type { Random } from './random.js'
import type { Action, VirtualTime } from './virtual-time.js'

export type EtcdOperation =
  | { readonly kind: 'transaction'; readonly transaction: MetadataTransaction }
  | { readonly kind: 'grant'; readonly ttlSeconds: number }
  | { readonly kind: 'keep alive'; readonly lease: string }
  | { readonly kind: 'revoke'; readonly lease: string }
  | { readonly kind: 'list'; readonly prefix: string; readonly serializable: boolean }
  | WatchOperation

export interface WatchOperation {
  readonly kind: 'watch'
  readonly prefix: string
  /** From this one on. */
  readonly revision: number
  readonly client: WatchClient
  /** Each watch takes the place of those that the client has asked for before. */
  readonly attempt: number
}

/** The answer to each kind of operation. */
export interface EtcdResults {
  transaction: MetadataOutcome
  grant: string
  /** Seconds to live; 0: it has gone. */
  'keep alive': number
  revoke: boolean
  list: Listing
  watch: 'watching' | 'compacted'
}
export type EtcdResult = EtcdResults[keyof EtcdResults]

export interface EtcdRequest {
  readonly from: Life
  readonly operation: EtcdOperation
  /** Run at the client when the answer arrives, with the request. */
  readonly answered: Action<EtcdRequest, EtcdResult>
}

export interface EtcdServerOptions {
  readonly time: VirtualTime
  readonly random: Random
  readonly etcd: Etcd
  readonly network: Carrier
  readonly node: SimulatedNode
  /** The mean time until an operation is applied. */
  readonly processMs?: number
  /** Of a request, to be applied as much later; others overtake it. */
  readonly lateRequest?: { readonly chance: number; readonly maxMs: number }
  /** How far a serializable read may lie behind. */
  readonly staleRevisions?: number
}

/** Serves the metadata store over the network. */
export class EtcdServer {
  readonly etcd: Etcd
  readonly network: Carrier
  readonly life: Life
  readonly time: VirtualTime
  readonly random: Random
  /** Raised while the store is slow. */
  slowFactor = 1
  lateRequest: { readonly chance: number; readonly maxMs: number }
  readonly #processMs: number
  readonly #staleRevisions: number
  /** By client. */
  readonly #watches = new Map<number, EtcdWatch>()
  readonly #watchDelays = new Map<number, number>()
  #availableAt = 0

  constructor({
    time,
    random,
    etcd,
    network,
    node,
    processMs = 1,
    lateRequest = { chance: 0, maxMs: 0 },
    staleRevisions = 5,
  }: EtcdServerOptions) {
    this.time = time
    this.random = random
    this.etcd = etcd
    this.network = network
    this.life = { node, incarnation: node.incarnation }
    this.lateRequest = lateRequest
    this.#processMs = processMs
    this.#staleRevisions = staleRevisions
  }

  get isAvailable(): boolean {
    return this.time.now >= this.#availableAt
  }

  /** The etcd cluster is without a leader for a while. Requests get lost meanwhile, or are applied late. */
  changeLeader(pauseMs: number): void {
    this.#availableAt = Math.max(this.#availableAt, this.time.now + pauseMs)
    this.etcd.leaderLost()
    this.time.at(this.#availableAt, elected, this)
  }

  /** For {@link elected}: not for the first of two pauses that overlap. */
  leaderElected(): void {
    if (this.isAvailable) this.etcd.leaderElected()
  }

  /** Delays what is committed from now on for a client's watch, in its order. */
  delayWatch(client: number, ms: number): void {
    this.#watchDelays.set(client, ms)
  }

  watchDelay(client: number): number {
    return this.#watchDelays.get(client) ?? 0
  }

  receive(request: EtcdRequest): void {
    let delay = this.random.exponential(this.#processMs) * this.slowFactor
    if (!this.isAvailable) {
      if (this.random.chance(0.5)) return
      delay += this.#availableAt - this.time.now
    }
    if (this.random.chance(this.lateRequest.chance)) delay += this.random.float(0, this.lateRequest.maxMs)
    this.time.after(delay, apply, this, request)
  }

  /** For {@link apply}. */
  apply(request: EtcdRequest): void {
    if (!this.isAvailable) return
    const { operation } = request
    if (operation.kind === 'watch') this.#watch(request, operation)
    else this.#answer(request, this.#perform(operation))
  }

  #perform(operation: Exclude<EtcdOperation, { kind: 'watch' }>): EtcdResult {
    switch (operation.kind) {
      case 'transaction':
        return this.etcd.transaction(operation.transaction)
      case 'grant':
        return this.etcd.grant(operation.ttlSeconds)
      case 'keep alive':
        return this.etcd.keepAlive(operation.lease)
      case 'revoke':
        return this.etcd.revoke(operation.lease)
      case 'list':
        return this.#list(operation.prefix, operation.serializable)
    }
  }

  #list(prefix: string, serializable: boolean): Listing {
    const { revision, compactedRevision } = this.etcd
    const behind = serializable ? this.random.int(0, this.#staleRevisions) : 0
    return this.etcd.list(prefix, Math.max(compactedRevision, 1, revision - behind)) as Listing
  }

  #watch(request: EtcdRequest, operation: WatchOperation): void {
    const { node, incarnation } = request.from
    const before = this.#watches.get(node.id)
    if (before !== undefined) {
      const { life, operation: of } = before
      const isLater =
        life.incarnation > incarnation || (life.incarnation === incarnation && of.attempt > operation.attempt)
      if (isLater) return
      before.end()
    }
    const watch = new EtcdWatch(this, request.from, operation)
    const past = this.etcd.watch(operation.revision, watch.committed)
    this.#answer(request, past === 'compacted' ? 'compacted' : 'watching')
    if (past === 'compacted') return
    this.#watches.set(node.id, watch)
    past.forEach(watch.committed)
  }

  #answer(request: EtcdRequest, result: EtcdResult): void {
    this.network.carry(this.life, request.from, request.answered, request, result)
  }
}

function apply(server: EtcdServer, request: EtcdRequest): void {
  server.apply(request)
}

function elected(server: EtcdServer): void {
  server.leaderElected()
}
