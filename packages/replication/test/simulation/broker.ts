import { BrokerLife } from './broker-life.js'
import type { SimulatedNode } from './node.js'
import type { Simulation } from './simulation.js'
import { healthyDisk, SimulatedLog, type SimulatedDisk } from './simulated-log.js'

export { HostedReplica } from './hosted-replica.js'

/** A machine with a broker on it: its disk outlives the broker's lives. */
export class SimulatedBroker {
  readonly id: number
  readonly node: SimulatedNode
  readonly rack: string
  directoryId: string
  readonly disk: SimulatedDisk = healthyDisk()
  readonly logs = new Map<string, SimulatedLog>()
  /** Whether the machine has lost power since a controller took note of the broker. */
  rebooted = false
  mayHaveLostRecords = false
  life: BrokerLife | null = null
  /** Its process has ended in order. */
  isStopped = false
  #disks = 1
  readonly #simulation: Simulation

  constructor(simulation: Simulation, node: SimulatedNode, rack: string) {
    this.#simulation = simulation
    this.node = node
    this.id = node.id
    this.rack = rack
    this.directoryId = `directory-${node.id}-1`
  }

  /** The log of a partition on this machine; a new one where there is none. */
  log(partition: string): SimulatedLog {
    let log = this.logs.get(partition)
    if (log === undefined) {
      const { time, random, scenario } = this.#simulation
      log = new SimulatedLog({
        time,
        random: random.fork(`${this.id} ${partition}`),
        node: this.node,
        disk: this.disk,
        durability: scenario.durability,
      })
      log.onChange = () => this.life?.logChanged(partition)
      log.open()
      this.logs.set(partition, log)
    }
    return log
  }

  deleteLog(partition: string): void {
    this.logs.get(partition)?.close()
    this.logs.delete(partition)
  }

  start(): void {
    this.node.start()
    this.tell(this.rebooted ? 'starts after its machine has' : 'starts')
    this.startFirst()
  }

  /** For the first life that its node has begun already. */
  startFirst(): void {
    this.isStopped = false
    this.#simulation.network.join(
      this.node,
      (packet) => this.life?.receive(packet),
      (peer) => this.life?.connectionReset(peer),
    )
    this.life = new BrokerLife(this, this.#simulation)
    this.#simulation.invariants.checkDisk(this)
  }

  /** A controller has noted what this broker may have lost. */
  admitted(): void {
    this.rebooted = false
    this.mayHaveLostRecords = false
    this.#simulation.faultModel.admitted(this.id, this.node.incarnation)
  }

  crash(): void {
    this.tell('crashes')
    this.#end()
    this.#simulation.network.crash(this.id, true)
    for (const log of this.logs.values()) log.processCrash()
    this.#simulation.invariants.checkDisk(this)
  }

  losePower(): void {
    this.tell('loses power')
    this.#end()
    if (this.node.state !== 'down') this.#simulation.network.crash(this.id, false)
    this.#simulation.faultModel.powerLost(this.id, this.node.incarnation)
    for (const log of this.logs.values()) log.powerLoss()
    this.rebooted = true
    this.#simulation.invariants.checkDisk(this)
  }

  /** Its data is gone for good. It begins anew under the id that it had. */
  replaceDisk(): void {
    this.tell('gets an empty disk')
    this.#end()
    if (this.node.state !== 'down') this.#simulation.network.crash(this.id, false)
    this.#simulation.faultModel.recordsLost(this.id, this.node.incarnation)
    for (const log of this.logs.values()) log.powerLoss()
    this.logs.clear()
    this.directoryId = `directory-${this.id}-${++this.#disks}`
    this.rebooted = false
    this.mayHaveLostRecords = true
    this.#simulation.invariants.checkDisk(this)
  }

  /** Its session has ended as it was asked to. */
  stopped(): void {
    if (this.life === null) return
    this.tell('has shut down')
    this.#end()
    this.isStopped = true
    for (const log of this.logs.values()) log.close()
    this.#simulation.network.crash(this.id, true)
    this.#simulation.brokerStopped(this)
  }

  #end(): void {
    this.life?.store.close()
    this.life = null
  }

  tell(what: string): void {
    const { timeline } = this.#simulation
    if (timeline.recording) timeline.tell('brokers', `broker ${this.id}`, what)
  }
}
