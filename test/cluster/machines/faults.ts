/** What can be done to a cluster whose processes are on machines. */
import { setTimeout } from 'node:timers/promises'
import { straceMissing } from '../../support/strace-missing.js'
import type { Fault, FaultKind } from './fault-plan.js'
import type { Endpoint } from './cuts.js'
import type { MachineProcess } from './machine-process.js'
import type { Machines } from './machines.js'
import { delayMissing, throttleMissing } from './missing.js'
import type { MountedDisk } from './mounted-disk.js'
import type { NetworkFault } from './network.js'
import { failCalls, FLUSHES, slowCalls } from './traced-calls.js'
import { clockMissing, type WallClock } from './wall-clock.js'

/** A process that is broken again and again. */
export interface Member {
  readonly machine: Endpoint
  /** The one that runs, or that has run last. */
  readonly process: MachineProcess
  /** Starts it again with the data that it has; resolves when it serves. */
  start(): Promise<void>
  /** What its data is on, if that may be full. */
  readonly disk?: MountedDisk
  /** What it goes by, if that may jump. */
  readonly clock?: WallClock
}

export interface Cluster {
  /** Null where the processes have no network of their own that could be broken. */
  readonly machines: Machines | null
  readonly brokers: readonly Member[]
  /** The metadata store. It is paused, and cut off from brokers, and nothing else. */
  readonly store?: Member
}

/** All that there is, but for what cannot be done here, and why. */
export function faultsOf(cluster: Cluster): { readonly kinds: FaultKind[]; readonly missing: string[] } {
  const found = [
    ...processFaults(cluster),
    ...(cluster.machines === null ? [] : networkFaults(cluster.machines, cluster)),
    ...diskFaults(cluster),
    ...clockFaults(cluster),
  ].filter(({ kind }) => kind.targets.length > 0)
  return {
    kinds: found.filter(({ missing }) => missing === null).map(({ kind }) => kind),
    missing: found.flatMap(({ kind, missing }) => (missing === null ? [] : [`${kind.name}: ${missing}`])),
  }
}

interface Possible {
  readonly kind: FaultKind
  readonly missing: string | null
}

const possible = (kind: FaultKind, missing: string | null = null): Possible => ({ kind, missing })

/** A kind that breaks members, rather than names of them. */
function breaks(
  name: string,
  part: FaultKind['part'],
  members: readonly Member[],
  begin: (member: Member, strength: number) => Promise<Fault | null> | Fault | null,
): FaultKind {
  const byName = new Map(members.map((member) => [member.machine.name, member]))
  return {
    name,
    part,
    targets: [...byName.keys()],
    begin: (target, strength) => begin(byName.get(target)!, strength),
  }
}

/** A value between two, by orders of magnitude. */
const between = (least: number, most: number, strength: number): number =>
  Math.round(least * (most / least) ** strength)

/** What a failed log needs before it takes anything again. */
async function restart(member: Member): Promise<void> {
  await member.process.kill()
  await member.start()
}

/** For a process that is asked to end: one that does not is a bug that nobody would see. */
const SHUTDOWN_MS = 60_000

async function expectEnd({ machine, process }: Member): Promise<void> {
  const late = setTimeout(SHUTDOWN_MS, 'late', { ref: false })
  if ((await Promise.race([process.exited, late])) === 'late')
    throw new Error(
      `the process on ${machine.name} was asked to shut down and still runs, ${SHUTDOWN_MS / 1000} s later`,
    )
}

function processFaults({ brokers, store }: Cluster): Possible[] {
  const members = store === undefined ? brokers : [...brokers, store]
  return [
    breaks('kill', 'process', brokers, async (member) => {
      if (!member.process.isRunning) return null
      await member.process.kill()
      return { what: 'is killed', heal: () => member.start() }
    }),
    breaks('shutdown', 'process', brokers, (member) => {
      if (!member.process.isRunning) return null
      member.process.signal('SIGTERM')
      const heal = async (): Promise<void> => {
        await expectEnd(member)
        await member.start()
      }
      return { what: 'is asked to shut down', heal }
    }),
    breaks('pause', 'process', members, async (member) => {
      if (!member.process.isRunning) return null
      await member.process.pause()
      return { what: 'stands still', heal: () => member.process.resume() }
    }),
  ].map((kind) => possible(kind))
}

