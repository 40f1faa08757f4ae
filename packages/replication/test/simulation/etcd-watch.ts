import type { MetadataEvent } from '@varve/replication'
import type { CommittedTransaction } from './etcd.js'
import type { EtcdServer, WatchOperation } from './etcd-server.js'
import type { Life } from './network.js'

/** Whoever watches; called in the life that asked for it. */
export interface WatchClient {
  /** The events of one transaction. */
  watchEvents(events: readonly MetadataEvent[], revision: number): void
  watchBroken(attempt: number): void
}

/** How long it takes until a client notices that nothing comes any more. */
const noticeMs = { min: 50, max: 3000 }

/** A stream of transactions to one client: whole, in order, without a gap until it breaks, and then nothing more. */
export class EtcdWatch {
  readonly life: Life
  readonly operation: WatchOperation
  readonly #server: EtcdServer
  #lastArrival = 0
  #hasEnded = false

  constructor(server: EtcdServer, life: Life, operation: WatchOperation) {
    this.#server = server
    this.life = life
    this.operation = operation
  }

  readonly committed = (transaction: CommittedTransaction): void => {
    const { time, network, life } = this.#server
    const { node, incarnation } = this.life
    if (node.state === 'down' || node.incarnation !== incarnation) return this.end()
    if (this.#hasEnded || !transaction.events.some(({ key }) => key.startsWith(this.operation.prefix))) return
    if (network.loses(life.node.id, node.id)) return this.#break()
    const delay = network.delay(life.node.id, node.id) + this.#server.watchDelay(node.id)
    this.#lastArrival = Math.max(this.#lastArrival, time.now + delay)
    time.at(this.#lastArrival, arrive, this, transaction)
  }

  end(): void {
    this.#hasEnded = true
    this.#server.etcd.unwatch(this.committed)
  }

  /** For {@link arrive}. */
  arrived(transaction: CommittedTransaction): void {
    if (this.#hasEnded) return
    if (this.#server.network.isCut(this.#server.life.node.id, this.life.node.id)) this.#break()
    else this.life.node.deliver(this.life.incarnation, receive, this, transaction)
  }

  /** For {@link receive}. */
  received({ events, revision }: CommittedTransaction): void {
    const isAll = events.every(({ key }) => key.startsWith(this.operation.prefix))
    const wanted = isAll ? events : events.filter(({ key }) => key.startsWith(this.operation.prefix))
    this.operation.client.watchEvents(wanted, revision)
  }

  #break(): void {
    this.end()
    const { time, random } = this.#server
    time.after(random.float(noticeMs.min, noticeMs.max), notice, this)
  }
}

function arrive(watch: EtcdWatch, transaction: CommittedTransaction): void {
  watch.arrived(transaction)
}

function receive(watch: EtcdWatch, transaction: CommittedTransaction): void {
  watch.received(transaction)
}

function notice(watch: EtcdWatch): void {
  watch.life.node.deliver(watch.life.incarnation, tell, watch, undefined)
}

function tell(watch: EtcdWatch): void {
  watch.operation.client.watchBroken(watch.operation.attempt)
}
