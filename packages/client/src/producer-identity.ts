import { initProducerId } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Clock } from './clock.js'
import type { Cluster } from './cluster.js'
import { KafkaError } from './kafka-error.js'

/** By which a broker knows a producer again, and its batches (KIP-98). */
export interface ProducerId {
  readonly producerId: number
  readonly epoch: number
}

export interface IdentityEvents {
  known(): void
  /** There is none to be had: waiting does not help. */
  failed(error: unknown): void
}

const MAX_EPOCH = 0x7fff
const MAX_BACKOFF_MS = 1_000

/** A producer's id and epoch, asked for once it is needed. */
export class ProducerIdentity {
  private readonly cluster: Cluster
  private readonly clock: Clock
  private readonly retryBackoffMs: number
  private readonly events: IdentityEvents
  private current: ProducerId | null = null
  private asking = false
  private failures = 0

  constructor(cluster: Cluster, clock: Clock, retryBackoffMs: number, events: IdentityEvents) {
    this.cluster = cluster
    this.clock = clock
    this.retryBackoffMs = retryBackoffMs
    this.events = events
  }

  /** Null while it is being asked for; `known` tells when it is there. */
  get(): ProducerId | null {
    if (this.current === null) void this.ask()
    return this.current
  }

  /** The next epoch, in which sequences of a partition begin anew (KIP-360); null once there are no more of this id. */
  after({ producerId, epoch }: ProducerId): ProducerId | null {
    if (epoch < MAX_EPOCH) return { producerId, epoch: epoch + 1 }
    if (this.current?.producerId === producerId) this.current = null
    return this.get()
  }

  private async ask(): Promise<void> {
    if (this.asking) return
    this.asking = true
    try {
      const connection = await this.cluster.anyConnection()
      // Without a transactional id the timeout says nothing.
      const body = { transactionalId: null, transactionTimeoutMs: 0x7fff_ffff }
      const { errorCode, producerId, producerEpoch } = await connection.request(initProducerId, body)
      if (errorCode !== 0) throw new KafkaError(errorCode, 'Getting a producer id')
      this.current = { producerId, epoch: producerEpoch }
      this.failures = 0
      this.asking = false
      this.events.known()
    } catch (error) {
      this.failed(error)
    }
  }

  private failed(error: unknown): void {
    if (!VarveError.is(error) || !error.retriable) {
      this.asking = false
      this.events.failed(error)
      return
    }
    const backoff = Math.min(this.retryBackoffMs * 2 ** Math.min(this.failures++, 10), MAX_BACKOFF_MS)
    this.clock.after(backoff, () => {
      this.asking = false
      // Whoever still needs one asks again; others may have waited for too long.
      this.events.known()
    })
  }
}
