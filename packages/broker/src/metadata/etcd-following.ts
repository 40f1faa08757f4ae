import type { MetadataEvent } from '@varve/replication'
import { VarveError } from '@varve/records'
import { type BrokerLog, errorFields, messageOf } from '../broker-log.js'
import type { Clock, Timer } from '../clock.js'
import { formatAddress } from '../listener-address.js'
import type { EtcdClient } from './etcd-client.js'
import { EtcdFailure, refusalOf, unavailable } from './etcd-failure.js'
import type { EtcdExchange } from './etcd-http.js'
import type { EtcdEndpoint } from './etcd-url.js'
import { type EtcdKeys, integerIn, type Json, listIn, revisionOf } from './etcd-values.js'
import { type MetadataFollower, type MetadataListing, tell } from './metadata-store.js'

/** Between two tries, once every endpoint has been tried; doubled each time, up to the longest. */
const shortestBackoffMs = 100
const longestBackoffMs = 2000

export interface EtcdFollowingOptions {
  readonly prefix: string
  readonly follower: MetadataFollower
  readonly client: EtcdClient
  readonly keys: EtcdKeys
  readonly list: () => Promise<MetadataListing>
  readonly clock: Clock
  readonly quietMs: number
  readonly log: BrokerLog
}

/** How a watch came to its end where nothing was wrong with it. */
type WatchEnd = 'renew' | 'compacted' | 'closed'

/**
 * Tells a follower what happens in etcd: a list, and a watch from behind its revision on. A watch that breaks is taken up behind what
 * was told last, so there is no gap; where that has been compacted, everything is listed again.
 *
 * The gateway gives a watch no way to ask whether it is still alive. So one that hears nothing for a while is ended and taken up
 * again, and that has to be answered in time. It is as well when another endpoint is asked from now on, since something is
 * wrong with the one that it is at.
 */
export class EtcdFollowing {
  readonly #options: EtcdFollowingOptions
  /** Everything up to it has been told; 0: nothing yet. */
  #revision = 0
  #needsList = true
  /** In a row. */
  #failures = 0
  #isClosed = false
  /** Ends the watch that is under way. */
  #renew: (() => void) | null = null
  /** Ends the wait that is under way. */
  #wake: (() => void) | null = null
  readonly #unmove: () => void

  constructor(options: EtcdFollowingOptions) {
    this.#options = options
    this.#unmove = options.client.onMove(() => this.#renew?.())
    void this.#run()
  }

  close(): void {
    this.#isClosed = true
    this.#unmove()
    this.#renew?.()
    this.#wake?.()
  }

  async #run(): Promise<void> {
    await Promise.resolve()
    while (!this.#isClosed) {
      try {
        if (this.#needsList) await this.#list()
        const end = await this.#watchOnce()
        if (end === 'compacted') this.#compacted()
      } catch (error) {
        if (!this.#isClosed) await this.#failed(error)
      }
    }
  }

  async #list(): Promise<void> {
    const { follower, list, prefix } = this.#options
    const { entries, revision } = await list()
    if (this.#isClosed) return
    if (revision < this.#revision) {
      throw new VarveError(
        'VARVE_METADATA_WENT_BACK',
        `etcd is at revision ${revision}, and was at ${this.#revision} before: it has lost what brokers go by, perhaps because a backup was restored; stop all brokers, and start them again`,
      )
    }
    this.#needsList = false
    this.#revision = revision
    this.#options.log(
      'debug',
      `read ${entries.length} entries of ${prefix} from etcd at revision ${revision}`,
    )
    tell(() => follower.reset(entries, revision))
  }

