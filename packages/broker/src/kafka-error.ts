import { errors } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { isStorageFailure } from './storage-failure.js'

/** A row of Kafka's table of errors. */
export type KafkaError = (typeof errors)[keyof typeof errors]

/** Kafka's names of errors, by their codes. */
export const kafkaErrorNames: ReadonlyMap<number, keyof typeof errors> = new Map(
  Object.entries(errors).map(([name, { code }]) => [code, name as keyof typeof errors]),
)

/** What a client is told about an error of the log; for other errors UNKNOWN_SERVER_ERROR, which is a bug of ours. */
export function kafkaErrorOf(error: unknown): KafkaError {
  switch (VarveError.is(error) ? error.code : null) {
    case 'VARVE_BATCH_CORRUPT':
      return errors.CORRUPT_MESSAGE
    case 'VARVE_BATCH_TOO_LARGE':
      return errors.MESSAGE_TOO_LARGE
    case 'VARVE_BATCH_MAGIC':
    case 'VARVE_BATCH_INVALID':
    case 'VARVE_RECORD_INVALID':
      return errors.INVALID_RECORD
    case 'VARVE_INVALID_TIMESTAMP':
      return errors.INVALID_TIMESTAMP
    case 'VARVE_OUT_OF_ORDER_SEQUENCE':
      return errors.OUT_OF_ORDER_SEQUENCE_NUMBER
    case 'VARVE_PRODUCER_FENCED':
      return errors.INVALID_PRODUCER_EPOCH
    case 'VARVE_INVALID_TXN_STATE':
      return errors.INVALID_TXN_STATE
    case 'VARVE_TOPIC_DELETED':
      return errors.UNKNOWN_TOPIC_OR_PARTITION
    case 'VARVE_NOT_LEADER':
      return errors.NOT_LEADER_OR_FOLLOWER
    case 'VARVE_NOT_ENOUGH_REPLICAS':
      return errors.NOT_ENOUGH_REPLICAS
    case 'VARVE_NOT_ENOUGH_REPLICAS_AFTER_APPEND':
      return errors.NOT_ENOUGH_REPLICAS_AFTER_APPEND
    case 'VARVE_OFFSET_OUT_OF_RANGE':
      return errors.OFFSET_OUT_OF_RANGE
    default:
      return isStorageFailure(error) ? errors.KAFKA_STORAGE_ERROR : errors.UNKNOWN_SERVER_ERROR
  }
}

/** The same for somebody who reads: what cannot be decoded on disk is not the reader's storage error but a bad range. */
export function kafkaReadErrorOf(error: unknown): KafkaError {
  if (VarveError.is(error) && (error.code === 'VARVE_LOG_CORRUPT' || error.code.startsWith('VARVE_BATCH_'))) {
    return errors.CORRUPT_MESSAGE
  }
  return kafkaErrorOf(error)
}
