import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { openDataDirectory } from '@varve/log'
import { VarveError } from '@varve/records'
import { type Broker, openBroker, type OpenedBroker } from '../broker.js'
import { type BrokerOptions, resolveOptions } from '../broker-options.js'
import type { ClusterOptions } from '../cluster-options.js'
import { directoryOf, metadataDirectoryName } from '../directories-of-several.js'
import { formatAddress } from '../listener-address.js'
import { borrowedMetadataStore } from '../metadata/borrowed-metadata-store.js'
import type { MetadataStore } from '../metadata/metadata-store.js'
import { openLocalMetadataStore } from '../metadata/open-local-metadata-store.js'

export interface LocalClusterOptions {
  /** Where everything is kept; null: in a temporary directory, gone after `close`. */
  readonly data: string | null
  /** How each broker is started, beside its id, its directory and its store. */
  readonly brokerOptions: (brokerId: number) => BrokerOptions
  readonly cluster: Omit<ClusterOptions, 'url' | 'etcd' | 'openStore'>
}

/** Brokers of one process, over one metadata store in it. */
export class LocalCluster {
  readonly #options: LocalClusterOptions
  readonly #root: string
  readonly store: MetadataStore
  readonly #opened = new Map<number, OpenedBroker>()
  /** Where each broker has listened, so that clients find it there again. */
  readonly #listeners = new Map<number, string[]>()

  private constructor(options: LocalClusterOptions, root: string, store: MetadataStore) {
    this.#options = options
    this.#root = root
    this.store = store
  }

  /** Opens the store. There is no broker yet. */
  static async open(options: LocalClusterOptions): Promise<LocalCluster> {
    const { data } = options
    const root = data === null ? await mkdtemp(join(tmpdir(), 'varve-cluster-')) : resolve(data)
    const store = await openLocalMetadataStore(join(root, metadataDirectoryName), { volatile: data === null })
    return new LocalCluster(options, root, store)
  }

  /** Those that run, in the order of their ids. */
  get brokers(): ReadonlyMap<number, Broker> {
    return new Map([...this.#opened].sort(([a], [b]) => a - b))
  }

  /**
   * Starts a broker: one that was there before with its data and where it listened, any other one anew.
   *
   * @param own what is otherwise for this broker than for the others
   */
  async start(brokerId: number, own: BrokerOptions = {}): Promise<Broker> {
    if (this.#opened.has(brokerId))
      throw new VarveError(
        'VARVE_INVALID_OPTION',
        `broker ${brokerId} of the cluster runs already; stop it first`,
      )
    const data = directoryOf(this.#root, brokerId)
    await mkdir(data, { recursive: true })
    const { brokerOptions, cluster } = this.#options
    const { host, port, ...options } = { ...brokerOptions(brokerId), ...own }
    const listeners = this.#listeners.get(brokerId)
    const resolved = resolveOptions({
      ...options,
      ...(listeners === undefined
        ? { ...(host !== undefined && { host }), ...(port !== undefined && { port }) }
        : { listeners }),
      data,
      nodeId: brokerId,
      cluster: { ...cluster, openStore: async () => borrowedMetadataStore(this.store) },
    })
    const isTemporary = this.#options.data === null
    const broker = await openBroker(resolved, {
      openDataDirectory: (path, given = {}) => openDataDirectory(path, { ...given, volatile: isTemporary }),
    })
    this.#listeners.set(
      brokerId,
      broker.listeners.map((at) => `${at.name}://${formatAddress(at.host, at.port)}`),
    )
    this.#opened.set(brokerId, broker)
    return broker
  }

  /** Ends a broker in order, as SIGTERM does. */
  async stop(brokerId: number): Promise<void> {
    await this.#take(brokerId).close()
  }

  /** Ends a broker as the end of its process would, and closes its logs. */
  async crash(brokerId: number): Promise<void> {
    await this.#take(brokerId).crash()
  }

  /** Ends all of it. */
  async close(): Promise<void> {
    const ended = await Promise.allSettled([...this.#opened.keys()].map((brokerId) => this.stop(brokerId)))
    await this.store.close()
    if (this.#options.data === null) await rm(this.#root, { recursive: true, force: true })
    for (const result of ended) if (result.status === 'rejected') throw result.reason
  }

  #take(brokerId: number): OpenedBroker {
    const broker = this.#opened.get(brokerId)
    if (broker === undefined)
      throw new VarveError(
        'VARVE_INVALID_OPTION',
        `no broker ${brokerId} of the cluster runs; start it first`,
      )
    this.#opened.delete(brokerId)
    return broker
  }
}
