import type { RequestHeader } from '@varve/protocol'

/** Is told of requests where somebody measures them. */
export interface RequestObserver {
  /** The time of its own clock, in ms; what `answered` is given back. */
  now(): number
  /** A frame has been received. */
  received(bytes: number): void
  /** A response goes to its socket, of 0 bytes where the request has none; `recordBytes` of them are fetched records. */
  answered(header: RequestHeader, beganAt: number, bytes: number, recordBytes: number): void
}
