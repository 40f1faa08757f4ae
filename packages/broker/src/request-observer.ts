import type { AnyApi, RequestHeader } from '@varve/protocol'

/** What waits for something to happen before it is answered: Kafka's purgatories. */
export type DelayedOperation = 'Produce' | 'Fetch'

/** Who sent a Fetch. */
export type FetchedBy = 'consumer' | 'follower'

/** Is told of requests where somebody measures them. */
export interface RequestObserver {
  /** The time of its own clock, in ms; what `answered` is given back. */
  now(): number
  /** A frame has been received. */
  received(bytes: number): void
  /** What a request is answered with, before it is encoded. */
  responded(api: AnyApi, version: number, response: object): void
  /** A response goes to its socket, of 0 bytes where the request has none. */
  answered(header: RequestHeader, beganAt: number, bytes: number): void
  /** Something was to be appended to a partition; `topic` is null where there is no such topic. */
  produced(topic: string | null, errorCode: number): void
  /** A partition was read for a Fetch of a consumer or a follower, and so many bytes of records are sent. */
  fetched(topic: string | null, errorCode: number, bytes: number, by: FetchedBy): void
  /** A request begins to wait, or has waited. */
  delayed(operation: DelayedOperation, change: 1 | -1): void
}
