import { cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin } from '@varve/client'
import { runChild } from '../../support/children.js'
import { etcdCommand } from '../../support/etcd.js'
import { varve } from '../../support/tree.js'
import { type FaultPlan, planFaults } from '../machines/fault-plan.js'
import { readHistory } from '../history/json-lines.js'
import { runFaults } from '../machines/fault-run.js'
import { faultsOf } from '../machines/faults.js'
import type { MachineProcess } from '../machines/machine-process.js'
import { type ClientProgram, finalReader, java } from './client-programs.js'
import { differencesOfReplicas, judge, standstills } from './judgement.js'
import { BrokerMember, type BrokerSettings, StoreProcess } from './processes.js'
import { RoundLog } from './round-log.js'
import { Site } from './site.js'
import { storeDies } from './store-dies.js'

export const TOPIC = 'orders'
export const PARTITIONS = 6
const BROKERS = ['broker-1', 'broker-2', 'broker-3']
const SESSION_TIMEOUT_SECONDS = 3
/** What a healed cluster has until everything is led and in sync. */
const WHOLE_WITHIN_MS = 60_000
/** What clients have, once the cluster is whole, until they are all at work: much longer than the session of a member of a group. */
const AT_WORK_WITHIN_MS = 60_000
/** What clients that are asked to end have for what they have sent. */
const END_WITHIN_MS = 120_000

export interface RoundOptions {
  readonly seed: number
  /** For so long something breaks. */
  readonly seconds: number
  /** Where its logs, histories and, without disks of their own, data go. */
  readonly folder: string
  /** Where Java's is one of them, Kafka's tool looks at the logs at the end. */
  readonly clients: readonly ClientProgram[]
  /** How long each producer waits between two records. */
  readonly gapMs?: number
  /** Instead of what the seed says. */
  readonly plan?: FaultPlan
  /** To do without machines although there could be some. */
  readonly onLoopback?: boolean
}

export interface RoundOutcome {
  /** What must not be; nothing if all is well. */
  readonly findings: readonly string[]
  /** What could not be done here, and why. */
  readonly missing: readonly string[]
  /** The schedule and the report of the history. */
  readonly text: string
}

/** Breaks a cluster under load for a while, heals it, and judges what its clients saw. */
export async function round(options: RoundOptions): Promise<RoundOutcome> {
  const site = Site.create(BROKERS, options.folder, options.onLoopback)
  const one = new Round(site, options)
  try {
    return await one.run()
  } finally {
    await site.close()
  }
}

class Round {
  readonly #site: Site
  readonly #options: RoundOptions
  readonly #log: RoundLog
  readonly #store: StoreProcess
  readonly #brokers: readonly BrokerMember[]
  readonly #findings: string[] = []
  readonly #text: string[] = []

  constructor(site: Site, options: RoundOptions) {
    const { seed, folder } = options
    this.#site = site
    this.#options = options
    this.#log = new RoundLog(folder)
    this.#store = new StoreProcess(site.store, folder, etcdCommand)
    const settings: BrokerSettings = {
      store: this.#store.url,
      durability: seed % 2 === 0 ? 'os' : 'fsync',
      sessionTimeoutSeconds: SESSION_TIMEOUT_SECONDS,
    }
    const hear = (name: string, text: string): void => this.#log.hear(name, text)
    this.#brokers = site.brokers.map((place, index) => new BrokerMember(index + 1, place, settings, hear))
  }

