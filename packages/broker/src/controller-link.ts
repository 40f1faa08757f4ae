import type { ControllerRequest, ControllerResult } from '@varve/replication'
import type { AnyApi } from './supported-apis.js'

/** How a broker has the cluster changed. */
export interface ControllerLink {
  /** Whether requests that change the cluster are worked off here. */
  readonly isHere: boolean
  /** Asks the controller, which is this broker. */
  request(request: ControllerRequest): Promise<ControllerResult>
  /** Has a client's request answered by the controller, which is another broker. */
  forward(api: AnyApi, version: number, request: unknown): Promise<unknown>
}

/** Of a broker that is alone: its topics are changed without a controller. */
export const soleController: ControllerLink = {
  isHere: true,
  request: () => Promise.resolve({ error: 'NOT_CONTROLLER', partitions: [] }),
  forward: () => Promise.reject(new Error('a broker that is alone has nobody to ask')),
}
