import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine } from '../machines/machine.js'
import { Machines } from '../machines/machines.js'
import { diskMissing, machinesMissing } from '../machines/missing.js'
import type { MountedDisk } from '../machines/mounted-disk.js'
import { clockMissing, type WallClock } from '../machines/wall-clock.js'
import { LoopbackPlace, type Place } from './place.js'

/** Where a broker runs, and what it has there. */
export interface BrokerPlace {
  readonly place: Place
  readonly data: string
  readonly disk?: MountedDisk
  readonly clock?: WallClock
}

const DISK_MIB = 512

/** The places of a cluster and its clients: machines, or what stands in for them. */
export class Site {
  /** Null where there are none. */
  readonly machines: Machines | null
  readonly brokers: readonly BrokerPlace[]
  readonly store: Place
  readonly clients: Place
  /** What cannot be broken here, and why. */
  readonly missing: readonly string[]
  readonly #loopback: LoopbackPlace[] = []

  private constructor(machines: Machines | null, names: readonly string[], folder: string) {
    this.machines = machines
    if (machines === null) {
      const place = (name: string): LoopbackPlace => {
        this.#loopback.push(new LoopbackPlace(name, this.#loopback.length))
        return this.#loopback.at(-1)!
      }
      this.brokers = names.map((name) => ({ place: place(name), data: join(folder, `data-${name}`) }))
      this.store = place('store')
      this.clients = place('clients')
      this.missing = []
      return
    }
    const hasDisks = diskMissing('tmpfs') === null
    this.brokers = names.map((name) => brokerOn(machines, machines.machine(name), folder, hasDisks))
    this.store = machines.machine('store')
    this.clients = machines.clients
    this.missing = hasDisks ? [] : [`full disk: ${diskMissing('tmpfs')}`]
  }

  /**
   * Makes machines of these names where that is possible, and otherwise places on the loopback.
   *
   * @param folder for data that is on no disk of its own
   * @param isAlone to do without machines all the same
   */
  static create(names: readonly string[], folder: string, isAlone = machinesMissing() !== null): Site {
    const machines = isAlone ? null : Machines.create([...names, 'store'])
    const site = new Site(machines, names, folder)
    for (const { data } of site.brokers) mkdirSync(data, { recursive: true })
    return site
  }

  /** Ends all that runs there. */
  async close(): Promise<void> {
    await Promise.all(this.#loopback.map((place) => place.killAll()))
    await this.machines?.close()
  }
}

function brokerOn(machines: Machines, place: Machine, folder: string, hasDisk: boolean): BrokerPlace {
  const disk = hasDisk ? machines.disk(place.name, DISK_MIB) : undefined
  return {
    place,
    data: disk === undefined ? join(folder, `data-${place.name}`) : join(disk.directory, 'data'),
    ...(disk !== undefined && { disk }),
    ...(clockMissing === null && { clock: machines.clock(place.name) }),
  }
}
