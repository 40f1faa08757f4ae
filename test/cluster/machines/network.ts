import { type Cut, type Endpoint, rulesOf } from './cuts.js'
import { command } from './command.js'
import { nameOf, ownId } from './owner.js'
import { claimSubnet, type Subnet } from './subnet.js'
import { removeNamespace } from './sweep.js'

/** How the link of a machine is made worse; what it sends is concerned, not what it receives. */
export interface Slowness {
  /** So much later, if the kernel has netem: see `delayMissing`. */
  readonly delayMs?: number
  /** Give or take. */
  readonly jitterMs?: number
  /** At most so much a second: what is sent faster waits for its turn, and is dropped behind 400 ms of it. */
  readonly kbitPerSecond?: number
}

/** A fault of the network that lasts until it is healed, which may be asked for twice. */
export interface NetworkFault {
  heal(): void
}

/** Where the links of the machines end, in a namespace of its own, so that no rule of the host's firewall concerns them. */
const SWITCH = 'switch'
const FIRST_MACHINE = 11

/**
 * Namespaces with an address each, at one bridge with the host. Faults are rules of that bridge. Everything goes with
 * {@link Network.remove}.
 */
export class Network {
  /** This process, as far as the machines can tell. */
  readonly host: Endpoint
  readonly #prefix: string
  readonly #subnet: Subnet
  readonly #namespaces: string[] = []
  #machines = 0
  readonly #cuts = new Set<Cut>()
  readonly #slow = new Map<string, object>()

  /** @throws what the system's commands say; see `machinesMissing` */
  constructor() {
    this.#prefix = this.#claimPrefix()
    try {
      this.#subnet = this.#plugInHost()
      this.#apply()
    } catch (error) {
      this.remove()
      throw error
    }
    this.host = { name: 'host', address: `${this.#subnet}.1` }
  }

  #plugInHost(): Subnet {
    this.#inside(
      SWITCH,
      `link add bridge type bridge
       link set bridge up`,
    )
    const link = `vv${ownId()}${this.#prefix}`
    command('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'host', 'netns', this.#name(SWITCH)])
    this.#plug('host')
    command('ip', ['link', 'set', link, 'addrgenmode', 'none', 'up'])
    return claimSubnet(link, process.pid)
  }

  /** Whoever makes the switch's namespace has the number. */
  #claimPrefix(): string {
    for (let n = 0; ; n++) {
      const name = nameOf(`${n}-${SWITCH}`)
      try {
        command('ip', ['netns', 'add', name])
      } catch (error) {
        if (!/File exists/.test(String(error))) throw error
        continue
      }
      this.#namespaces.push(name)
      return String(n)
    }
  }

  #name(what: string): string {
    return nameOf(`${this.#prefix}-${what}`)
  }

  #inside(what: string, commands: string): void {
    command('ip', ['-n', this.#name(what), '-batch', '-'], commands.replaceAll(/^ +/gm, ''))
  }

  #plug(port: string): void {
    this.#inside(
      SWITCH,
      `link set ${port} master bridge
       link set ${port} addrgenmode none up`,
    )
  }

  /** Adds a namespace. Returns its name, for `ip netns exec` and the like, and where it is reached. */
  add(name: string): Endpoint & { readonly namespace: string } {
    const namespace = this.#name(name)
    const index = this.#machines++
    const address = `${this.#subnet}.${FIRST_MACHINE + index}`
    command('ip', ['netns', 'add', namespace])
    this.#namespaces.push(namespace)
    const port = `port${index}`
    this.#inside(SWITCH, `link add ${port} type veth peer name eth0 netns ${namespace}`)
    this.#plug(port)
    this.#inside(
      name,
      `link set lo up
       link set eth0 addrgenmode none up
       addr add ${address}/24 dev eth0`,
    )
    return { name, address, namespace }
  }

  /** Nothing of what `from` send reaches `to`; connections stay, and wait. */
  cut(from: readonly Endpoint[], to: readonly Endpoint[]): NetworkFault {
    return this.lose(from, to, 1)
  }

  /** Nothing passes between two sides, in either direction. */
  split(side: readonly Endpoint[], other: readonly Endpoint[]): NetworkFault {
    return this.#begin([...pairs(side, other, 1), ...pairs(other, side, 1)])
  }

  /** A share of the packets from `from` to `to` is lost, each by chance. */
  lose(from: readonly Endpoint[], to: readonly Endpoint[], share: number): NetworkFault {
    if (!(share > 0 && share <= 1)) throw new Error(`${share} of the packets cannot be lost: 0 to 1 can`)
    return this.#begin(pairs(from, to, share))
  }

  #begin(cuts: readonly Cut[]): NetworkFault {
    for (const cut of cuts) this.#cuts.add(cut)
    this.#apply()
    return {
      heal: () => {
        const gone = cuts.filter((cut) => this.#cuts.delete(cut))
        if (gone.length > 0) this.#apply()
      },
    }
  }

  #apply(): void {
    const inSwitch = ['netns', 'exec', this.#name(SWITCH)]
    command('ip', [...inSwitch, 'nft', '-f', '-'], rulesOf(this.#cuts))
  }

  /** What a machine sends is late, or passes slowly. Of two at once the later one counts, until it is healed. */
  slow({ name }: Endpoint, { delayMs, jitterMs = 0, kbitPerSecond }: Slowness): NetworkFault {
    const rate = kbitPerSecond === undefined ? [] : ['rate', `${kbitPerSecond}kbit`]
    const discipline =
      delayMs === undefined
        ? ['tbf', ...rate, 'burst', '16kb', 'latency', '400ms']
        : ['netem', 'delay', `${delayMs}ms`, `${jitterMs}ms`, ...rate]
    const device = ['dev', 'eth0', 'root']
    command('tc', ['-n', this.#name(name), 'qdisc', 'replace', ...device, ...discipline])
    const fault = {}
    this.#slow.set(name, fault)
    return {
      heal: () => {
        if (this.#slow.get(name) !== fault) return
        this.#slow.delete(name)
        command('tc', ['-n', this.#name(name), 'qdisc', 'del', ...device])
      },
    }
  }

  /** Ends whatever is wrong with the network. */
  healAll(): void {
    this.#cuts.clear()
    this.#apply()
    for (const name of this.#slow.keys())
      command('tc', ['-n', this.#name(name), 'qdisc', 'del', 'dev', 'eth0', 'root'])
    this.#slow.clear()
  }

  /** Removes everything, and ends what still runs in there. */
  remove(): void {
    for (const namespace of this.#namespaces.splice(0)) removeNamespace(namespace)
  }
}

const pairs = (from: readonly Endpoint[], to: readonly Endpoint[], share: number): Cut[] =>
  from.flatMap((one) => to.map((other) => ({ from: one, to: other, share })))
