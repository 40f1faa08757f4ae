import { errorByCode, errors } from '@varve/protocol'
import { VarveError } from '@varve/records'

/**
 * An error that a broker answered with: `code` is `VARVE_KAFKA_ERROR`, and Kafka's own name and number say which.
 * `retriable` is Kafka's classification.
 */
export class KafkaError extends VarveError {
  /** Kafka's name, e.g. `NOT_LEADER_OR_FOLLOWER`. */
  readonly kafkaName: string
  readonly kafkaCode: number

  /**
   * @param kafkaCode the error code of the response
   * @param what what was asked for, e.g. `Produce to orders-0`
   * @param details the broker's own message, if it sent one
   */
  constructor(kafkaCode: number, what: string, details?: string | null) {
    const { name, message, retriable } = errorByCode(kafkaCode)
    const said =
      details === undefined || details === null || details === '' ? '' : ` (the broker says: ${details})`
    super('VARVE_KAFKA_ERROR', `${what} failed with ${name}: ${message}${said}`, { retriable })
    this.kafkaName = name
    this.kafkaCode = kafkaCode
  }

  override get name(): string {
    return 'KafkaError'
  }
}

// After one of these, what is known about leaders or topic ids is out of date.
const staleMetadata: ReadonlySet<number> = new Set(
  [
    errors.UNKNOWN_TOPIC_OR_PARTITION,
    errors.LEADER_NOT_AVAILABLE,
    errors.NOT_LEADER_OR_FOLLOWER,
    errors.REPLICA_NOT_AVAILABLE,
    errors.KAFKA_STORAGE_ERROR,
    errors.LISTENER_NOT_FOUND,
    errors.FENCED_LEADER_EPOCH,
    errors.UNKNOWN_LEADER_EPOCH,
    errors.OFFSET_NOT_AVAILABLE,
    errors.UNKNOWN_TOPIC_ID,
    errors.INCONSISTENT_TOPIC_ID,
  ].map(({ code }) => code),
)

export function isStaleMetadata(kafkaCode: number): boolean {
  return staleMetadata.has(kafkaCode)
}
