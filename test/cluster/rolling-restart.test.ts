/**
 * Each broker of a cluster is stopped, started again and waited for, one behind the other, as an operator upgrades one, while clients with
 * their defaults are at work. None of their applications may hear of it, and in the end everything is led where it was before.
 *
 * `npm test` has our own client and kafkajs go through it once. `npm run prove:faults` has Java's and librdkafka as well, and three times.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin } from '@varve/client'
import { expect, test, vi } from 'vitest'
import { BrokersUnderTest } from '../conformance/brokers-under-test.js'
import { mustRun, startChild } from '../support/children.js'
import { etcdMissing } from '../support/etcd.js'
import { isLongRun, timeout } from '../support/long-run.js'
import { temporaryDirectory } from '../support/tree.js'
import type { HistoryEvent, Invoke } from './history/event.js'
import { type ClientProgram, clientPrograms, finalReader, kafkajs, varve } from './rounds/client-programs.js'
import { judge, standstills } from './rounds/judgement.js'

const TOPIC = 'orders'
const PARTITIONS = 6
const IDS = [1, 2, 3]
const ROUNDS = isLongRun ? 3 : 1
const GAP_MS = 10
/** They ask a coordinator that is gone for ten seconds, before they look for another one. */
const SLOW = ['kafkajs-member']
/** For what has to become true on a machine that is busy. */
const PATIENCE = { timeout: 60_000, interval: 100 }

/** As histories have it. */
const monotonic = (): number => Number(process.hrtime.bigint() / 1000n)

/** A program whose clients write down what they do. */
class Application {
  readonly name: string
  readonly history: string
  readonly #child: ChildProcess
  #said = ''

  constructor({ name, command: [command, ...before] }: ClientProgram, servers: string, folder: string) {
    this.name = name
    this.history = join(folder, `${name}.jsonl`)
    const args = [servers, TOPIC, PARTITIONS, `group-of-${name}`, this.history, GAP_MS, 'defaults'].map(
      String,
    )
    this.#child = startChild(command, [...before, ...args], {
      // In what vitest calls a test, kafkajs gives up after retries of a second.
      env: { ...process.env, NODE_ENV: '' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#said += text))
  }

  /** Waits until each of its clients, but those that are slow, has got somewhere since then. */
  async getsOn(since: number, slow: readonly string[] = []): Promise<void> {
    await vi.waitUntil(() => {
      if (this.#child.exitCode !== null) throw new Error(`${this.name} has ended by itself: ${this.#said}`)
      const lines = this.#lines()
      const quick = lines.filter(({ client }) => !slow.includes(client))
      return quick.length > 0 && [...standstills(quick, since)].length === 0
    }, PATIENCE)
  }

  /** Has its clients close. */
  async end(): Promise<void> {
    const ended = once(this.#child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    this.#child.kill()
    const late = sleep(PATIENCE.timeout, null, { ref: false })
    const end = await Promise.race([ended, late])
    if (end === null) throw new Error(`${this.name} does not end: ${this.#said}`)
    const [code, signal] = end
    // Java ends by the signal that asked it to.
    if (code !== 0 && !this.#said.includes('has ended'))
      throw new Error(`${this.name} ended with ${code ?? signal}: ${this.#said}`)
  }

  #lines(): HistoryEvent[] {
    if (!existsSync(this.history)) return []
    const whole = readFileSync(this.history, 'utf8').split('\n').slice(0, -1)
    return whole.map((line) => JSON.parse(line) as HistoryEvent)
  }
}

/** Calls that did not end well. */
function errorsIn(history: readonly HistoryEvent[]): string[] {
  const errors: string[] = []
  const underWay = new Map<string, Invoke>()
  for (const event of history) {
    if (!('operation' in event)) continue
    const key = `${event.client} ${event.operation}`
    const call = underWay.get(key)
    if (event.type === 'invoke') underWay.set(key, event)
    else underWay.delete(key)
    if (event.type === 'info' || event.type === 'fail') errors.push(`${key}, ${call?.call}: ${event.error}`)
  }
  for (const [key, { call }] of underWay) if (call !== 'poll') errors.push(`${key}, ${call}: never ended`)
  return errors
}

async function partitionsOf(
  admin: Admin,
): Promise<Array<{ leader: number; preferred: number; isr: number }>> {
  const topics = await admin.describeTopics([TOPIC, '__consumer_offsets'])
  return topics.flatMap(({ partitions }) =>
    partitions.map(({ leader, replicas, isr }) => ({ leader, preferred: replicas[0]!, isr: isr.length })),
  )
}

async function rollingRestart(): Promise<void> {
  const programs = [kafkajs, ...(isLongRun ? clientPrograms : [varve])]
  for (const { name, missing } of programs) if (missing !== null) console.log(`without ${name}: ${missing}`)
  const brokers = await BrokersUnderTest.start(IDS.length, { 'leader.imbalance.check.interval.seconds': 1 })
  await using admin = new Admin({ brokers: brokers.addresses })
  await admin.createTopics([{ name: TOPIC, partitions: PARTITIONS, replicationFactor: IDS.length }])
  const folder = temporaryDirectory()
  const applications = programs
    .filter(({ missing }) => missing === null)
    .map((program) => new Application(program, brokers.bootstrapServers, folder))
  const getOn = (since: number, slow?: readonly string[]): Promise<unknown> =>
    Promise.all(applications.map((application) => application.getsOn(since, slow)))
  const areLed = async (): Promise<boolean> =>
    (await partitionsOf(admin)).every(({ leader, preferred }) => leader === preferred)
  await getOn(0)

  for (const id of Array.from({ length: ROUNDS }, () => IDS).flat()) {
    await brokers.stop(id)
    await getOn(monotonic(), SLOW)
    await brokers.startAgain()
    await vi.waitUntil(
      async () => (await partitionsOf(admin)).every(({ isr }) => isr === IDS.length),
      PATIENCE,
    )
  }
  await vi.waitUntil(areLed, PATIENCE)
  await getOn(monotonic())
  await Promise.all(applications.map((application) => application.end()))

  const final = join(folder, 'final.jsonl')
  const [reader, ...before] = finalReader
  await mustRun(reader, [...before, brokers.bootstrapServers, TOPIC, String(PARTITIONS), final])
  const histories = [...applications.map(({ history }) => history), final]
  const { findings, report, history } = await judge(histories, new Set())
  if (isLongRun) console.log(report)
  expect(errorsIn(history)).toEqual([])
  expect(findings).toEqual([])
  await brokers.stop()
}

test.skipIf(etcdMissing !== null)(
  `a rolling restart gives no error to applications, and preferred leaders lead again${etcdMissing === null ? '' : ` (${etcdMissing})`}`,
  { timeout },
  rollingRestart,
)
