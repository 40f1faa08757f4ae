import type { Random } from './random.js'
import type { Timer, VirtualTime } from './virtual-time.js'

interface Lease {
  readonly ttlSeconds: number
  readonly keys: Set<string>
  /** In virtual time. */
  expiresAt: number
}

export interface EtcdLeasesOptions {
  readonly time: VirtualTime
  readonly random: Random
  readonly lateExpiry: { readonly chance: number; readonly maxMs: number }
  /** Deletes them in one transaction; each one is detached by it. */
  readonly removeKeys: (keys: readonly string[]) => void
}

/** etcd looks for leases that have expired this often. */
const scanIntervalMs = 500

/** The leases of an etcd cluster, as its leader keeps them. */
export class EtcdLeases {
  readonly #options: EtcdLeasesOptions
  readonly #leases = new Map<string, Lease>()
  #granted = 0
  #scan: Timer | null = null
  #isSuspended = false

  constructor(options: EtcdLeasesOptions) {
    this.#options = options
  }

  has(lease: string): boolean {
    return this.#leases.has(lease)
  }

  grant(ttlSeconds: number): string {
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1) throw new RangeError(`a lease of ${ttlSeconds} s`)
    const id = `lease-${++this.#granted}`
    const expiresAt = this.#options.time.now + ttlSeconds * 1000
    this.#leases.set(id, { ttlSeconds, keys: new Set(), expiresAt })
    this.#scheduleScan()
    return id
  }

  keepAlive(id: string): number {
    const lease = this.#leases.get(id)
    // One whose time is over is only waiting to be found by the scan.
    if (lease === undefined || lease.expiresAt <= this.#options.time.now) return 0
    lease.expiresAt = this.#options.time.now + lease.ttlSeconds * 1000
    return lease.ttlSeconds
  }

  revoke(id: string): boolean {
    const lease = this.#leases.get(id)
    if (lease === undefined) return false
    // While its keys are deleted it is still there, for them to be detached from it.
    this.#options.removeKeys([...lease.keys].sort())
    this.#leases.delete(id)
    return true
  }

  attach(id: string, key: string): void {
    this.#leases.get(id)!.keys.add(key)
  }

  detach(id: string, key: string): void {
    this.#leases.get(id)!.keys.delete(key)
  }

  suspend(): void {
    this.#isSuspended = true
    this.#scan?.cancel()
    this.#scan = null
  }

  extendAll(): void {
    this.#isSuspended = false
    const now = this.#options.time.now
    for (const lease of this.#leases.values()) lease.expiresAt = now + lease.ttlSeconds * 1000
    this.#scheduleScan()
  }

  /** At the first scan that may find one; that no scan is missed, not that each one is run. */
  #scheduleScan(): void {
    if (this.#isSuspended || this.#leases.size === 0) return
    let earliest = Infinity
    for (const { expiresAt } of this.#leases.values()) earliest = Math.min(earliest, expiresAt)
    const at = Math.max(this.#options.time.now + 1, earliest)
    const scanAt = Math.ceil(at / scanIntervalMs) * scanIntervalMs
    if (this.#scan?.isPending === true && this.#scan.time <= scanAt) return
    this.#scan?.cancel()
    this.#scan = this.#options.time.at(scanAt, scan, this)
  }

  /** For {@link scan}. */
  expire(): void {
    const { time, random, lateExpiry } = this.#options
    for (const [id, { expiresAt }] of this.#leases) {
      if (expiresAt > time.now) continue
      if (random.chance(lateExpiry.chance))
        time.after(random.float(0, lateExpiry.maxMs), revokeExpired, this, id)
      else this.revoke(id)
    }
    this.#scheduleScan()
  }

  /** Unless a new leader has given it its time again meanwhile. */
  revokeExpired(id: string): void {
    const lease = this.#leases.get(id)
    if (lease !== undefined && !this.#isSuspended && lease.expiresAt <= this.#options.time.now)
      this.revoke(id)
  }
}

function scan(leases: EtcdLeases): void {
  leases.expire()
}

function revokeExpired(leases: EtcdLeases, id: string): void {
  leases.revokeExpired(id)
}
