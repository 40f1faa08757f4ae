import type { FetchedRecords, FollowerFetch } from '@varve/replication'
import type { ProducedBatch, SimulatedBatch } from './simulated-batch.js'

/** What goes over the network between brokers and clients. `partition` is the key of its state in the store. */
export type Message =
  | { readonly kind: 'fetch'; readonly partition: string; readonly fetch: FollowerFetch }
  | {
      readonly kind: 'fetched'
      readonly partition: string
      readonly fetchId: number
      readonly answer: FetchedRecords
      readonly batches: readonly SimulatedBatch[]
    }
  | {
      readonly kind: 'produce'
      readonly partition: string
      readonly requestId: number
      readonly acks: 0 | 1 | -1
      readonly batch: ProducedBatch
    }
  | {
      readonly kind: 'produced'
      readonly requestId: number
      readonly error: string | null
      readonly baseOffset: number
    }
  | { readonly kind: 'init producer id'; readonly requestId: number }
  | { readonly kind: 'producer id'; readonly requestId: number; readonly producerId: number }
  | { readonly kind: 'metadata'; readonly requestId: number }
  | { readonly kind: 'metadata answer'; readonly requestId: number; readonly metadata: ClientMetadata }
  | {
      readonly kind: 'consume'
      readonly partition: string
      readonly requestId: number
      readonly offset: number
      readonly rack: string
      /** Where the consumer takes it for granted that only the leader answers. */
      readonly fromLeader: boolean
    }
  | {
      readonly kind: 'consumed'
      readonly requestId: number
      readonly error: string | null
      readonly preferredReadReplica: number | null
      readonly logStartOffset: number
      readonly batches: readonly SimulatedBatch[]
      /** How often the partition had been elected uncleanly when this was read; what was read before does not bind. */
      readonly generation: number
    }

export interface ClientMetadata {
  readonly controller: number
  readonly partitions: readonly ClientPartition[]
}

export interface ClientPartition {
  readonly partition: string
  readonly topic: string
  readonly leader: number
  readonly leaderEpoch: number
}
