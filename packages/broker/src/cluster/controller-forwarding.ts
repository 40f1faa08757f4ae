import type { ControllerRequest, ControllerResult } from '@varve/replication'
import { errors } from '@varve/protocol'
import type { ControllerLink } from '../controller-link.js'
import { Refusal } from '../refusal.js'
import type { AnyApi } from '../supported-apis.js'
import type { BrokerPeers } from './broker-peers.js'
import type { ClusterMember } from './cluster-member.js'

/** Asks the controller, where it is: here, or by passing a client's request on as it is. */
export class ControllerForwarding implements ControllerLink {
  readonly needsOthers = true
  readonly #member: ClusterMember
  readonly #peers: BrokerPeers

  constructor(member: ClusterMember, peers: BrokerPeers) {
    this.#member = member
    this.#peers = peers
  }

  get isHere(): boolean {
    return this.#member.isController
  }

  request(request: ControllerRequest): Promise<ControllerResult> {
    return this.#member.request(request)
  }

  async forward(api: AnyApi, version: number, request: unknown): Promise<unknown> {
    const { controller } = this.#member.image
    if (controller === null) throw new Refusal(errors.NOT_CONTROLLER, 'There is no controller at present.')
    const connection = await this.#peers.shared(controller.brokerId)
    return await connection.request(api as never, request as never, { maxVersion: version })
  }
}
