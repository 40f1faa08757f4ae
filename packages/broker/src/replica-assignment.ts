import { errors } from '@varve/protocol'
import { Refusal } from './refusal.js'

/**
 * Checks the brokers that a partition is to have its replicas on.
 *
 * @throws Refusal INVALID_REPLICA_ASSIGNMENT, in Kafka's words
 */
export function checkReplicas(brokerIds: readonly number[], known: ReadonlySet<number>): void {
  const wrong = (message: string): Refusal => new Refusal(errors.INVALID_REPLICA_ASSIGNMENT, message)
  if (brokerIds.length === 0) throw wrong('The manual partition assignment includes an empty replica list.')
  const stranger = brokerIds.find((id) => !known.has(id))
  if (stranger !== undefined) {
    throw wrong(
      `The manual partition assignment includes broker ${stranger}, but no such broker is registered.`,
    )
  }
  const twice = brokerIds.find((id, place) => brokerIds.indexOf(id) !== place)
  if (twice !== undefined) {
    throw wrong(`The manual partition assignment includes the broker ${twice} more than once.`)
  }
}
