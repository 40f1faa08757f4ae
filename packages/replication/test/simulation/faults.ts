import type { SimulatedBroker } from './broker.js'
import { healthyDisk } from './simulated-log.js'
import type { Random } from './random.js'
import type { FaultKind } from './scenario.js'
import type { Simulation } from './simulation.js'

/** The id of the node that the metadata store is on. */
export const storeNode = 0

/** Breaks things at random times, as far as the scenario and the fault model allow, and mends each after a while. */
export class Faults {
  readonly #simulation: Simulation
  readonly #random: Random
  #isBreaking = false
  /** How often each kind has begun. */
  readonly done: Partial<Record<FaultKind, number>> = {}
  endedAt = Infinity

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    this.#random = simulation.random.fork('faults')
  }

  begin(): void {
    const { scenario } = this.#simulation
    if (scenario.faults.length === 0) return
    this.#isBreaking = true
    this.#next(scenario.meanFaultMs)
  }

  /** The store has committed something. */
  committed(): void {
    const { scenario, time } = this.#simulation
    if (!this.#isBreaking || !this.#random.chance(scenario.faultAtCommitChance)) return
    time.after(this.#random.exponential(3), () => {
      if (this.#isBreaking) this.#break(this.#random.pick(scenario.faults))
    })
  }

  #next(meanMs: number): void {
    this.#simulation.time.after(this.#random.exponential(meanMs), () => {
      if (!this.#isBreaking) return
      this.#break(this.#random.pick(this.#simulation.scenario.faults))
      this.#next(meanMs)
    })
  }

  /** Everything is mended, and every broker runs. */
  end(): void {
    this.#isBreaking = false
    const { network, etcdServer, brokers } = this.#simulation
    this.endedAt = this.#simulation.time.now
    this.#tell(() => 'all is mended, and no more begin')
    network.healAll()
    network.loss = 0
    network.reorder = 0
    network.duplicate = 0
    etcdServer.slowFactor = 1
    etcdServer.lateRequest = { chance: 0, maxMs: 0 }
    for (const broker of brokers.values()) {
      etcdServer.delayWatch(broker.id, 0)
      broker.node.clock.setRate(1)
      Object.assign(broker.disk, healthyDisk())
      if (broker.node.state === 'paused') broker.node.resume()
      // A failed log is closed for writes until it is opened again.
      if ([...broker.logs.values()].some(({ state }) => state === 'failed')) broker.crash()
      if (broker.node.state === 'down') broker.start()
    }
  }

  /** Mends it after a while, if it is not over by then. */
  #mendAfter(meanMs: number, mend: () => void): void {
    this.#simulation.time.after(this.#random.exponential(meanMs), () => {
      if (this.#isBreaking) mend()
    })
  }

  #tell(text: () => string): void {
    this.#simulation.tell('faults', 'faults', text)
  }

  #begin(kind: FaultKind, text: () => string): void {
    this.done[kind] = (this.done[kind] ?? 0) + 1
    this.#tell(text)
  }

  #break(kind: FaultKind): void {
    const random = this.#random
    const { network, etcdServer, etcd, brokers, brokerIds, faultModel, scenario } = this.#simulation
    const broker = brokers.get(random.pick(brokerIds))!
    const { node, disk } = broker
    switch (kind) {
      case 'crash': {
        if (node.state === 'down') return
        this.#begin(kind, () => `broker ${broker.id} crashes`)
        broker.crash()
        this.#startAgain(broker)
        return
      }
      case 'power loss': {
        if (broker.isStopped || !faultModel.mayLoseRecords(broker.id)) return
        this.#begin(kind, () => `the machine of broker ${broker.id} loses power`)
        const isDown = node.state === 'down'
        broker.losePower()
        if (!isDown) this.#startAgain(broker)
        return
      }
      case 'pause': {
        if (node.state !== 'up') return
        this.#begin(kind, () => `broker ${broker.id} is paused`)
        node.pause()
        this.#mendAfter(3000, () => {
          if (node.state !== 'paused') return
          this.#tell(() => `broker ${broker.id} goes on`)
          node.resume()
        })
        return
      }
      case 'shutdown': {
        if (node.state !== 'up') return
        this.#begin(kind, () => `broker ${broker.id} is asked to shut down`)
        broker.life!.shutDown()
        return
      }
      case 'cut': {
        const from = random.pick(brokerIds)
        const to = random.pick(brokerIds)
        if (from === to) return
        const isOneWay = random.chance(0.5)
        this.#begin(
          kind,
          () => `the link from broker ${from} to broker ${to}${isOneWay ? '' : ' and back'} is cut`,
        )
        network.cut(from, to)
        if (!isOneWay) network.cut(to, from)
        this.#mendAfter(3000, () => {
          network.heal(from, to)
          if (!isOneWay) network.heal(to, from)
        })
        return
      }
      case 'split': {
        const shuffled = random.shuffle([...brokerIds])
        const size = random.int(1, shuffled.length - 1)
        const group = shuffled.slice(0, size)
        const others = shuffled.slice(size)
        if (random.chance(0.5)) others.push(storeNode)
        this.#begin(
          kind,
          () =>
            `the network splits: ${group.map(nodeName).join(', ')} from ${others.map(nodeName).join(', ')}`,
        )
        network.split(group, others)
        this.#mendAfter(3000, () => {
          for (const one of group) {
            for (const other of others) {
              network.heal(one, other)
              network.heal(other, one)
            }
          }
        })
        return
      }
      case 'slow link': {
        const from = random.pick([storeNode, ...brokerIds])
        const to = random.pick(brokerIds)
        const factor = random.pick([20, 200])
        this.#begin(
          kind,
          () => `the link from ${nodeName(from)} to ${nodeName(to)} is ${factor} times slower`,
        )
        network.slow(from, to, factor)
        this.#mendAfter(3000, () => network.slow(from, to, 1))
        return
      }
      case 'loss': {
        network.loss = random.pick([0.01, 0.05, 0.2])
        this.#begin(kind, () => `${network.loss * 100} % of the messages get lost`)
        this.#mendAfter(3000, () => {
          network.loss = 0
        })
        return
      }
      case 'reordering': {
        network.reorder = random.pick([0.05, 0.3])
        this.#begin(kind, () => `${network.reorder * 100} % of the messages overtake others`)
        this.#mendAfter(4000, () => {
          network.reorder = 0
        })
        return
      }
      case 'duplication': {
        network.duplicate = random.pick([0.02, 0.2])
        this.#begin(kind, () => `${network.duplicate * 100} % of the messages arrive twice`)
        this.#mendAfter(4000, () => {
          network.duplicate = 0
        })
        return
      }
      case 'clock': {
        if (random.chance(0.5)) node.clock.jump(random.float(-5000, 20_000))
        else node.clock.setRate(random.pick([0.5, 0.9, 1, 1.1, 2]))
        this.#begin(kind, () => `the clock of broker ${broker.id} is wrong`)
        return
      }
      case 'store leader': {
        const pauseMs = random.float(100, 3000)
        this.#begin(kind, () => `the store is without a leader for ${Math.round(pauseMs)} ms`)
        etcdServer.changeLeader(pauseMs)
        return
      }
      case 'store slow': {
        etcdServer.slowFactor = random.pick([20, 300])
        etcdServer.lateRequest = { chance: 0.2, maxMs: 4000 }
        this.#begin(kind, () => `the store is ${etcdServer.slowFactor} times slower`)
        this.#mendAfter(3000, () => {
          etcdServer.slowFactor = 1
          etcdServer.lateRequest = { chance: 0, maxMs: 0 }
        })
        return
      }
      case 'store unreachable': {
        const lost = random.pick(['everything', 'everything', 'requests', 'answers'] as const)
        this.#begin(kind, () => `between broker ${broker.id} and the store ${lost} get lost`)
        if (lost !== 'answers') network.cut(broker.id, storeNode)
        if (lost !== 'requests') network.cut(storeNode, broker.id)
        this.#mendAfter(4000, () => {
          network.heal(broker.id, storeNode)
          network.heal(storeNode, broker.id)
        })
        return
      }
      case 'store stale': {
        const ms = random.pick([200, 1000, 4000])
        this.#begin(kind, () => `broker ${broker.id} hears from the store ${ms} ms late`)
        etcdServer.delayWatch(broker.id, ms)
        this.#mendAfter(5000, () => etcdServer.delayWatch(broker.id, 0))
        return
      }
      case 'store compaction': {
        this.#begin(kind, () => `the store is compacted at revision ${etcd.revision}`)
        etcd.compact(etcd.revision)
        return
      }
      case 'lease expiry': {
        const lease = etcd.get(`/brokers/${broker.id}`)?.lease
        if (lease === undefined) return
        this.#begin(kind, () => `the lease of broker ${broker.id} expires before its time`)
        etcd.revoke(lease)
        return
      }
      case 'failed flush': {
        if (node.state === 'down' || !faultModel.mayLoseRecords(broker.id)) return
        this.#begin(kind, () => `the disk of broker ${broker.id} fails`)
        // Which replicas it costs has to be known at once where their number matters.
        faultModel.recordsLost(broker.id)
        if (scenario.durability === 'fsync') disk.failFlush = true
        else for (const log of broker.logs.values()) log.fail()
        this.#mendAfter(4000, () => {
          disk.failFlush = false
          if (node.state === 'down') return
          broker.crash()
          this.#startAgain(broker)
        })
        return
      }
      case 'full disk': {
        this.#begin(kind, () => `the disk of broker ${broker.id} is full`)
        disk.full = true
        this.#mendAfter(4000, () => {
          disk.full = false
        })
        return
      }
      case 'slow disk': {
        this.#begin(kind, () => `the disk of broker ${broker.id} is slow`)
        disk.flushMs = random.pick([50, 400])
        this.#mendAfter(4000, () => {
          disk.flushMs = healthyDisk().flushMs
        })
      }
    }
  }

  #startAgain(broker: SimulatedBroker): void {
    this.#mendAfter(this.#random.pick([50, 1500, 5000]), () => {
      if (broker.node.state === 'down') broker.start()
    })
  }

  /** A broker has shut down as it was asked to. */
  stopped(broker: SimulatedBroker): void {
    if (!this.#isBreaking) this.#simulation.time.after(100, () => broker.start())
    else this.#startAgain(broker)
  }
}

function nodeName(id: number): string {
  return id === storeNode ? 'the store' : `broker ${id}`
}
