import type { MetadataEntry, MetadataTransaction } from '@varve/replication'
import { type BrokerLog, errorFields, messageOf, silentLog } from '../broker-log.js'
import { type Clock, systemClock } from '../clock.js'
import { EtcdClient, type EtcdRepetition } from './etcd-client.js'
import { EtcdFailure, refusalOf } from './etcd-failure.js'
import { EtcdFollowing } from './etcd-following.js'
import type { EtcdConnection, EtcdTls } from './etcd-url.js'
import { EtcdKeys, integerIn, type Json, listIn, revisionOf } from './etcd-values.js'
import {
  checkLeaseTtl,
  checkTransaction,
  keptLeaseOfNothing,
  leaseGone,
  metadataClosed,
  type MetadataFollower,
  type MetadataFollowing,
  type MetadataListing,
  type MetadataStore,
  type MetadataTransactionResult,
} from './metadata-store.js'

/** Entries that are asked for at a time. */
const pageEntries = 1000

export interface EtcdMetadataStoreOptions extends EtcdConnection {
  /** Gives what `tls` is to be from now on. Default: it stays as it is. */
  readonly readTls?: () => Promise<EtcdTls>
  /** Default: nothing is said. */
  readonly log?: BrokerLog
  /** Default: the machine's. */
  readonly clock?: Clock
  /** How long a connection may take, TLS included. Default: 1,500 ms. */
  readonly connectTimeoutMs?: number
  /** How long etcd may take to answer. Default: 3,000 ms. */
  readonly requestTimeoutMs?: number
  /** How long a follower is content to hear nothing before it makes sure that it still would. Default: 5,000 ms. */
  readonly quietMs?: number
}

/** The metadata of a cluster in etcd, 3.4 or later, by its JSON gateway. */
export class EtcdMetadataStore implements MetadataStore {
  readonly #options: EtcdMetadataStoreOptions
  readonly #clock: Clock
  readonly #client: EtcdClient
  readonly #keys: EtcdKeys
  readonly #followings = new Set<EtcdFollowing>()

  /** Connects to nothing yet. @throws VarveError `VARVE_INVALID_OPTION` for certificates that are none */
  constructor(options: EtcdMetadataStoreOptions) {
    const { clock = systemClock, connectTimeoutMs = 1500, requestTimeoutMs = 3000, keyPrefix } = options
    this.#options = options
    this.#clock = clock
    this.#client = new EtcdClient({ ...options, clock, connectTimeoutMs, requestTimeoutMs })
    this.#keys = new EtcdKeys(keyPrefix)
  }

  async list(prefix: string): Promise<MetadataListing> {
    const range = this.#keys.rangeOf(prefix)
    for (;;) {
      try {
        const entries: MetadataEntry[] = []
        let page = await this.#page(range)
        const { revision } = page
        entries.push(...page.entries)
        while (page.more) {
          const rest = this.#keys.rangeBehind(entries.at(-1)!.key, range)
          page = await this.#page({ ...rest, revision: String(revision) })
          entries.push(...page.entries)
        }
        return { entries, revision }
      } catch (error) {
        // The revision of the first page may be compacted before the last one.
        if (!(error instanceof EtcdFailure)) throw error
        if (!error.isCompacted) throw refusalOf(error)
      }
    }
  }

  async txn(transaction: MetadataTransaction): Promise<MetadataTransactionResult> {
    if (this.#client.isClosed) throw metadataClosed()
    checkTransaction(transaction)
    try {
      return await this.#ask('/v3/kv/txn', this.#keys.transaction(transaction), 'once', (answer) => ({
        succeeded: answer['succeeded'] === true,
        revision: revisionOf(answer),
      }))
    } catch (error) {
      if (!(error instanceof EtcdFailure)) throw error
      const { puts = [] } = transaction
      if (error.message.includes('requested lease not found')) {
        throw leaseGone(
          puts.flatMap(({ lease }) => (lease === undefined || lease === 'kept' ? [] : [lease])).join(' or '),
        )
      }
      if (error.message.includes('key not found')) {
        throw keptLeaseOfNothing(
          puts.flatMap(({ key, lease }) => (lease === 'kept' ? [key] : [])).join(' or '),
        )
      }
      throw refusalOf(error)
    }
  }

  follow(prefix: string, follower: MetadataFollower): MetadataFollowing {
    if (this.#client.isClosed) throw metadataClosed()
    const { log = silentLog, quietMs = 5000 } = this.#options
    const following = new EtcdFollowing({
      prefix,
      follower,
      client: this.#client,
      keys: this.#keys,
      list: () => this.list(prefix),
      clock: this.#clock,
      quietMs,
      log,
    })
    this.#followings.add(following)
    return {
      close: () => {
        this.#followings.delete(following)
        following.close()
      },
    }
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    checkLeaseTtl(ttlSeconds)
    return await this.#refusable('/v3/lease/grant', { TTL: String(ttlSeconds) }, 'once', (answer) => {
      if (typeof answer['ID'] === 'string') return answer['ID']
      throw new Error('granted a lease without an id')
    })
  }

  async keepAlive(lease: string): Promise<boolean> {
    return await this.#refusable('/v3/lease/keepalive', { ID: lease }, 'repeatable', (answer) => {
      if (answer['ID'] !== lease)
        throw new Error(`kept the lease ${String(answer['ID'])} alive instead of ${lease}`)
      return integerIn(answer['TTL']) > 0
    })
  }

  async revokeLease(lease: string): Promise<void> {
    try {
      await this.#ask('/v3/lease/revoke', { ID: lease }, 'repeatable', () => {})
    } catch (error) {
      if (!(error instanceof EtcdFailure)) throw error
      if (!error.message.includes('requested lease not found')) throw refusalOf(error)
    }
  }

  async reloadCertificates(): Promise<void> {
    const { tls, readTls, log = silentLog } = this.#options
    if (tls === null || readTls === undefined) return
    try {
      this.#client.http.use(await readTls())
    } catch (error) {
      log('error', `${messageOf(error)}; what was in use for etcd stays`, errorFields(error))
      throw error
    }
    log('info', 'new connections to etcd use the certificates as they are now')
  }

  async close(): Promise<void> {
    for (const following of this.#followings) following.close()
    this.#followings.clear()
    this.#client.close()
  }

  async #page(range: Json): Promise<MetadataListing & { readonly more: boolean }> {
    return await this.#ask('/v3/kv/range', { ...range, limit: String(pageEntries) }, 'read', (answer) => {
      const entries = listIn(answer['kvs']).map((pair) => this.#keys.entry(pair))
      const more = answer['more'] === true
      if (more && entries.length === 0) throw new Error('answered that there is more, behind nothing')
      return { entries, revision: revisionOf(answer), more }
    })
  }

  async #refusable<T>(
    path: string,
    body: Json,
    repetition: EtcdRepetition,
    decode: (answer: Json) => T,
  ): Promise<T> {
    try {
      return await this.#ask(path, body, repetition, decode)
    } catch (error) {
      throw error instanceof EtcdFailure ? refusalOf(error) : error
    }
  }

  /** @throws EtcdFailure for what etcd refuses; and as {@link EtcdClient.call} */
  async #ask<T>(
    path: string,
    body: Json,
    repetition: EtcdRepetition,
    decode: (answer: Json) => T,
  ): Promise<T> {
    return await this.#client.call(path, body, repetition, (answer) => {
      this.#client.checkCluster(answer)
      return decode(answer)
    })
  }
}
