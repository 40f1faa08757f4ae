import type { ControllerRequest, ControllerResult } from '@varve/replication'
import type { AnyApi } from './supported-apis.js'

/** How a broker has the cluster changed. */
export interface ControllerLink {
  /** Whether requests that change the cluster are worked off here. */
  readonly isHere: boolean
  /** Whether what a request asks for takes others, which may be away; otherwise it is answered when it is done. */
  readonly needsOthers: boolean
  /** Asks the controller, which is this broker. */
  request(request: ControllerRequest): Promise<ControllerResult>
  /** Has a client's request answered by the controller, which is another broker. */
  forward(api: AnyApi, version: number, request: unknown): Promise<unknown>
}

/** The controller of a broker that is alone. Its topics are changed without it; there is nothing that it could move or elect. */
export function soleController(nodeId: number): ControllerLink {
  return {
    isHere: true,
    needsOthers: false,
    request: async (request) => answerAlone(request, nodeId),
    forward: () => Promise.reject(new Error('a broker that is alone has nobody to ask')),
  }
}

function answerAlone(request: ControllerRequest, nodeId: number): ControllerResult {
  switch (request.kind) {
    case 'reassign': {
      const partitions = request.partitions.map(({ topic, partition, replicas }) => {
        // What is not refused before is where it is.
        const error = replicas === null ? ('NO_REASSIGNMENT_IN_PROGRESS' as const) : null
        return { topic, partition, error }
      })
      return { error: null, partitions }
    }
    case 'elect leaders': {
      const partitions = request.partitions ?? []
      return {
        error: null,
        partitions: partitions.map(({ topic, partition }) => ({
          topic,
          partition,
          error: 'ELECTION_NOT_NEEDED',
        })),
      }
    }
    case 'unregister':
      // One that lives registers again at once.
      return { error: request.brokerId === nodeId ? null : 'BROKER_ID_NOT_REGISTERED', partitions: [] }
    default:
      return { error: 'NOT_CONTROLLER', partitions: [] }
  }
}