  get #addresses(): string[] {
    return this.#brokers.map(({ address }) => address)
  }

  #history(name: string): string {
    return join(this.#options.folder, `${name}.jsonl`)
  }

  #tell(line: string): void {
    this.#text.push(line)
    this.#log.tell(line)
  }

  #find(finding: string): void {
    this.#findings.push(finding)
    this.#log.tell(`FINDING: ${finding}`)
  }

  async run(): Promise<RoundOutcome> {
    await this.#store.start()
    await Promise.all(this.#brokers.map((broker) => broker.start()))
    await this.#createTopic()
    const clients = await this.#startClients()
    const missing = await this.#break()
    const healedAt = this.#monotonic()
    await this.#expectWhole()
    await this.#untilAtWork([...clients.keys()], healedAt)
    await Promise.all([...clients].map(([name, process]) => this.#end(name, process)))
    await this.#readFinally()
    await this.#compareReplicas()
    await this.#judge(clients, healedAt)
    if (this.#findings.length > 0) {
      for (const { machine, disk, data } of this.#brokers)
        if (disk !== undefined)
          cpSync(data, join(this.#options.folder, `data-${machine.name}`), { recursive: true })
    }
    return { findings: this.#findings, missing, text: this.#text.join('\n') }
  }

  /** As histories have it. */
  #monotonic(): number {
    return Number(process.hrtime.bigint() / 1000n)
  }

  async #createTopic(): Promise<void> {
    await using admin = new Admin({ brokers: this.#addresses })
    const configs = { 'min.insync.replicas': '2', 'retention.ms': '-1', 'segment.ms': '10000' }
    await admin.createTopics([{ name: TOPIC, partitions: PARTITIONS, replicationFactor: 3, configs }])
  }

  async #startClients(): Promise<Map<string, MachineProcess>> {
    const { clients, gapMs = 10 } = this.#options
    const started = clients.map(async ({ name, command: [command, ...before] }) => {
      const args = [this.#addresses.join(), TOPIC, PARTITIONS, 'workers', this.#history(name), gapMs].map(
        String,
      )
      const hear = (text: string): void => this.#log.hear(name, text)
      return [name, await this.#site.clients.start(command, [...before, ...args], { hear })] as const
    })
    return new Map(await Promise.all(started))
  }

  /** Lets the faults of the seed happen. Returns what could not be done, and why. */
  async #break(): Promise<readonly string[]> {
    const { seed, seconds, plan: given } = this.#options
    const cluster = { machines: this.#site.machines, brokers: this.#brokers, store: this.#store }
    const { kinds, missing } = faultsOf(cluster)
    kinds.push(storeDies(this.#store))
    const durationMs = seconds * 1000
    const plan = given ?? planFaults({ seed, durationMs, kinds, meanGapMs: 2500, meanMs: 4000 })
    this.#tell(`faults begin, by seed ${seed}`)
    try {
      await runFaults(plan, kinds, { tell: (line) => this.#tell(line) })
    } catch (error) {
      this.#find(`a fault could not be healed: ${String(error)}`)
    }
    this.#tell('everything is healed')
    for (const { machine, process } of [...this.#brokers, this.#store])
      if (!process.isRunning) this.#find(`${machine.name} has ended by itself, see ${machine.name}.log`)
    return [...this.#site.missing, ...missing]
  }

  #varve(...args: string[]): ReturnType<typeof runChild> {
    return runChild(process.execPath, [varve, ...args, '--broker', this.#addresses.join()])
  }

  async #expectWhole(): Promise<void> {
    const until = performance.now() + WHOLE_WITHIN_MS
    for (;;) {
      const { code, stdout, stderr } = await this.#varve('cluster', 'status', '--check')
      if (code === 0) break
      if (performance.now() > until) {
        this.#find(
          `the cluster is not whole ${WHOLE_WITHIN_MS / 1000} s later:\n${stdout.toString()}${stderr}`,
        )
        return
      }
      await sleep(500)
    }
    this.#tell('the cluster is whole')
  }

  /** Who is not at work by the end of it is told of as one that stands still. */
  async #untilAtWork(clients: readonly string[], healedAt: number): Promise<void> {
    const isAtWork = (name: string): boolean => {
      const file = this.#history(name)
      const history = existsSync(file) ? readHistory(file) : []
      return history.length > 0 && [...standstills(history, healedAt)].length === 0
    }
    const until = performance.now() + AT_WORK_WITHIN_MS
    while (!clients.every(isAtWork) && performance.now() < until) await sleep(500)
  }

  async #end(name: string, process: MachineProcess): Promise<void> {
    if (!process.isRunning) {
      this.#find(
        `the client ${name} has ended before it was asked to, see ${name}.log: ${lastLines(process)}`,
      )
      return
    }
    process.signal('SIGTERM')
    const late = sleep(END_WITHIN_MS, null, { ref: false })
    const ended = await Promise.race([process.exited, late])
    if (ended === null) this.#find(`the client ${name} does not end, ${END_WITHIN_MS / 1000} s later`)
    // Java ends by the signal that asked it to.
    else if (ended.code !== 0 && !/has ended/.test(process.stderr))
      this.#find(`the client ${name} ended with ${ended.code ?? ended.signal}: ${lastLines(process)}`)
  }

  async #readFinally(): Promise<void> {
    const [command, ...before] = finalReader
    const args = [this.#addresses.join(), TOPIC, String(PARTITIONS), this.#history('final')]
    const reader = await this.#site.clients.start(command, [...before, ...args])
    const ended = await Promise.race([reader.exited, sleep(END_WITHIN_MS, null, { ref: false })])
    if (ended?.code !== 0)
      this.#find(
        `not everything could be read at the end: ${ended === null ? 'it takes too long' : lastLines(reader)}`,
      )
  }

  async #compareReplicas(): Promise<void> {
    const { code, stdout, stderr } = await this.#varve('cluster', 'verify', TOPIC)
    if (code !== 0) this.#find(`varve cluster verify finds differences:\n${stdout.toString()}${stderr}`)
    const ended = await Promise.all(this.#brokers.map((broker) => broker.process.stop()))
    for (const [index, exitCode] of ended.entries())
      if (exitCode !== 0) this.#find(`${BROKERS[index]} ended with ${exitCode} when it was asked to`)
    if (!this.#options.clients.includes(java)) return
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => `${TOPIC}-${partition}`)
    for (const finding of await differencesOfReplicas(this.#brokers, partitions)) this.#find(finding)
  }

  async #judge(clients: ReadonlyMap<string, MachineProcess>, healedAt: number): Promise<void> {
    const files = [...clients.keys(), 'final'].map((name) => this.#history(name))
    const renumbering = renumberingOf([...clients.values()])
    for (const name of renumbering) this.#tell(`${name} has numbered records anew: they may be there twice`)
    const { findings, report, history } = await judge(files, renumbering)
    this.#tell(report)
    for (const finding of [...findings, ...standstills(history, healedAt)]) this.#find(finding)
  }
}

/**
 * Producers that say of themselves that they have begun another epoch. librdkafka does when one leader has its batch and does not
 * answer, and the next one has not, and refuses the batch behind it; if the first one leads again, the records are there twice,
 * whatever the broker. Java's client and ours ask again instead.
 */
function renumberingOf(processes: readonly MachineProcess[]): ReadonlySet<string> {
  const told = processes.flatMap(({ stderr }) => [...stderr.matchAll(/^(\S+) numbers its records anew/gm)])
  return new Set(told.map(([, name]) => name!))
}

/** Clients have much to say of brokers that are away. */
const lastLines = ({ stderr }: MachineProcess): string => stderr.split('\n').slice(-15).join('\n')
