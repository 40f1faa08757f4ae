import { Connection, type ConnectionOptions } from '@varve/client/connection'
import { FramePool } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { BrokerLookup } from '@varve/replication'

/** Brokers call themselves so to each other, with their id behind it. */
const clientIdPrefix = 'varve-broker-'

export interface BrokerPeersOptions {
  readonly brokerId: number
  readonly brokers: BrokerLookup
  /** The listener by which brokers reach each other: Kafka's `inter.broker.listener.name`. */
  readonly listener: string
  /** How that listener is spoken with by a connection that begins now. */
  readonly tls: () => ConnectionOptions['tls']
  /** Nobody listens any more where a broker was. */
  readonly onRefused: (brokerId: number) => void
}

/** The connections of a broker to others of its cluster. */
export class BrokerPeers {
  readonly #options: BrokerPeersOptions
  readonly #shared = new Map<number, Promise<Connection>>()
  readonly #open = new Set<Connection>()
  readonly #closing = new AbortController()
  /** Of the records that are fetched. */
  readonly #frames = new FramePool()

  constructor(options: BrokerPeersOptions) {
    this.#options = options
  }

  /** Ends all connections. */
  close(): void {
    this.#closing.abort(new VarveError('VARVE_BROKER_CLOSED', 'the broker is closing'))
    for (const connection of this.#open) connection.close()
  }

  /**
   * Dials a broker, for a connection of the caller's own.
   *
   * @throws VarveError `VARVE_BROKER_NOT_REGISTERED`, `VARVE_BROKER_CLOSED`, and as `Connection.dial`
   */
  async dial(brokerId: number): Promise<Connection> {
    const { host, port } = this.#addressOf(brokerId)
    const { brokers, onRefused } = this.#options
    const dialled = brokers(brokerId)?.brokerEpoch
    const { signal } = this.#closing
    try {
      const connection = await Connection.dial(host, port, {
        clientId: clientIdPrefix + this.#options.brokerId,
        tls: this.#options.tls(),
        signal,
        frames: this.#frames,
      })
      if (signal.aborted) {
        connection.close()
        signal.throwIfAborted()
      }
      this.#open.add(connection)
      connection.onClose(() => this.#open.delete(connection))
      return connection
    } catch (error) {
      // Where it is registered anew meanwhile it may well listen: its former life has been dialled.
      if (isRefusal(error) && brokers(brokerId)?.brokerEpoch === dialled) onRefused(brokerId)
      throw error
    }
  }

  /** The connection to a broker that requests which do not wait for long share; as {@link dial}. */
  shared(brokerId: number): Promise<Connection> {
    let connection = this.#shared.get(brokerId)
    if (connection === undefined) {
      connection = this.dial(brokerId)
      this.#shared.set(brokerId, connection)
      const forget = (): void => {
        if (this.#shared.get(brokerId) === connection) this.#shared.delete(brokerId)
      }
      connection.then((open) => open.onClose(forget), forget)
    }
    return connection
  }

  #addressOf(brokerId: number): { host: string; port: number } {
    const { brokers, listener } = this.#options
    const endpoint = brokers(brokerId)?.endpoints[listener]
    if (endpoint === undefined) {
      throw new VarveError(
        'VARVE_BROKER_NOT_REGISTERED',
        `broker ${brokerId} is not there, or has no listener called ${listener}; start it, or give all brokers the same listeners`,
        { retriable: true },
      )
    }
    return parseEndpoint(endpoint)
  }
}

/** Reads what a registration says of a listener. */
export function parseEndpoint(endpoint: string): { host: string; port: number } {
  const colon = endpoint.lastIndexOf(':')
  const host = endpoint.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return { host, port: Number(endpoint.slice(colon + 1)) }
}

function isRefusal(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: unknown; errors?: readonly { code?: unknown }[] } }
  const causes = cause?.errors ?? [cause]
  return causes.length > 0 && causes.every((each) => each?.code === 'ECONNREFUSED')
}
