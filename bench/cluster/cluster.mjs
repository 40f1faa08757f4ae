/** A running cluster as measurements need it: topics, counts of records, and what it cost. */
import { setTimeout as after } from 'node:timers/promises'
import { Admin } from '@varve/client'
import { cpuSeconds, residentBytes } from '../kafka/process.mjs'
import { IDS } from './servers.mjs'

/** After so long everything must be there. */
const LATEST_MS = 90_000

let topicsMade = 0

export const range = (count) => Array.from({ length: count }, (_, index) => index)
const sum = (values) => values.reduce((all, value) => all + value, 0)

/** A partition's replicas, its leader first. */
const replicasFrom = (leader, count) => range(count).map((step) => IDS[(leader - 1 + step) % IDS.length])

/**
 * @typedef {object} Topic
 * @property {string} name
 * @property {number} partitions
 * @property {readonly (readonly number[])[]} replicas
 */

export class Cluster {
  #servers
  #admin
  /** Brokers that run. */
  #up = new Set(IDS)

  /** @param {import('./servers.mjs').Servers} servers */
  constructor(servers) {
    this.#servers = servers
    this.#admin = new Admin({ brokers: this.addresses, timeoutMs: 120_000, requestTimeoutMs: 120_000 })
  }

  get addresses() {
    return IDS.map((id) => this.addressOf(id))
  }

  /** Where foreign clients begin. */
  get address() {
    return this.addresses.join(',')
  }

  addressOf(id) {
    return this.#servers.addressOf(id)
  }

  signal(name) {
    for (const pid of [...this.#pids(), ...this.#storePids()]) process.kill(pid, name)
  }

  #pids() {
    return [...this.#up].map((id) => this.#servers.pidOf(id))
  }

  #storePids() {
    return this.#servers.storePid === undefined ? [] : [this.#servers.storePid]
  }

  /** Of all brokers together, and of the etcd by itself where there is one. */
  residentBytes() {
    const [brokers, [store]] = [this.#pids(), this.#storePids()].map((pids) => pids.map(residentBytes))
    return { brokers: sum(brokers), ...(store !== undefined && { store }) }
  }

  /**
   * What `body` makes of it, and the CPU seconds that are spent until then: of all brokers, of each by its id, and of the etcd
   * where there is one.
   */
  async charged(body) {
    const read = () => new Map([...this.#pids(), ...this.#storePids()].map((pid) => [pid, cpuSeconds(pid)]))
    const before = read()
    const result = await body()
    const now = read()
    const spent = (pid) => now.get(pid) - before.get(pid)
    return {
      result,
      brokerCpuSeconds: sum(this.#pids().map(spent)),
      cpuSecondsOfEach: Object.fromEntries([...this.#up].map((id) => [id, spent(this.#servers.pidOf(id))])),
      ...(this.#servers.storePid !== undefined && { storeCpuSeconds: spent(this.#servers.storePid) }),
    }
  }

  /**
   * Creates topics that take records at once, with all replicas in sync.
   *
   * @param {readonly { leaders: readonly number[] }[]} wanted the leader of each partition of each topic
   * @param {{ replicationFactor?: number, minInsync?: number }} [options]
   * @returns {Promise<readonly Topic[]>}
   */
  async createTopics(wanted, { replicationFactor = 3, minInsync = Math.min(2, replicationFactor) } = {}) {
    const configs = { 'file.delete.delay.ms': '0', 'min.insync.replicas': String(minInsync) }
    const topics = wanted.map(({ leaders }) => ({
      name: `measured-${topicsMade++}`,
      partitions: leaders.length,
      replicas: leaders.map((leader) => replicasFrom(leader, replicationFactor)),
    }))
    await this.#admin.createTopics(topics.map(({ name, replicas }) => ({ name, replicas, configs })))
    await this.inSync(topics)
    return topics
  }

  /** Waits until all replicas are in sync, and all partitions answer: a topic is created before its brokers know it. */
  async inSync(topics) {
    await this.#until('all replicas are in sync', async () => {
      const partitions = await this.#partitions(topics)
      const areThere = partitions.every(
        ({ leader, isr, replicas }) => leader > 0 && isr.length === replicas.length,
      )
      if (areThere) await this.countRecords(topics)
      return areThere
    })
  }

  /** Waits until every partition has a leader that is up. */
  async led(topics) {
    await this.#until('every partition has a leader', async () =>
      (await this.#partitions(topics)).every(({ leader }) => this.#up.has(leader)),
    )
  }

  async leaderOf(topic) {
    const [{ leader }] = await this.#partitions([topic])
    return leader
  }

  async #partitions(topics) {
    const found = await this.#admin.describeTopics(topics.map(({ name }) => name))
    const partitions = found.flatMap((topic) => topic.partitions)
    const wanted = sum(topics.map((topic) => topic.partitions))
    if (partitions.length !== wanted)
      throw Object.assign(new Error(`${partitions.length} of ${wanted} partitions are there`), {
        retriable: true,
      })
    return partitions
  }

  async #until(what, isSo) {
    let why = ''
    for (const deadline = Date.now() + LATEST_MS; Date.now() < deadline; await after(10)) {
      try {
        if (await isSo()) return
      } catch (error) {
        if (!passes(error)) throw error
        why = `: ${error.message}`
      }
    }
    throw new Error(`it is not so after ${LATEST_MS / 1000} s that ${what}${why}`)
  }

  deleteTopics(topics) {
    return this.#admin.deleteTopics(topics.map(({ name }) => name))
  }

  /** The committed records of all partitions of topics from which nothing was deleted. */
  async countRecords(topics) {
    const queries = topics.flatMap(({ name, partitions }) =>
      range(partitions).map((partition) => ({ topic: name, partition, timestamp: 'latest' })),
    )
    return sum((await this.#admin.listOffsets(queries)).map(({ offset }) => offset))
  }

  /** Waits until so many records are committed: what is acknowledged before that may still be on its way to followers. */
  async assertRecords(topics, count) {
    await this.#until(`${count} records are committed`, async () => {
      const found = await this.countRecords(topics)
      if (found > count) throw new Error(`${count} records were acknowledged, and ${found} are there`)
      return found === count
    })
  }

  /** Sections share nothing in a cluster. */
  async forget() {}

  async kill(id) {
    this.#up.delete(id)
    await this.#servers.kill(id)
  }

  /** It is there, and answers nobody: as when its machine is gone, nothing ends its connections. */
  pause(id) {
    process.kill(this.#servers.pidOf(id), 'SIGSTOP')
  }

  resume(id) {
    process.kill(this.#servers.pidOf(id), 'SIGCONT')
  }

  async restart(id) {
    await this.#servers.restart(id)
    this.#up.add(id)
  }

  async stop() {
    await this.#admin.close()
    this.signal('SIGCONT')
    await this.#servers.stop()
  }
}

/** What a cluster answers that has not come to rest yet, or a broker that is gone. */
const passes = ({ retriable, code }) =>
  retriable === true || code === 'VARVE_UNKNOWN_PARTITION' || /CONNECT|TIMED?_?OUT/.test(String(code))
