import { join } from 'node:path'
import { varve } from '../../support/tree.js'
import type { Member } from '../machines/faults.js'
import type { MachineProcess } from '../machines/machine-process.js'
import type { MountedDisk } from '../machines/mounted-disk.js'
import type { WallClock } from '../machines/wall-clock.js'
import type { Place } from './place.js'
import type { BrokerPlace } from './site.js'

/** Is given what a process says. */
export type Hear = (name: string, text: string) => void

/** Longer than any fault that may keep it from starting. */
const START_WITHIN_MS = 90_000
const BROKER_PORT = 9092
const STORE_PORT = 2379
const STORE_PEER_PORT = 2380

/** An etcd of one member. */
export class StoreProcess implements Member {
  readonly machine: Place
  process!: MachineProcess
  readonly #data: string
  readonly #command: string

  constructor(place: Place, folder: string, command: string) {
    this.machine = place
    this.#data = join(folder, 'etcd')
    this.#command = command
  }

  /** What brokers are given. */
  get url(): string {
    return `etcd://${this.machine.address}:${STORE_PORT}/varve`
  }

  async start(): Promise<void> {
    const url = `http://${this.machine.address}:${STORE_PORT}`
    const peers = `http://${this.machine.address}:${STORE_PEER_PORT}`
    const args = Object.entries({
      name: 'one',
      'data-dir': this.#data,
      'listen-client-urls': url,
      'advertise-client-urls': url,
      'listen-peer-urls': peers,
      'initial-advertise-peer-urls': peers,
      'initial-cluster': `one=${peers}`,
    }).flatMap(([name, value]) => [`--${name}`, value])
    this.process = await this.machine.start(this.#command, args)
    await this.process.said(/ready to serve client requests/, START_WITHIN_MS)
  }
}

/** What all brokers of a round are started with. */
export interface BrokerSettings {
  readonly store: string
  readonly durability: 'os' | 'fsync'
  readonly sessionTimeoutSeconds: number
}

/** A broker of the cluster. */
export class BrokerMember implements Member {
  readonly id: number
  readonly machine: Place
  readonly data: string
  readonly disk?: MountedDisk
  readonly clock?: WallClock
  process!: MachineProcess
  readonly #settings: BrokerSettings
  readonly #hear: Hear

  constructor(id: number, { place, data, disk, clock }: BrokerPlace, settings: BrokerSettings, hear: Hear) {
    this.id = id
    this.machine = place
    this.data = data
    if (disk !== undefined) this.disk = disk
    if (clock !== undefined) this.clock = clock
    this.#settings = settings
    this.#hear = hear
  }

  /** `host:port` of its clients. */
  get address(): string {
    return `${this.machine.address}:${BROKER_PORT}`
  }

  async start(): Promise<void> {
    const { machine, clock } = this
    const { store, durability, sessionTimeoutSeconds } = this.#settings
    const flags = Object.entries({
      cluster: store,
      'broker-id': this.id,
      rack: `rack-${this.id}`,
      data: this.data,
      listeners: `PLAINTEXT://${this.address}`,
      durability,
      'session-timeout': sessionTimeoutSeconds,
      // A replica that is connected and does not come along leaves the others within a round as well.
      'replica-lag-time-max-ms': 8000,
      // Of three one finds the disk full when it writes, the others before.
      'low-disk-bytes': this.id === 1 ? 0 : 16 << 20,
    }).flatMap(([name, value]) => [`--${name}`, String(value)])
    const configs = [
      'offsets.topic.num.partitions=3',
      'min.insync.replicas=2',
      'group.initial.rebalance.delay.ms=0',
    ].flatMap((each) => ['--config', each])
    this.process = await machine.start(process.execPath, [varve, 'serve', ...flags, ...configs], {
      ...(clock !== undefined && { clock }),
      hear: (text) => this.#hear(machine.name, text),
    })
    this.#hear(machine.name, `starts as process ${this.process.pid}\n`)
    const { pid, exited } = this.process
    void exited.then(({ code, signal }) => {
      this.#hear(machine.name, `process ${pid} has ended with ${code ?? signal}\n`)
    })
    await this.process.said(/Ctrl-C stops it/, START_WITHIN_MS)
  }
}
