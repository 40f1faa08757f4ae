/** What a history is made of. The README beside this says what each event means, for programs in any language. */

/** A partition, called as Kafka calls its directory: `orders-0`. */
export type PartitionName = string

/** A record in what a poll returned. */
export type ReadRecord = readonly [offset: number, value: string]

export interface ProducerSettings {
  readonly acks: 'all' | 1 | 0
  /** It promises that each record is there once at most, and all in the order of the sends, also of unknown outcome. */
  readonly idempotent: boolean
}

export interface ConsumerSettings {
  readonly group?: string
  /** Where a member starts if its group has committed nothing. */
  readonly reset?: 'earliest' | 'latest'
  /** It reads everything once nothing is written any more. */
  readonly final?: boolean
}

interface Moment {
  /** Microseconds of a monotonic clock that all clients of the history share. */
  readonly time: number
  readonly client: string
}

interface OfOperation extends Moment {
  readonly operation: number
}

export interface Start extends Moment {
  readonly type: 'start'
  readonly producer?: ProducerSettings
  readonly consumer?: ConsumerSettings
}

export interface Crash extends Moment {
  readonly type: 'crash'
}

export interface Produce extends OfOperation {
  readonly type: 'invoke'
  readonly call: 'produce'
  readonly partition: PartitionName
  readonly value: string
}

export interface Poll extends OfOperation {
  readonly type: 'invoke'
  readonly call: 'poll'
}

export interface Commit extends OfOperation {
  readonly type: 'invoke'
  readonly call: 'commit'
  readonly offsets: Readonly<Record<PartitionName, number>>
  readonly generation?: number
}

/** Asks for what the group has committed. */
export interface Committed extends OfOperation {
  readonly type: 'invoke'
  readonly call: 'committed'
}

export interface ListOffsets extends OfOperation {
  readonly type: 'invoke'
  readonly call: 'listOffsets'
}

export type Invoke = Produce | Poll | Commit | Committed | ListOffsets

/** What a call returned; which of these are there depends on the call. */
export interface Ok extends OfOperation {
  readonly type: 'ok'
  /** produce: where the record is, unless nobody said so. */
  readonly offset?: number
  /** poll */
  readonly records?: Readonly<Record<PartitionName, readonly ReadRecord[]>>
  /** poll: what is read next, after these records. */
  readonly positions?: Readonly<Record<PartitionName, number>>
  /** committed */
  readonly offsets?: Readonly<Record<PartitionName, number | null>>
  /** listOffsets: the earliest and the latest offset. */
  readonly ends?: Readonly<Record<PartitionName, readonly [start: number, end: number]>>
}

/** `fail`: it has not happened and never will. `info`: nobody knows. */
export interface Failed extends OfOperation {
  readonly type: 'fail' | 'info'
  readonly error?: string
}

export type Completion = Ok | Failed

export interface Seek extends Moment {
  readonly type: 'seek'
  readonly partition: PartitionName
  /** null: wherever that is. */
  readonly offset: number | null
}

export interface Assigned extends Moment {
  readonly type: 'assigned'
  /** Where it will read, null where that is not known. */
  readonly positions: Readonly<Record<PartitionName, number | null>>
  readonly generation?: number
}

export interface Revoked extends Moment {
  readonly type: 'revoked'
  readonly partitions: readonly PartitionName[]
}

export type HistoryEvent = Start | Crash | Invoke | Completion | Seek | Assigned | Revoked

/** A history that breaks the rules of its format, so that nothing can be said about it. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError'
}
