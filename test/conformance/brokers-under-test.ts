/**
 * What the clients of this folder meet: a broker that is alone or, where `VARVE_CONFORMANCE_BROKERS` says how many, a cluster with a
 * replica of everything on each of its brokers. What a client sees of the one is to be what it sees of the other.
 */
import { join } from 'node:path'
import { Admin } from '@varve/client'
import { afterAll, vi } from 'vitest'
import { BrokerProcess } from '../support/broker-process.js'
import { EtcdProcess, etcdMissing } from '../support/etcd.js'
import { temporaryDirectory } from '../support/tree.js'

const brokerCount = Number(process.env['VARVE_CONFORMANCE_BROKERS'] ?? 1)

/** Why these brokers cannot be started here, or null. */
export const brokersMissing = brokerCount === 1 ? null : etcdMissing

const stores: EtcdProcess[] = []
afterAll(async () => {
  await Promise.all(stores.map((etcd) => etcd.close()))
})

/** Processes of `varve serve`; what a test leaves running ends with its file. */
export class BrokersUnderTest {
  readonly #etcd: EtcdProcess | null
  /** Where each has its data, by id. */
  readonly #directories: ReadonlyMap<number, string>
  readonly #configs: Readonly<Record<string, string | number>>
  readonly #running = new Map<number, BrokerProcess>()
  readonly #ports = new Map<number, number>()

  private constructor(
    etcd: EtcdProcess | null,
    directories: ReadonlyMap<number, string>,
    configs: Readonly<Record<string, string | number>>,
  ) {
    this.#etcd = etcd
    this.#directories = directories
    this.#configs = configs
  }

  /** Starts brokers without records. `configs` are for those of a cluster. */
  static async start(
    count = brokerCount,
    configs: Readonly<Record<string, string | number>> = {},
  ): Promise<BrokersUnderTest> {
    const directory = temporaryDirectory()
    // A broker of a cluster has no id 0 unless somebody gives it that.
    const ids = count === 1 ? [0] : Array.from({ length: count }, (_, place) => place + 1)
    const directories = new Map(ids.map((id) => [id, join(directory, `data-${id}`)]))
    if (count > 1 && etcdMissing !== null) throw new Error(etcdMissing)
    const etcd = count === 1 ? null : await EtcdProcess.start()
    if (etcd !== null) stores.push(etcd)
    const brokers = new BrokersUnderTest(etcd, directories, configs)
    await brokers.startAgain()
    return brokers
  }

  /** `host:port` of each: what our own clients are given. */
  get addresses(): string[] {
    return [...this.#directories.keys()].map((id) => `127.0.0.1:${this.#ports.get(id)}`)
  }

  /** The same with commas: what everybody else is given. */
  get bootstrapServers(): string {
    return this.addresses.join(',')
  }

  /** Those that run, by id. */
  get running(): ReadonlyMap<number, BrokerProcess> {
    return this.#running
  }

  /** What they have written to standard error. */
  get errors(): string {
    return [...this.#running.values()].map(({ errors }) => errors).join('')
  }

  /** The directory of a partition on each of them. */
  replicasOf(topic: string, partition = 0): string[] {
    return [...this.#directories.values()].map((data) => join(data, `${topic}-${partition}`))
  }

  /**
   * Creates a topic, where that takes more than one broker, and waits until it is led. Of what is sent to a leader that has not heard yet
   * that it is one, the first may be refused and come behind the rest, unless the producer is idempotent.
   */
  async prepare(topic: string): Promise<void> {
    if (this.#directories.size === 1) return
    await using admin = new Admin({ brokers: this.addresses })
    await admin.createTopics([{ name: topic }])
    await admin.listOffsets([{ topic, partition: 0, timestamp: 'latest' }])
  }

  /** Who leads a partition. */
  async leaderOf(topic: string, partition = 0): Promise<number> {
    await using admin = new Admin({ brokers: [...this.#running.values()].map(({ address }) => address) })
    const [described] = await admin.describeTopics([topic])
    return described!.partitions[partition]!.leader
  }

  /** Kills one of them, as a power cut of its machine would. */
  async kill(id: number): Promise<void> {
    await this.#running.get(id)!.stop('SIGKILL')
    this.#running.delete(id)
  }

  /** Stops those that are named, or all; fails unless each of them ends well. */
  async stop(...ids: number[]): Promise<void> {
    const stopping = ids.length === 0 ? [...this.#running.keys()] : ids
    const codes = await Promise.all(stopping.map((id) => this.#running.get(id)!.stop()))
    if (codes.some((code) => code !== 0)) throw new Error(`ended with ${codes.join()}:\n${this.errors}`)
    for (const id of stopping) this.#running.delete(id)
  }

  /** Starts those that do not run, each with its data and at its port. */
  async startAgain(): Promise<void> {
    const missing = [...this.#directories.keys()].filter((id) => !this.#running.has(id))
    await Promise.all(missing.map((id) => this.#start(id)))
    await Promise.all([...this.#running.values()].map(({ address }) => this.#untilItKnowsAll(address)))
  }

  async #start(id: number): Promise<void> {
    const port = this.#ports.get(id) ?? 0
    const cluster = this.#etcd === null ? [] : this.#inCluster(this.#etcd, id)
    const broker = await BrokerProcess.start(this.#directories.get(id)!, [...cluster, '--port', String(port)])
    this.#running.set(id, broker)
    this.#ports.set(id, broker.port)
  }

  /** As an operator has it whose records are to outlive any one broker. */
  #inCluster(etcd: EtcdProcess, id: number): string[] {
    const count = this.#directories.size
    const configs = {
      'default.replication.factor': count,
      'offsets.topic.replication.factor': count,
      'min.insync.replicas': count - 1,
      ...this.#configs,
    }
    const flags = Object.entries(configs).flatMap(([name, value]) => ['--config', `${name}=${value}`])
    return ['--cluster', `${etcd.url}/varve`, '--broker-id', String(id), ...flags]
  }

  /** Brokers learn of each other behind the start of the last one. */
  async #untilItKnowsAll(address: string): Promise<void> {
    await using admin = new Admin({ brokers: [address] })
    const count = this.#directories.size
    await vi.waitUntil(async () => (await admin.describeCluster()).nodes.length === count, {
      timeout: 50_000,
    })
  }
}
