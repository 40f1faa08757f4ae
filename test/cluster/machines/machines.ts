import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Endpoint } from './cuts.js'
import { Machine } from './machine.js'
import { type DiskKind, MountedDisk } from './mounted-disk.js'
import { Network } from './network.js'
import { nameOf } from './owner.js'
import { sweep } from './sweep.js'
import { WallClock } from './wall-clock.js'

/** The machine that clients run on, so that they can be cut off by themselves. */
const CLIENTS = 'clients'

/** What ends a process without an exit of its own. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Machines in a network of their own. Nothing of them is left once they are closed, or once this process has ended. */
export class Machines {
  readonly network = new Network()
  readonly #folder = mkdtempSync(join(tmpdir(), nameOf('')))
  readonly #machines = new Map<string, Machine>()
  readonly #disks: MountedDisk[] = []
  readonly #onExit = (): void => this.#remove()
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.#remove()
    this.#listen('off')
    // Others may listen as well; if nobody does, it ends as it would have.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
  }

  private constructor(names: readonly string[]) {
    this.#listen('on')
    for (const name of [CLIENTS, ...names]) this.#machines.set(name, new Machine(this.network.add(name)))
  }

  /**
   * Takes away what processes that were killed have left, and makes machines of these names, and one for clients.
   *
   * @throws what the system's commands say; see `machinesMissing`
   */
  static create(names: readonly string[]): Machines {
    sweep()
    return new Machines(names)
  }

  /** The machine of this name. */
  machine(name: string): Machine {
    const machine = this.#machines.get(name)
    if (machine === undefined)
      throw new Error(`there is no machine ${name}; there are: ${[...this.#machines.keys()].join(', ')}`)
    return machine
  }

  /** Where clients run that can be cut off by themselves. */
  get clients(): Machine {
    return this.machine(CLIENTS)
  }

  /** This process, which is at the same network as they are. */
  get host(): Endpoint {
    return this.network.host
  }

  /** All of these names, and the host, but for the given ones. */
  othersThan(...names: readonly string[]): Endpoint[] {
    return [this.host, ...this.#machines.values()].filter(({ name }) => !names.includes(name))
  }

  /** A folder for what a machine keeps, which goes with the machines. */
  get folder(): string {
    return this.#folder
  }

  /** Mounts a small disk, which goes with the machines. */
  disk(name: string, mib: number, kind?: DiskKind): MountedDisk {
    const disk = new MountedDisk(this.#folder, name, mib, kind)
    this.#disks.push(disk)
    return disk
  }

  /** A clock that processes can be started with. */
  clock(name: string): WallClock {
    return new WallClock(this.#folder, name)
  }

  /** Kills everything that runs on the machines, and removes them. */
  async close(): Promise<void> {
    this.#listen('off')
    const ended = [...this.#machines.values()].map((machine) => machine.killAll())
    // What those have started themselves keeps their output open, and goes with the network.
    this.#remove()
    await Promise.all(ended)
  }

  #listen(how: 'on' | 'off'): void {
    process[how]('exit', this.#onExit)
    for (const signal of ENDING) process[how](signal, this.#onSignal)
  }

  #remove(): void {
    this.network.remove()
    for (const disk of this.#disks.splice(0)) disk.unmount()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
