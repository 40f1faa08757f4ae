/**
 * FindCoordinator (10), versions 0 to 6.
 *
 * A group's coordinator is the leader of the partition that holds it; a single broker is that of all, unless the partition
 * cannot be served. The first request creates the topic of the groups and waits for that, where Kafka answers
 * COORDINATOR_NOT_AVAILABLE meanwhile. For a transaction the answer is UNSUPPORTED_VERSION, which no client retries: Kafka
 * has no code for "no transactions here", and COORDINATOR_NOT_AVAILABLE would be asked again forever. For share groups it
 * is INVALID_REQUEST, as in a Kafka without them.
 */
import { errors, type FindCoordinatorRequest, type FindCoordinatorResponseInput } from '@varve/protocol'
import { Refused, unlessRefused } from '../groups/refused.js'
import type { RequestContext } from '../request-context.js'

const groupKey = 0
const transactionKey = 1

interface Coordinator {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

export async function handleFindCoordinator(
  request: FindCoordinatorRequest,
  context: RequestContext,
): Promise<FindCoordinatorResponseInput> {
  const { keyType } = request
  if (context.apiVersion < 4) return await coordinatorOf(request.key, keyType, context)
  const coordinators = request.coordinatorKeys.map(async (key) => ({
    key,
    ...(await coordinatorOf(key, keyType, context)),
  }))
  return { coordinators: await Promise.all(coordinators) }
}

async function coordinatorOf(key: string, keyType: number, context: RequestContext): Promise<Coordinator> {
  if (keyType === groupKey) return await groupCoordinatorOf(key, context)
  if (keyType === transactionKey) {
    return none(errors.UNSUPPORTED_VERSION.code, 'This broker does not support transactions.')
  }
  return none(errors.INVALID_REQUEST.code, `There is no coordinator of key type ${keyType} on this broker.`)
}

function groupCoordinatorOf(
  groupId: string,
  { apiVersion, broker, endpoint }: RequestContext,
): Promise<Coordinator> {
  // What Kafka says where nothing is wrong.
  const errorMessage = apiVersion < 4 ? 'NONE' : ''
  const itself = { errorCode: 0, errorMessage, nodeId: broker.nodeId, ...endpoint }
  return unlessRefused<Coordinator>(
    async () => {
      const leader = broker.cluster.leaderOf(await broker.groups.partitionFor(groupId))
      if (leader !== broker.nodeId) {
        const node = broker.cluster.nodes(endpoint).find(({ nodeId }) => nodeId === leader)
        if (node === undefined) throw new Refused(errors.COORDINATOR_NOT_AVAILABLE)
        return { errorCode: 0, errorMessage, nodeId: leader, host: node.host, port: node.port }
      }
      await broker.groups.shardFor(groupId)
      return itself
    },
    (error, message) => {
      // It is here, and will soon know its groups.
      if (error === errors.COORDINATOR_LOAD_IN_PROGRESS) return itself
      // Elected, and not led from here yet, or no more: who it is will be known soon.
      if (error !== errors.NOT_COORDINATOR) return none(error.code, message)
      return none(errors.COORDINATOR_NOT_AVAILABLE.code, errors.COORDINATOR_NOT_AVAILABLE.message)
    },
  )
}

function none(errorCode: number, errorMessage: string): Coordinator {
  return { errorCode, errorMessage, nodeId: -1, host: '', port: -1 }
}
