import type { LogFields } from './broker-log.js'
import type { BrokerState } from './broker-state.js'
import type { Cancellation } from './cancellation.js'
import type { KafkaError } from './kafka-error.js'

/** Where clients are told to connect. */
export interface Endpoint {
  /** The name of the listener. */
  readonly listener: string
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
  /** Lets no further request of the connection begin before this one is answered. */
  goAlone(): void
  /** Cancelled as soon as another request has come behind this one. */
  followed(): Cancellation
  /** A fault's error for a partition that is fetched, where there is one. */
  readonly fetchError: ((topic: string, partition: number) => KafkaError | null) | null
  /** Gives back what the decoded request is charged for: before a long wait that needs little of it. */
  settleDecoded(): void
}

/** Whose request it is, for the broker's log. */
export function aboutRequest({ clientId, clientHost }: RequestContext): LogFields {
  return { peer: clientHost, ...(clientId !== null && { client: clientId.slice(0, 100) }) }
}

/** Thrown by a handler where Kafka closes the connection instead of answering; the message goes to the broker's log. */
export class CloseConnection extends Error {}
