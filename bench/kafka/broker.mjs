/** A running broker as measurements need it: topics, counts of records, and what it cost. */
import { setTimeout as after } from 'node:timers/promises'
import { Admin } from '@varve/client'
import { cpuSeconds, residentBytes } from './process.mjs'

/** So long after its creation a topic must be there. */
const LATEST_MS = 60_000

let topicsMade = 0

const range = (count) => Array.from({ length: count }, (_, index) => index)

export class Broker {
  #server
  #admin
  /** Topics that several measurements read, by what is in them. */
  #shared = new Map()

  /** @param {import('./servers.mjs').Server} server */
  constructor(server) {
    this.#server = server
    this.#admin = new Admin({ brokers: [server.address], timeoutMs: 120_000, requestTimeoutMs: 120_000 })
  }

  get address() {
    return this.#server.address
  }

  /** Where it speaks TLS. */
  get tlsAddress() {
    const { tlsAddress } = this.#server
    if (tlsAddress === undefined)
      throw new Error('there is no TLS without openssl, which makes a certificate')
    return tlsAddress
  }

  get residentBytes() {
    return residentBytes(this.#server.pid)
  }

  get readyMilliseconds() {
    return this.#server.readyMilliseconds
  }

  signal(name) {
    process.kill(this.#server.pid, name)
  }

  /** What `body` makes of it, and the CPU seconds that the broker spends until then. */
  async charged(body) {
    const before = cpuSeconds(this.#server.pid)
    const result = await body()
    return { result, brokerCpuSeconds: cpuSeconds(this.#server.pid) - before }
  }

  /**
   * Creates topics that take records at once.
   *
   * @param {readonly { name?: string, partitions: number }[]} wanted
   * @param {object} [options]
   * @param {boolean} [options.durable] acknowledged once it is on disk, else once the kernel has it
   */
  async createTopics(wanted, { durable = false } = {}) {
    const topics = wanted.map(({ name = `measured-${topicsMade++}`, partitions }) => ({ name, partitions }))
    const configs = { 'file.delete.delay.ms': '0', ...(durable && { 'flush.messages': '1' }) }
    await this.#admin.createTopics(topics.map((topic) => ({ ...topic, replicationFactor: 1, configs })))
    await this.#known(topics)
    return topics
  }

  /** Waits until all partitions answer: Kafka has created a topic before its broker knows it. */
  async #known(topics) {
    for (const deadline = Date.now() + LATEST_MS; ; await after(5)) {
      try {
        return await this.countRecords(topics)
      } catch (error) {
        const passes = error.retriable || error.code === 'VARVE_UNKNOWN_PARTITION'
        if (!passes || Date.now() > deadline) throw error
      }
    }
  }

  async createTopic(partitions, options) {
    const [topic] = await this.createTopics([{ partitions }], options)
    return topic
  }

  deleteTopics(topics) {
    return this.#admin.deleteTopics(topics.map(({ name }) => name))
  }

  listTopics() {
    return this.#admin.listTopics()
  }

  /** The records of all partitions of topics from which nothing was deleted. */
  async countRecords(topics) {
    const queries = topics.flatMap(({ name, partitions }) =>
      range(partitions).map((partition) => ({ topic: name, partition, timestamp: 'latest' })),
    )
    const found = await this.#admin.listOffsets(queries)
    return found.reduce((sum, { offset }) => sum + offset, 0)
  }

  async assertRecords(topics, count) {
    const found = await this.countRecords(topics)
    if (found !== count) throw new Error(`${count} records were acknowledged, and ${found} are there`)
  }

  /** A topic that measurements share; `fill` is called once for each `key`. */
  async shared(key, partitions, fill) {
    if (!this.#shared.has(key)) {
      const topic = await this.createTopic(partitions)
      this.#shared.set(key, { topic, records: await fill(topic) })
    }
    return this.#shared.get(key)
  }

  /** Deletes the topics that measurements shared. */
  async forget() {
    const topics = [...this.#shared.values()].map(({ topic }) => topic)
    this.#shared.clear()
    if (topics.length > 0) await this.deleteTopics(topics)
  }

  async stop() {
    await this.#admin.close()
    this.signal('SIGCONT')
    await this.#server.stop()
  }
}
