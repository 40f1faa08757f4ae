import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openDataDirectory, type DataDirectory } from '@varve/log'
import type { Broker } from '../../../src/broker.js'
import type { BrokerOptions } from '../../../src/broker-options.js'
import type { ClusterOptions } from '../../../src/cluster-options.js'
import { LocalMetadataStore } from '../../../src/metadata/local-metadata-store.js'
import type { MetadataStore } from '../../../src/metadata/metadata-store.js'
import { startBroker } from '../../../src/start-broker.js'
import { temporaryDirectory } from '../../support/test-broker.js'

/** Brokers of one process over one store in it. */
export class TestCluster implements AsyncDisposable {
  readonly brokers = new Map<number, Broker>()
  readonly lines: string[] = []
  readonly #root: string
  readonly #directory: DataDirectory
  readonly store: LocalMetadataStore
  readonly #cluster: Partial<ClusterOptions>

  private constructor(
    root: string,
    directory: DataDirectory,
    store: LocalMetadataStore,
    cluster: Partial<ClusterOptions>,
  ) {
    this.#root = root
    this.#directory = directory
    this.store = store
    this.#cluster = cluster
  }

  /** @param optionsOf beside what all brokers of a cluster need */
  static async start(
    count = 3,
    cluster: Partial<ClusterOptions> = {},
    optionsOf: (nodeId: number) => BrokerOptions = () => ({}),
  ): Promise<TestCluster> {
    const root = await temporaryDirectory()
    const directory = await openDataDirectory(join(root, 'metadata'), { volatile: true })
    const store = await LocalMetadataStore.open(directory, { durability: 'os' })
    const started = new TestCluster(root, directory, store, cluster)
    await Promise.all(
      Array.from({ length: count }, (_, place) => started.startBroker(place + 1, optionsOf(place + 1))),
    )
    return started
  }

  async startBroker(nodeId: number, options: BrokerOptions = {}): Promise<Broker> {
    const data = join(this.#root, `broker-${nodeId}`)
    await mkdir(data, { recursive: true })
    const broker = await startBroker({
      data,
      nodeId,
      cluster: { openStore: async () => shared(this.store), ...this.#cluster },
      log: (level, line) => {
        this.lines.push(`${nodeId} ${level} ${line}`)
        if (process.env['VARVE_TEST_LOG']) console.log(Date.now() % 100000, nodeId, level, line)
      },
      groups: { initialRebalanceDelayMs: 0 },
      ...options,
    })
    this.brokers.set(nodeId, broker)
    return broker
  }

  async stopBroker(nodeId: number): Promise<void> {
    const broker = this.brokers.get(nodeId)!
    this.brokers.delete(nodeId)
    await broker.close()
  }

  /** Looks every 20 ms whether something has become true, for as long as the test may take. */
  async until(isTrue: () => Promise<boolean>): Promise<void> {
    while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  get addresses(): string[] {
    return [...this.brokers.values()].map(({ address }) => address)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.brokers.keys()].map((nodeId) => this.stopBroker(nodeId)))
    await this.store.close()
    await this.#directory.close()
  }
}

/** A store that outlives the broker that closes it. */
export function shared(store: MetadataStore): MetadataStore {
  const followings = new Set<{ close(): void }>()
  return {
    list: (prefix) => store.list(prefix),
    txn: (transaction) => store.txn(transaction),
    follow: (prefix, follower) => {
      const following = store.follow(prefix, follower)
      followings.add(following)
      return following
    },
    grantLease: (ttlSeconds) => store.grantLease(ttlSeconds),
    keepAlive: (lease) => store.keepAlive(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    close: async () => {
      for (const following of followings) following.close()
    },
  }
}
