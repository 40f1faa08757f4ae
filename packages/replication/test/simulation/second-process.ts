import { BrokerSession, ClusterImage, type MetadataEvent } from '@varve/replication'
import { EtcdClient } from './etcd-client.js'
import { SimulatedNode } from './node.js'
import type { Simulation } from './simulation.js'

export interface SecondProcessOptions {
  readonly brokerId: number
  readonly directoryId: string
  readonly mayHaveLostRecords: boolean
  readonly rack: string
}

const tickMs = 300

/**
 * A process that should not be: it takes itself for a broker that there is already. It registers and stands for controller, and never
 * gets as far as to serve anything.
 */
export class SecondProcess {
  readonly name: string
  readonly #node: SimulatedNode
  readonly #store: EtcdClient
  readonly #image = new ClusterImage()
  readonly #session: BrokerSession
  #hasImage = false

  constructor(simulation: Simulation, options: SecondProcessOptions) {
    this.#node = new SimulatedNode(simulation.time, simulation.nextNode())
    this.name = `process ${this.#node.id}`
    simulation.network.join(this.#node, () => {})
    this.#store = new EtcdClient({ node: this.#node, server: simulation.etcdServer })
    this.#session = new BrokerSession({
      ...options,
      incarnationId: this.name,
      endpoints: {},
      image: this.#image,
      leaseTtlSeconds: simulation.scenario.leaseTtlSeconds,
      now: this.#now(),
    })
    this.#store.follow('/', {
      reset: (entries, revision) => {
        this.#image.reset(entries, revision)
        this.#hasImage = true
        this.#imageChanged()
      },
      events: (events) => this.#apply(events),
    })
    this.#tick()
  }

  #now(): number {
    return this.#node.clock.now()
  }

  #apply(events: readonly MetadataEvent[]): void {
    for (const event of events) this.#image.apply(event)
    this.#imageChanged()
  }

  #imageChanged(): void {
    this.#session.imageChanged(this.#now())
    this.#pump()
  }

  #tick(): void {
    this.#session.tick(this.#now())
    this.#pump()
    this.#node.after(tickMs, () => this.#tick())
  }

  #pump(): void {
    if (!this.#hasImage) return
    for (const output of this.#session.take()) {
      switch (output.kind) {
        case 'grant lease': {
          this.#store.grantLease(output.ttlSeconds, (lease) => {
            if (lease === null) this.#session.leaseNotGranted(this.#now())
            else this.#session.leaseGranted(lease, this.#now())
            this.#pump()
          })
          break
        }
        case 'keep alive': {
          const { lease } = output
          this.#store.keepAlive(lease, (answer) => {
            if (answer === 'lost') this.#session.leaseLost(lease, this.#now())
            this.#pump()
          })
          break
        }
        case 'revoke lease': {
          this.#store.revokeLease(output.lease)
          break
        }
        case 'transaction': {
          this.#store.transaction(output.transaction, (outcome) => {
            this.#session.settled(output.id, outcome, this.#now())
            this.#pump()
          })
        }
      }
    }
    if (this.#session.state === 'stopped') this.crash()
  }

  crash(): void {
    this.#store.close()
    this.#node.crash()
  }
}
