import { errors } from '@varve/protocol'
import { Refusal } from './refusal.js'

/**
 * Checks the brokers that a partition is to have its replicas on.
 *
 * @param replicationFactor how many there have to be; default any number
 * @throws Refusal INVALID_REPLICA_ASSIGNMENT, in Kafka's words
 */
export function checkReplicas(
  brokerIds: readonly number[],
  known: ReadonlySet<number>,
  replicationFactor = brokerIds.length,
): void {
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
  if (brokerIds.length !== replicationFactor) {
    throw wrong(
      `The manual partition assignment includes a partition with ${brokerIds.length} replica(s), but this is not ` +
        `consistent with previous partitions, which have ${replicationFactor} replica(s).`,
    )
  }
}