function networkFaults(machines: Machines, { brokers, store }: Cluster): Possible[] {
  const { network, clients, host } = machines
  const stores = store === undefined ? [] : [store.machine]
  const othersThan = (machine: Endpoint): Endpoint[] =>
    brokers.map((member) => member.machine).filter((other) => other !== machine)
  const cut = (name: string, what: string, begin: (one: Endpoint) => NetworkFault): Possible =>
    possible(breaks(name, 'network', brokers, ({ machine }) => ({ what, ...begin(machine) })))

  const cuts = [
    cut('split off', 'reaches nobody', (one) => network.split([one], machines.othersThan(one.name))),
    cut('split from brokers', 'reaches the store and clients', (one) =>
      network.split([one], othersThan(one)),
    ),
    cut('split from clients', 'reaches brokers and the store', (one) =>
      network.split([one], [clients, host]),
    ),
    cut('mute', 'hears, and is not heard', (one) => network.cut([one], [...othersThan(one), ...stores])),
    cut('deaf', 'is heard, and does not hear', (one) => network.cut([...othersThan(one), ...stores], [one])),
  ]
  if (stores.length > 0)
    cuts.push(cut('split from store', 'reaches brokers and clients', (one) => network.split([one], stores)))

  const loss = breaks('loss', 'network', brokers, ({ machine }, strength) => {
    const percent = between(1, 40, strength)
    const others = machines.othersThan(machine.name)
    const out = network.lose([machine], others, percent / 100)
    const back = network.lose(others, [machine], percent / 100)
    const heal = (): void => {
      out.heal()
      back.heal()
    }
    return { what: `${percent} % of its packets are lost`, heal }
  })
  const narrow = breaks('narrow link', 'network', brokers, ({ machine }, strength) => {
    const kbitPerSecond = between(20_000, 500, strength)
    const fault = network.slow(machine, { kbitPerSecond })
    return { what: `it sends ${kbitPerSecond} kbit/s at most`, ...fault }
  })
  const late = breaks('late packets', 'network', brokers, ({ machine }, strength) => {
    const delayMs = between(5, 1000, strength)
    const fault = network.slow(machine, { delayMs, jitterMs: delayMs / 2 })
    return { what: `what it sends is ${delayMs} ms late`, ...fault }
  })
  return [...cuts, possible(loss), possible(narrow, throttleMissing()), possible(late, delayMissing())]
}

function diskFaults({ brokers }: Cluster): Possible[] {
  return [
    possible(
      breaks('slow disk', 'process', brokers, async ({ process }, strength) => {
        if (!process.isRunning) return null
        const delayMs = between(10, 2000, strength)
        const heal = await slowCalls(process, delayMs)
        return { what: `writes and flushes take ${delayMs} ms more`, heal }
      }),
      straceMissing,
    ),
    possible(
      breaks('failing flush', 'process', brokers, async (member) => {
        const { process } = member
        if (!process.isRunning) return null
        const letGo = await failCalls(process, 'EIO')
        const heal = async (): Promise<void> => {
          await letGo()
          await restart(member)
        }
        return { what: `${FLUSHES.join(' and ')} answer EIO`, heal }
      }),
      straceMissing,
    ),
    possible(
      breaks(
        'full disk',
        'process',
        brokers.filter(({ disk }) => disk !== undefined),
        (member) => {
          member.disk!.fill()
          const heal = async (): Promise<void> => {
            member.disk!.free()
            await restart(member)
          }
          return { what: 'has no room left', heal }
        },
      ),
    ),
  ]
}

const DAY = 24 * 3600

function clockFaults({ brokers }: Cluster): Possible[] {
  return [
    possible(
      breaks(
        'clock',
        'clock',
        brokers.filter(({ clock }) => clock !== undefined),
        ({ clock }, strength) => {
          // As often behind as ahead.
          const size = between(1, DAY, Math.abs(2 * strength - 1))
          const offset = strength < 0.5 ? -size : size
          clock!.set(offset * 1000)
          return {
            what: `is ${size} s ${offset < 0 ? 'behind' : 'ahead'}`,
            heal: () => clock!.set(0),
          }
        },
      ),
      clockMissing,
    ),
  ]
}
