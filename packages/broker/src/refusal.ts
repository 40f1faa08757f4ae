import type { errors } from '@varve/protocol'
import { messageOf } from './broker-log.js'
import { type KafkaError, kafkaErrorOf } from './kafka-error.js'
import { storageFailureText } from './storage-failure.js'

/** Why a part of a request is not done: Kafka's error, with a message where there is one to give. */
export class Refusal extends Error {
  readonly error: KafkaError

  constructor(error: (typeof errors)[keyof typeof errors], message: string) {
    super(message)
    this.error = error
  }
}

/** What a client is told about whatever was thrown: a refusal as it is, a failure with what to do about it. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  return new Refusal(kafkaErrorOf(error), storageFailureText(error, 'try again') || messageOf(error))
}
