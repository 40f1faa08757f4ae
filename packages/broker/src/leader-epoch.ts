import { errors } from '@varve/protocol'
import type { KafkaError } from './kafka-error.js'

/**
 * Compares the leader epoch that a client believes in with the partition's (KIP-320). A client without one sends -1 and
 * is let through.
 */
export function leaderEpochError(requested: number, current: number): KafkaError | null {
  if (requested === -1 || requested === current) return null
  return requested < current ? errors.FENCED_LEADER_EPOCH : errors.UNKNOWN_LEADER_EPOCH
}
