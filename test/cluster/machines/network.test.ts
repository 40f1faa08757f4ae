/**
 * A test of partitions in which nothing was partitioned passes, and says nothing. So is one in which a connection broke that
 * should have waited. So three programs on machines talk to each other, and must be heard, or not, exactly as the network is cut.
 */
import { connect } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { MachineProcess } from './machine-process.js'
import { Machines } from './machines.js'
import { delayMissing, machinesMissing, throttleMissing } from './missing.js'
import { root } from '../../support/tree.js'

const missing = machinesMissing()
const because = (reason: string | null): string => (reason === null ? '' : ` (skipped: ${reason})`)
const peer = join(root, 'test', 'cluster', 'machines', 'programs', 'peer.mjs')
const NAMES = ['one', 'two', 'three'] as const
type Name = (typeof NAMES)[number]

describe.skipIf(missing !== null)(`a network of machines${because(missing)}`, () => {
  let machines: Machines
  const peers = new Map<Name, MachineProcess>()

  beforeAll(async () => {
    machines = Machines.create(NAMES)
    for (const name of NAMES) {
      const others = NAMES.filter((other) => other !== name).map((other) => machines.machine(other).address)
      peers.set(name, await machines.machine(name).start(process.execPath, [peer, name, ...others]))
    }
    for (const name of NAMES) for (const from of NAMES) if (from !== name) await hears(name, from)
  })
  afterAll(() => machines?.close())

  const lastHeard = (by: Name, from: Name, how: 'tcp' | 'udp'): number => {
    const { stdout } = peers.get(by)!
    return Number(stdout.slice(stdout.lastIndexOf(`\n${how} ${from} `)).split(/[ \n]/)[3])
  }
  /** Waits until `by` has heard so many more; of datagrams some may be lost by whoever is busy. */
  const hears = async (
    by: Name,
    from: Name,
    { how = 'tcp' as 'tcp' | 'udp', more = 10 } = {},
  ): Promise<void> => {
    const wanted = (lastHeard(by, from, how) || 0) + more
    await vi.waitUntil(() => lastHeard(by, from, how) >= wanted, { timeout: 30_000 })
  }
  /** While somebody else was heard often, this one was not at all. */
  const hearsNothing = async (
    by: Name,
    from: Name,
    other: Name,
    how: 'tcp' | 'udp' = 'tcp',
  ): Promise<void> => {
    // What was on its way arrives before, and whoever had no time meanwhile reads one connection behind the other.
    for (let n = 0; n < 3; n++) await hears(by, other, { more: 3 })
    const before = lastHeard(by, from, how)
    await hears(by, other, { more: 15 })
    expect(lastHeard(by, from, how), `${by} hears ${from}`).toBe(before)
  }

  test('the host reaches every machine', async () => {
    for (const name of NAMES) {
      const socket = connect(7000, machines.machine(name).address)
      await once(socket, 'connect')
      socket.destroy()
    }
  })

  test('a machine that is split off hears nobody and is not heard, and all connections go on afterwards', async () => {
    const fault = machines.network.split([machines.machine('one')], [machines.machine('two')])
    await hearsNothing('two', 'one', 'three')
    await hearsNothing('one', 'two', 'three')
    fault.heal()
    await hears('two', 'one')
    await hears('one', 'two')
  })

  test('one direction alone can be cut', async () => {
    const fault = machines.network.cut([machines.machine('one')], [machines.machine('two')])
    await hearsNothing('two', 'one', 'three')
    await hearsNothing('two', 'one', 'three', 'udp')
    await hears('one', 'two', { how: 'udp' })
    fault.heal()
    await hears('two', 'one')
  })

  test('clients alone can be cut off from a machine', async () => {
    const { clients, network } = machines
    const one = machines.machine('one')
    const look = `console.log('looks')
      require('node:net').connect(7000, '${one.address}')
        .on('connect', () => console.log('reached')).on('error', ({ code }) => console.log(code))`
    const start = (): Promise<MachineProcess> => clients.start(process.execPath, ['-e', look])
    const reaches = async (client: MachineProcess): Promise<void> => {
      await client.said(/reached/)
      await client.kill()
    }
    await reaches(await start())
    network.split([one], [clients, machines.host])
    const client = await start()
    await client.said(/looks/)
    for (let n = 0; n < 3; n++) {
      await hears('two', 'one')
      await hears('one', 'two')
    }
    expect(client.stdout).toBe('looks\n')
    network.healAll()
    // What was cut off has waited, and goes on.
    await reaches(client)
    await reaches(await start())
  })

  test('a share of the packets can be lost', async () => {
    const [one, two] = [machines.machine('one'), machines.machine('two')]
    const heardOf = (): number => peers.get('two')!.stdout.match(/^udp one /gm)!.length
    const before = { heard: heardOf(), last: lastHeard('two', 'one', 'udp') }
    const fault = machines.network.lose([one], [two], 0.5)
    const saidSince = (): number => lastHeard('two', 'one', 'udp') - before.last
    await expect.poll(saidSince).toBeGreaterThan(50)
    const said = saidSince()
    // By chance, but not by that much.
    expect((heardOf() - before.heard) / said).toBeLessThan(0.9)
    fault.heal()
    await hears('two', 'one')
    expect(() => machines.network.lose([one], [two], 50)).toThrow('50 of the packets cannot be lost')
  })

  test.skipIf(throttleMissing() !== null)(
    `what a machine sends can be narrowed${because(throttleMissing())}`,
    async () => {
      const size = 100_000
      const serve = `require('node:net').createServer((s) => s.end(Buffer.alloc(${size}))).listen(7001, () => console.log('listens'))`
      const one = machines.machine('one')
      const server = await one.start(process.execPath, ['-e', serve])
      await server.said(/listens/)
      const download = async (): Promise<number> => {
        const began = performance.now()
        const socket = connect(7001, one.address)
        let received = 0
        for await (const chunk of socket) received += (chunk as Buffer).length
        expect(received).toBe(size)
        return performance.now() - began
      }
      const fault = machines.network.slow(one, { kbitPerSecond: 2000 })
      // 800 kbit, of which the first 128 pass at once.
      expect(await download()).toBeGreaterThan(300)
      fault.heal()
      // On a machine that is busy not at once.
      await expect.poll(download).toBeLessThan(300)
      await server.kill()
    },
  )

  test.skipIf(delayMissing() !== null)(
    `what a machine sends can be late${because(delayMissing())}`,
    async () => {
      const one = machines.machine('one')
      const fault = machines.network.slow(one, { delayMs: 150 })
      const answered = async (): Promise<number> => {
        const began = performance.now()
        const socket = connect(7000, one.address)
        await once(socket, 'connect')
        socket.destroy()
        return performance.now() - began
      }
      expect(await answered()).toBeGreaterThan(140)
      fault.heal()
      await expect.poll(answered).toBeLessThan(140)
    },
  )

  for (const name of NAMES)
    test(`no connection has broken, as ${name} sees it`, () => {
      expect(peers.get(name)!.stdout).not.toMatch(/^error/m)
      expect(peers.get(name)!.stderr).toBe('')
    })
})
