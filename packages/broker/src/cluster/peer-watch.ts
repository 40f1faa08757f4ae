import type { ClusterMember } from './cluster-member.js'
import type { BrokerPeers } from './broker-peers.js'
import type { Clock, Timer } from '../clock.js'

/** After a broker could not be reached. */
const retryMs = 250

/**
 * Keeps a connection open from the controller to every broker, and from every broker to the controller. It ends at once when
 * a process does; then it is dialled anew, and who finds nobody there need not wait until a lease runs out. Who cannot be
 * reached for another reason may well be alive.
 */
export class PeerWatch {
  readonly #brokerId: number
  readonly #member: ClusterMember
  readonly #peers: BrokerPeers
  readonly #clock: Clock
  readonly #watched = new Set<number>()
  readonly #timers = new Map<number, Timer>()
  #isClosed = false

  constructor(options: {
    readonly brokerId: number
    readonly member: ClusterMember
    readonly peers: BrokerPeers
    readonly clock: Clock
  }) {
    this.#brokerId = options.brokerId
    this.#member = options.member
    this.#peers = options.peers
    this.#clock = options.clock
    options.member.onChange(() => this.#update())
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers.values()) this.#clock.clearTimeout(timer)
  }

  #update(): void {
    for (const brokerId of this.#member.image.brokers.keys()) {
      if (!this.#isToBeWatched(brokerId) || this.#watched.has(brokerId)) continue
      this.#watched.add(brokerId)
      void this.#watch(brokerId)
    }
  }

  #isToBeWatched(brokerId: number): boolean {
    const { image, isController, isUpToDate } = this.#member
    if (this.#isClosed || brokerId === this.#brokerId || !isUpToDate) return false
    return image.brokers.has(brokerId) && (isController || image.controller?.brokerId === brokerId)
  }

  async #watch(brokerId: number): Promise<void> {
    while (this.#isToBeWatched(brokerId)) {
      try {
        const connection = await this.#peers.shared(brokerId)
        await new Promise<void>((resolve) => {
          connection.onClose(resolve)
        })
      } catch {
        // Why does not matter here; who needs the connection says so.
        if (this.#isClosed) break
        await new Promise<void>((resolve) => {
          this.#timers.set(brokerId, this.#clock.setTimeout(resolve, retryMs))
        })
      }
    }
    this.#watched.delete(brokerId)
  }
}