  #compacted(): void {
    this.#needsList = true
    this.#options.log(
      'info',
      `etcd has compacted what has happened under ${this.#options.prefix} since revision ${this.#revision}; everything is read again`,
    )
  }

  async #watchOnce(): Promise<WatchEnd> {
    if (this.#isClosed) return 'closed'
    return await this.#options.client.attempt((endpoint, token) => this.#watch(endpoint, token))
  }

  #watch(endpoint: EtcdEndpoint, token: string | null): Promise<WatchEnd> {
    const { client, clock, keys, prefix, quietMs } = this.#options
    return new Promise((resolve, reject) => {
      let quiet: Timer
      const fragments: Json[] = []
      const end = (settle: () => void): void => {
        clock.clearTimeout(quiet)
        this.#renew = null
        exchange.close()
        settle()
      }
      const renew = (): void => end(() => resolve(this.#isClosed ? 'closed' : 'renew'))
      const request = {
        create_request: {
          ...keys.rangeOf(prefix),
          start_revision: String(this.#revision + 1),
          progress_notify: true,
          fragment: true,
        },
      }
      const exchange: EtcdExchange = client.http.start(
        { endpoint, path: '/v3/watch', body: request, token, isStream: true },
        {
          message: (message) => {
            try {
              clock.clearTimeout(quiet)
              quiet = clock.setTimeout(renew, quietMs)
              if (client.read(endpoint, () => this.#take(endpoint, message, fragments)) === 'compacted')
                end(() => resolve('compacted'))
            } catch (error) {
              end(() => reject(error as Error))
            }
          },
          ended: () => end(() => reject(new EtcdFailure(endpoint, 'unknown', 'ended a watch'))),
          failed: (failure) => end(() => reject(failure)),
        },
      )
      this.#renew = renew
      if (this.#isClosed) renew()
    })
  }

  /** @throws EtcdFailure where etcd has cancelled the watch; Error where it is not etcd that speaks */
  #take(endpoint: EtcdEndpoint, message: Json, fragments: Json[]): WatchEnd | null {
    const { client, keys } = this.#options
    client.checkCluster(message)
    if (message['canceled'] === true) {
      if (integerIn(message['compact_revision']) > 0) return 'compacted'
      const reason = String(message['cancel_reason'] ?? 'without a reason')
      throw new EtcdFailure(
        endpoint,
        saysRefused.test(reason) ? 'refused' : 'unknown',
        `cancelled a watch: ${reason}`,
      )
    }
    if (message['created'] === true) {
      this.#watching(endpoint)
      return null
    }
    fragments.push(...listIn(message['events']))
    if (message['fragment'] === true) return null
    const events = fragments.splice(0).map((event) => keys.event(event))
    if (events.length > 0) this.#tell(events)
    // Where nothing has happened under the prefix, etcd says up to where that is so.
    else this.#revision = Math.max(this.#revision, revisionOf(message))
    return null
  }

  #tell(events: readonly MetadataEvent[]): void {
    const fresh = events.filter(({ revision }) => revision > this.#revision)
    const last = fresh.at(-1)
    if (last === undefined || this.#isClosed) return
    this.#revision = last.revision
    tell(() => this.#options.follower.events(fresh))
  }

  #watching({ host, port }: EtcdEndpoint): void {
    if (this.#failures > 0) {
      const { log, prefix } = this.#options
      log('info', `follows ${prefix} in etcd again, at ${formatAddress(host, port)}`)
    }
    this.#failures = 0
  }

  async #failed(error: unknown): Promise<void> {
    const { client, follower, log, prefix } = this.#options
    const told = errorOf(error)
    log(
      this.#failures === 0 ? 'warn' : 'debug',
      `cannot follow ${prefix} in etcd, and tries again: ${messageOf(told)}`,
      errorFields(told),
    )
    this.#failures++
    tell(() => follower.failed?.(told))
    const tried = this.#failures - client.endpoints
    if (tried >= 0) await this.#wait(Math.min(longestBackoffMs, shortestBackoffMs * 2 ** Math.min(tried, 10)))
  }

  async #wait(ms: number): Promise<void> {
    if (this.#isClosed) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#options.clock.clearTimeout(timer)
        this.#wake = null
        resolve()
      }
      const timer = this.#options.clock.setTimeout(done, ms)
      this.#wake = done
    })
  }
}

const saysRefused = /permission denied|invalid auth token|user name is empty|revision of auth store is old/

function errorOf(error: unknown): VarveError {
  if (VarveError.is(error)) return error
  if (!(error instanceof EtcdFailure)) throw error
  return error.isOfEndpoint ? unavailable([error]) : refusalOf(error)
}
