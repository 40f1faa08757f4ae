import { recordKey, type RecordKey, versioned, type VersionedMessage } from './prefixed-message.js'
import { array, int16, int32, int64, int8, string } from './schema.js'
import type { Decoded, Encodable } from './schema.js'

/**
 * What the coordinator of transactions keeps in `__transaction_state`, a compacted topic. A key without a value means that
 * the transactional id is forgotten.
 */

const id = { transactionalId: string('0+') }

/** Whose transaction it is. */
export interface TransactionLogKey extends Decoded<typeof id> {}
export const transactionLogKey: RecordKey<TransactionLogKey> = recordKey({
  type: 0,
  name: 'TransactionLogKey',
  fields: id,
})

const state = {
  producerId: int64('0+'),
  previousProducerId: int64('1+', { default: -1, tag: 0 }),
  nextProducerId: int64('1+', { default: -1, tag: 1 }),
  producerEpoch: int16('0+'),
  nextProducerEpoch: int16('1+', { default: -1, tag: 3 }),
  transactionTimeoutMs: int32('0+'),
  transactionStatus: int8('0+'),
  transactionPartitions: array(
    '0+',
    {
      topic: string('0+'),
      partitionIds: array('0+', 'int32'),
    },
    { nullable: '0+' },
  ),
  transactionLastUpdateTimestampMs: int64('0+'),
  transactionStartTimestampMs: int64('0+'),
  clientTransactionVersion: int16('1+', { default: 0, tag: 2 }),
}

/**
 * Its producer, state and partitions. The states are 0 empty, 1 ongoing, 2 prepared to commit, 3 prepared to abort, 4
 * committed, 5 aborted, 6 dead, 7 prepared to fence the producer. Version 1 has what KIP-890 needs to tell apart the
 * producers of successive transactions; with transaction version 0 Kafka writes version 0.
 */
export interface TransactionLogValue extends Decoded<typeof state> {}
export type TransactionLogValueInput = Encodable<typeof state>
export const transactionLogValue: VersionedMessage<TransactionLogValue, TransactionLogValueInput> = versioned(
  {
    name: 'TransactionLogValue',
    versions: '0-1',
    flexible: '1+',
    fields: state,
  },
)
