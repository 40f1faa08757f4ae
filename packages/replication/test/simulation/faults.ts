import { controllerKey, decodeControllerRegistration } from '@varve/replication'
import type { SimulatedBroker } from './broker.js'
import { SecondProcess } from './second-process.js'
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
  /** Whose ISR change was the last to be put. */
  #lastChanger = -1
  #secondProcesses: SecondProcess[] = []

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

  #next(meanMs: number): void {
    this.#simulation.time.after(this.#random.exponential(meanMs), () => {
      if (!this.#isBreaking) return
      this.#break(this.#random.pick(this.#simulation.scenario.faults), this.#target())
      this.#next(meanMs)
    })
  }

  /** Now and then the one that it hurts most. */
  #target(): SimulatedBroker {
    const { brokers, brokerIds, invariants, etcd, scenario } = this.#simulation
    const random = this.#random
    const leaders = [...invariants.states.values()].map(({ leader }) => leader)
    if (scenario.isAimed && leaders.length > 0 && random.chance(0.6)) {
      const controller = etcd.get(controllerKey)
      const aims = [
        random.pick(leaders),
        this.#lastChanger,
        controller === undefined ? -1 : decodeControllerRegistration(controller).brokerId,
      ]
      const aim = brokers.get(random.pick(aims))
      if (aim !== undefined) return aim
    }
    return brokers.get(random.pick(brokerIds))!
  }

  /** A leader is about to have the ISR changed, or a state has just been committed: at times something breaks right then. */
  moment(leader: number, isChanging = false): void {
    if (isChanging) this.#lastChanger = leader
    const { scenario, brokers, time } = this.#simulation
    const broker = brokers.get(leader)
    if (broker === undefined || !this.#isBreaking || !this.#random.chance(scenario.faultAtCommitChance))
      return
    time.after(this.#random.exponential(3), () => {
      if (this.#isBreaking) this.#break(this.#random.pick(scenario.faults), broker)
    })
  }

  /** Everything is mended, and every broker runs. */
  end(): void {
    this.#isBreaking = false
    const { network, etcdServer, brokers } = this.#simulation
    this.endedAt = this.#simulation.time.now
    this.#tell(() => 'all is mended, and no more begin')
    for (const process of this.#secondProcesses) process.crash()
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
      broker.life?.throttle.setRate(Infinity, broker.life.now())
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

  #break(kind: FaultKind, broker: SimulatedBroker): void {
    const random = this.#random
    const { network, etcdServer, etcd, brokerIds, faultModel, scenario } = this.#simulation
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
        this.#losePower(broker)
        if (random.chance(0.3)) this.#losePowerSoon(this.#companion(broker))
        return
      }
      case 'disk replacement': {
        if (broker.isStopped || !faultModel.mayLoseRecords(broker.id)) return
        this.#begin(kind, () => `broker ${broker.id} gets an empty disk`)
        const isDown = node.state === 'down'
        broker.replaceDisk()
        if (!isDown) this.#startAgain(broker)
        return
      }
      case 'second process': {
        this.#startSecondProcess(broker)
        return
      }
      case 'pause': {
        if (node.state !== 'up') return
        this.#begin(kind, () => `broker ${broker.id} is paused`)
        node.pause()
        // At times for longer than its lease.
        const meanMs = random.pick([3000, 1000 * scenario.leaseTtlSeconds + 3000])
        this.#mendAfter(meanMs, () => {
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
        const from = broker.id
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
        if (node.state === 'down' || !faultModel.mayLosePower(broker.id)) return
        this.#begin(kind, () => `the disk of broker ${broker.id} fails`)
        // Which replicas it costs has to be known at once where their number matters.
        faultModel.powerLost(broker.id, node.incarnation)
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

  #losePower(broker: SimulatedBroker): void {
    if (broker.isStopped || !this.#simulation.faultModel.mayLosePower(broker.id)) return
    this.#begin('power loss', () => `the machine of broker ${broker.id} loses power`)
    const isDown = broker.node.state === 'down'
    broker.losePower()
    if (!isDown) this.#startAgain(broker)
  }

  #losePowerSoon(broker: SimulatedBroker): void {
    this.#simulation.time.after(this.#random.float(0, 500), () => {
      if (this.#isBreaking) this.#losePower(broker)
    })
  }

  /** One that has a partition in common with a broker, if there is any. */
  #companion(broker: SimulatedBroker): SimulatedBroker {
    const { invariants, brokers } = this.#simulation
    const others = [...invariants.states.values()]
      .filter(({ replicas }) => replicas.includes(broker.id))
      .flatMap(({ replicas }) => replicas.filter((id) => id !== broker.id))
    return others.length === 0 ? broker : brokers.get(this.#random.pick(others))!
  }

  /** With the directory of the first, which may be paused meanwhile, or by mistake on another machine. */
  #startSecondProcess(broker: SimulatedBroker): void {
    const { faultModel } = this.#simulation
    const { node, id } = broker
    if (!node.isUp) return
    const isOfSameData = this.#random.chance(0.6)
    // What it would go on saying after the first has been unfenced cannot be counted.
    if (isOfSameData && broker.mayHaveLostRecords) return
    // A machine with an empty disk is all that the cluster sees of it.
    if (!isOfSameData) {
      if (!faultModel.mayLoseRecords(id)) return
      faultModel.recordsLost(id, node.incarnation)
    }
    const isPaused = isOfSameData && this.#random.chance(0.5)
    if (isPaused) node.pause()
    const second = new SecondProcess(this.#simulation, {
      brokerId: id,
      directoryId: isOfSameData ? broker.directoryId : `directory-of-another-${id}`,
      mayHaveLostRecords: !isOfSameData,
      rack: broker.rack,
    })
    this.#secondProcesses.push(second)
    this.#begin(
      'second process',
      () =>
        `${second.name} is another process of broker ${id}, with ${isOfSameData ? 'its' : 'other'} data${isPaused ? ', and it is paused' : ''}`,
    )
    if (isPaused) this.#mendAfter(3000, () => node.resume())
    this.#mendAfter(4000, () => second.crash())
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
