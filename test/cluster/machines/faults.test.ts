/**
 * A schedule that ends while a broker is still paused, cut off or traced blames the next test. So every fault that there is strikes
 * three small servers and a store, by a seed, and afterwards each must be what it was: reached by all, on time, traced by nobody,
 * with room on its disk.
 */
import { connect } from 'node:net'
import { once } from 'node:events'
import { readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seed } from '../../support/long-run.js'
import { root } from '../../support/tree.js'
import { planFaults } from './fault-plan.js'
import { runFaults } from './fault-run.js'
import { faultsOf, type Member } from './faults.js'
import type { Machine } from './machine.js'
import type { MachineProcess } from './machine-process.js'
import { Machines } from './machines.js'
import { diskMissing, machinesMissing } from './missing.js'
import type { MountedDisk } from './mounted-disk.js'
import { clockMissing, type WallClock } from './wall-clock.js'

const missing = machinesMissing() ?? diskMissing('tmpfs')
const PORT = 7000
const server = join(root, 'test', 'cluster', 'machines', 'programs', 'server.mjs')

/** A server that says what time it is, and writes it down before. */
class Server implements Member {
  readonly machine: Machine
  readonly disk: MountedDisk
  readonly clock?: WallClock
  process!: MachineProcess

  constructor(machines: Machines, name: string) {
    this.machine = machines.machine(name)
    this.disk = machines.disk(name, 8)
    if (clockMissing === null) this.clock = machines.clock(name)
  }

  async start(): Promise<void> {
    const { machine, clock, disk } = this
    this.process = await machine.start(process.execPath, [server, join(disk.directory, 'times')], { clock })
    await this.process.said(/listens/)
  }

  /** Connects to all of these, from its machine. */
  async reaches(others: readonly Server[]): Promise<void> {
    const program = `for (const address of ${JSON.stringify(others.map(({ machine }) => machine.address))})
      require('node:net').connect(${PORT}, address).on('connect', function () { this.destroy() })`
    const { exited } = await this.machine.start(process.execPath, ['-e', program])
    expect(await exited, `${this.machine.name} reaches the others`).toEqual({ code: 0, signal: null })
  }

  /** What time it is there. */
  async time(): Promise<number> {
    const socket = connect(PORT, this.machine.address).setEncoding('utf8')
    const [answer] = (await once(socket, 'data')) as [string]
    socket.destroy()
    expect(answer).toMatch(/^\d+$/)
    return Number(answer)
  }
}

describe.skipIf(missing !== null)(
  `faults of a cluster${missing === null ? '' : ` (skipped: ${missing})`}`,
  () => {
    let machines: Machines
    let brokers: Server[]
    let store: Server

    beforeAll(async () => {
      const names = ['broker-1', 'broker-2', 'broker-3']
      machines = Machines.create([...names, 'store'])
      brokers = names.map((name) => new Server(machines, name))
      store = new Server(machines, 'store')
      await Promise.all([...brokers, store].map((one) => one.start()))
    })
    afterAll(() => machines?.close())

    test('each is done, and healed, by its seed', { timeout: 120_000 }, async () => {
      const { kinds, missing } = faultsOf({ machines, brokers, store })
      const plan = planFaults({ seed, durationMs: 3500, kinds, atOnce: 3, meanGapMs: 60, meanMs: 200 })
      const lines: string[] = []
      await runFaults(plan, kinds, { tell: (line) => lines.push(line) })

      const log = lines.join('\n')
      expect(new Set(plan.faults.map(({ kind }) => kind)).size, log).toBe(kinds.length)
      expect(lines.filter((line) => line.endsWith('is over')).length).toBe(plan.faults.length)
      for (const line of missing)
        expect(line, 'says why').toMatch(/^(late packets|narrow link|clock|slow disk|failing flush): .+/)
      for (const one of [...brokers, store]) {
        expect(one.process.isRunning).toBe(true)
        expect(readFileSync(`/proc/${one.process.pid}/status`, 'utf8')).toMatch(/^TracerPid:\t0$/m)
        const asked = Date.now()
        const time = await one.time()
        expect(time, `${one.machine.name} is on time`).toBeGreaterThan(asked - 1000)
        expect(time, `${one.machine.name} is on time`).toBeLessThan(Date.now() + 1000)
        await one.reaches([...brokers, store].filter((other) => other !== one))
        const { bavail, blocks } = statfsSync(one.disk.directory)
        expect(bavail / blocks, 'there is room').toBeGreaterThan(0.8)
      }
    })
  },
)
