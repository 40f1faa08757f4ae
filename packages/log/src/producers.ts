import type { NativeAbortedTransaction, NativeLog } from '@varve/native'
import { unwrap } from './failure.js'
import { checkBound, checkWholeNumber } from './whole-number.js'

/** A transaction that ended with an abort: what its producer wrote in this range is no committed record. */
export interface AbortedTransaction {
  /** A bigint only where a number would not be exact. */
  producerId: number | bigint
  /** The offset of its first record. */
  firstOffset: number
  /** The offset of the abort marker. */
  lastOffset: number
}

/** What a log remembers of an idempotent or transactional producer. */
export interface ProducerState {
  /** A bigint only where a number would not be exact. */
  producerId: number | bigint
  /** The latest epoch that has written, from 0 to 32767. */
  producerEpoch: number
  /** The last sequence number of the epoch; −1 when it has written nothing. */
  lastSequence: number
  /** Of its last batch or marker, in ms since 1970. */
  lastTimestamp: number
  /** The epoch of the transaction coordinator that wrote the last marker; −1 before there was one. */
  coordinatorEpoch: number
  /** Where its open transaction starts; `null` without one. */
  currentTxnStartOffset: number | null
}

/**
 * What a log knows of transactions and of the producers that write them (KIP-98).
 *
 * @example
 * ```ts
 * import { encodeBatch, encodeEndTransactionMarker, openLog } from '@varve/log'
 *
 * await using log = await openLog('./payments')
 * const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0, transactional: true }
 * await log.appendBatches([encodeBatch([{ value: 'paid' }], { producer })])[0]
 * console.log(log.lastStableOffset, log.producers()[0]?.currentTxnStartOffset) // 0 0: the transaction is open
 * const marker = encodeEndTransactionMarker({ type: 'abort', producerId: 7, producerEpoch: 0 })
 * await log.appendBatches([marker])[0]
 * console.log(log.lastStableOffset, await log.abortedTransactions(0, log.endOffset)) // 2, and the transaction from 0 to 1
 * for await (const record of log.read({ isolation: 'readCommitted' })) console.log(record) // nothing
 * log.setHighWatermark(2) // as a follower does when its leader says what is safe
 * ```
 */
export interface LogTransactions {
  /**
   * Up to where a reader of committed records sees: every transaction before it has ended, and its marker is durable.
   * With an open transaction that is where the earliest one starts, without any `durableOffset`.
   */
  readonly lastStableOffset: number
  /**
   * For a replicated log: no marker from `offset` on ends a transaction for {@link lastStableOffset}, because it may still
   * be lost. A log that has never been told goes by its own durability. @throws VarveError `VARVE_INVALID_OPTION`
   */
  setHighWatermark(offset: number): void
  /**
   * The aborted transactions with a record from `from` up to but not including `to`, in the order of their markers: what
   * a Fetch of committed records tells its consumer.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   */
  abortedTransactions(from: number, to: number): Promise<AbortedTransaction[]>
  /** The idempotent and transactional producers that the log remembers, in the order of their ids. */
  producers(): ProducerState[]
}

const narrow = (id: bigint): number | bigint => (id <= Number.MAX_SAFE_INTEGER ? Number(id) : id)

export function producersOf(native: NativeLog): ProducerState[] {
  return native.producers().map(({ producerId, currentTxnFirstOffset, ...state }) => ({
    producerId: narrow(producerId),
    ...state,
    currentTxnStartOffset: currentTxnFirstOffset ?? null,
  }))
}

/** At once when the indexes are in memory. @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO` */
export function abortedIn(
  native: NativeLog,
  from: number,
  upTo: number,
): AbortedTransaction[] | Promise<AbortedTransaction[]> {
  checkWholeNumber('from', from, 0, Number.MAX_SAFE_INTEGER)
  checkBound('to', upTo)
  const cached = native.abortedTransactions(from, upTo)
  if (cached !== null) return unwrap(cached).map(narrowed)
  return native.abortedTransactionsCold(from, upTo).then((found) => unwrap(found).map(narrowed))
}

function narrowed({ producerId, firstOffset, lastOffset }: NativeAbortedTransaction): AbortedTransaction {
  return { producerId: narrow(producerId), firstOffset, lastOffset }
}
