import { errors, findCoordinator } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Cluster } from './cluster.js'
import { KafkaError } from './kafka-error.js'

// The first version that takes several keys at once.
const MANY_FROM_VERSION = 4

/** After one of these, the group's coordinator has to be found again. */
export function isCoordinatorMoved(error: unknown): boolean {
  if (!VarveError.is(error)) return false
  if (error instanceof KafkaError) {
    return (
      error.kafkaCode === errors.NOT_COORDINATOR.code ||
      error.kafkaCode === errors.COORDINATOR_NOT_AVAILABLE.code
    )
  }
  return error.code === 'VARVE_CONNECTION_FAILED' || error.code === 'VARVE_CONNECTION_CLOSED'
}

/**
 * Asks any broker which node coordinates each of the groups, and remembers where those nodes are. Every group has its
 * node id or its error.
 *
 * @throws VarveError `VARVE_NO_BROKER`, or what the request was rejected with.
 */
export async function findCoordinators(
  cluster: Cluster,
  groupIds: readonly string[],
  signal?: AbortSignal,
): Promise<Map<string, number | VarveError>> {
  const connection = await cluster.anyConnection()
  const found = new Map<string, number | VarveError>()
  const take = (
    key: string,
    answer: { nodeId: number; host: string; port: number; errorCode: number; errorMessage: string | null },
  ): void => {
    const { nodeId, host, port, errorCode, errorMessage } = answer
    if (errorCode === 0) cluster.learnNode(nodeId, { host, port })
    found.set(
      key,
      errorCode === 0
        ? nodeId
        : new KafkaError(errorCode, `Finding the coordinator of group '${key}'`, errorMessage),
    )
  }
  if (connection.versionOf(findCoordinator) >= MANY_FROM_VERSION) {
    const { coordinators } = await connection.request(
      findCoordinator,
      { coordinatorKeys: groupIds },
      { signal },
    )
    for (const answer of coordinators) take(answer.key, answer)
  } else {
    const answers = groupIds.map(async (key) =>
      take(key, await connection.request(findCoordinator, { key }, { signal })),
    )
    await Promise.all(answers)
  }
  for (const groupId of groupIds) {
    if (found.has(groupId)) continue
    const problem = `The broker's response to FindCoordinator does not name group '${groupId}'`
    found.set(groupId, new VarveError('VARVE_INVALID_RESPONSE', problem))
  }
  return found
}
