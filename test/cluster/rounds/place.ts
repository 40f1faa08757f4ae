import type { Endpoint } from '../machines/cuts.js'
import type { StartOptions } from '../machines/machine.js'
import { MachineProcess } from '../machines/machine-process.js'

/** Where processes of a cluster run: a machine of its own, or an address of the host. */
export interface Place extends Endpoint {
  start(command: string, args: readonly string[], options?: StartOptions): Promise<MachineProcess>
}

/** Where there are no machines: addresses of this process alone, so that nobody takes the port of a broker that is down. */
export class LoopbackPlace implements Place {
  readonly name: string
  readonly address: string
  readonly #processes = new Set<MachineProcess>()

  /** @param index another one for each place */
  constructor(name: string, index: number) {
    this.name = name
    this.address = `127.${100 + index}.${(process.pid >> 8) & 255}.${process.pid & 255 || 1}`
  }

  async start(
    command: string,
    args: readonly string[],
    { env, cwd, hear }: StartOptions = {},
  ): Promise<MachineProcess> {
    const started = await MachineProcess.start([command, args], {
      env: { ...process.env, ...env },
      cwd,
      name: `${command} as ${this.name}`,
      hear,
    })
    this.#processes.add(started)
    void started.exited.then(() => this.#processes.delete(started))
    return started
  }

  async killAll(): Promise<void> {
    await Promise.all([...this.#processes].map((one) => one.kill()))
  }
}
