import type { MetadataTransaction } from '../metadata-store.js'
import type { NewPartitions } from './partition-puts.js'
import type { ControllerResult } from './request.js'

/**
 * What a request asks for next: a transaction, or to be answered. Each step is found from the image
 * alone, so one whose transaction failed, or may yet be applied, just looks again.
 */
export type RequestStep =
  | { readonly kind: 'transaction'; readonly transaction: MetadataTransaction }
  | { readonly kind: 'done'; readonly result: ControllerResult }

/** A request that is under way, to a topic as a whole or to a broker. */
export interface PendingRequest {
  /** Those to one topic take their turn. */
  readonly topic: string | null
  next(): RequestStep
  /** Those that the request makes, once their replicas are placed. */
  readonly partitions?: NewPartitions | null
  /** Whether a partition belongs to what the request is making, and so is not one that was left behind. */
  makes?(topicId: string, partition: number): boolean
}
