import type { Broker } from '../../../src/broker.js'
import type { BrokerOptions } from '../../../src/broker-options.js'
import type { ClusterOptions } from '../../../src/cluster-options.js'
import { LocalCluster } from '../../../src/cluster/local-cluster.js'
import type { MetadataStore } from '../../../src/metadata/metadata-store.js'

/** A cluster in this process whose brokers may be started otherwise than each other, and the lines that they have logged. */
export class TestCluster implements AsyncDisposable {
  readonly lines: string[]
  readonly #cluster: LocalCluster

  private constructor(cluster: LocalCluster, lines: string[]) {
    this.#cluster = cluster
    this.lines = lines
  }

  /** @param optionsOf beside what all brokers of a cluster need */
  static async start(
    count = 3,
    cluster: Omit<ClusterOptions, 'url' | 'etcd' | 'openStore'> = {},
    optionsOf: (nodeId: number) => BrokerOptions = () => ({}),
  ): Promise<TestCluster> {
    const lines: string[] = []
    const opened = await LocalCluster.open({
      data: null,
      cluster,
      brokerOptions: (brokerId) => ({
        log: (level, line) => {
          lines.push(`${brokerId} ${level} ${line}`)
          if (process.env['VARVE_TEST_LOG']) console.log(Date.now() % 100000, brokerId, level, line)
        },
        ...optionsOf(brokerId),
      }),
    })
    const started = new TestCluster(opened, lines)
    // The first one is the controller, so that tests need not look for it.
    if (count > 0) await started.startBroker(1)
    await Promise.all(
      Array.from({ length: Math.max(0, count - 1) }, (_, place) => started.startBroker(place + 2)),
    )
    return started
  }

  get store(): MetadataStore {
    return this.#cluster.store
  }

  get brokers(): ReadonlyMap<number, Broker> {
    return this.#cluster.brokers
  }

  get addresses(): string[] {
    return [...this.brokers.values()].map(({ address }) => address)
  }

  /** Where it was before, if it was there, and with its data. */
  startBroker(nodeId: number, options: BrokerOptions = {}): Promise<Broker> {
    return this.#cluster.start(nodeId, options)
  }

  stopBroker(nodeId: number): Promise<void> {
    return this.#cluster.stop(nodeId)
  }

  /** Looks every 20 ms whether something has become true, for as long as the test may take. */
  async until(isTrue: () => Promise<boolean>): Promise<void> {
    while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.close()
  }
}
