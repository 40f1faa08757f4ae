import type { BrokerState } from './broker-state.js'
import type { Cancellation } from './cancellation.js'

/** Where clients are told to connect. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** What a handler knows about the request beside its body. */
export interface RequestContext {
  readonly broker: BrokerState
  readonly apiVersion: number
  readonly clientId: string | null
  /** The client's address. */
  readonly clientHost: string
  /** The advertised endpoint of the listener that the request came in on. */
  readonly endpoint: Endpoint
  /** Cancelled when the connection is gone: whatever is still being waited for is then waited for in vain. */
  readonly gone: Cancellation
  /**
   * Counts the request's bytes as in use until the promise settles, beyond the response: for an append whose buffer the
   * log still holds.
   */
  retain(until: Promise<unknown>): void
  /** Gives back what the decoded request is charged for: before a long wait that needs little of it. */
  settleDecoded(): void
}

/** Thrown by a handler where Kafka closes the connection instead of answering; the message goes to the broker's log. */
export class CloseConnection extends Error {}
