import type { Endpoint } from './cuts.js'
import { MachineProcess } from './machine-process.js'
import type { WallClock } from './wall-clock.js'

export interface StartOptions {
  /** What its environment has beside ours. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** The clock that it goes by instead of the host's. */
  readonly clock?: WallClock
  /** Is given what it writes to standard error, when it does. */
  readonly hear?: (text: string) => void
}

/** A network namespace that has an address, and processes of its own. */
export class Machine implements Endpoint {
  readonly name: string
  readonly address: string
  readonly namespace: string
  readonly #processes = new Set<MachineProcess>()

  constructor({ name, address, namespace }: Endpoint & { readonly namespace: string }) {
    this.name = name
    this.address = address
    this.namespace = namespace
  }

  /** Starts a process here, which ends with the machines, or with the process that has made them, whichever is first. */
  async start(
    command: string,
    args: readonly string[],
    { env, cwd, clock, hear }: StartOptions = {},
  ): Promise<MachineProcess> {
    const turned = clock?.turn([command, args]) ?? { command: [command, args], env: {} }
    const inside = [`--net=/run/netns/${this.namespace}`, '--', turned.command[0], ...turned.command[1]]
    const started = await MachineProcess.start(['nsenter', inside], {
      env: { ...process.env, ...env, ...turned.env },
      cwd,
      name: `${command} on ${this.name}`,
      hear,
    })
    this.#processes.add(started)
    void started.exited.then(() => this.#processes.delete(started))
    return started
  }

  /** Kills everything that was started here. */
  async killAll(): Promise<void> {
    await Promise.all([...this.#processes].map((one) => one.kill()))
  }
}
