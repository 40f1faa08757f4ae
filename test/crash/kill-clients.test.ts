/**
 * People's clients each have their own idea of what to do when a broker goes away in the middle of a word: what they send
 * again, under which number, and from where they read on. So three of them, Kafka's Java client, librdkafka and kafkajs,
 * produce and consume in groups whose members come and go, while the broker is killed and started again and again. What
 * was acknowledged must be there, once where the producer is idempotent; what a group was told is committed must never go
 * back; and every group must go on by itself after every kill.
 *
 * The clients are programs of `clients`, and end when their standard input does. A producer says `acked PARTITION OFFSET
 * SEQUENCE` for each record, whose value is `CLIENT/PARTITION/SEQUENCE/…`; a member of a group says `read PARTITION FIRST
 * LAST` of what it is about to commit, then `committed PARTITION OFFSET` when the broker has answered.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { Admin } from '@varve/client'
import { expect, test } from 'vitest'
import { kafkaIsInstalled, kafkaJars } from '../../scripts/kafka-broker.mjs'
import { BrokerProcess } from '../support/broker-process.js'
import { answers, startChild } from '../support/children.js'
import { type Client, needs } from '../support/clients.js'
import { isLongRun, progress, seed, timeout } from '../support/long-run.js'
import { random } from '../support/random.js'
import { cache, root, temporaryDirectory } from '../support/tree.js'
import { contentOfTopic } from './broker-content.js'

const TOPIC = 'crash'
const PARTITIONS = 6
const KILLS = isLongRun ? 50 : 3
/** Two groups, as kafkajs shares no assignor with the others. */
const SHARED = 'java-and-librdkafka'
const ALONE = 'kafkajs'

interface KilledClient extends Client {
  readonly command: readonly [string, ...string[]]
  /** Those that it writes to. */
  readonly partitions: readonly number[]
  readonly isIdempotent: boolean
}

const clients = join(root, 'test', 'crash', 'clients')
const python = join(cache, 'python', 'bin', 'python')
const how = 'install it with: npm run setup:conformance'

const java: KilledClient = {
  name: 'java',
  missing:
    kafkaIsInstalled() && answers('java', ['-version']) ? null : `Kafka or Java is not installed; ${how}`,
  command: [
    'java',
    '-Xmx256m',
    '-XX:TieredStopAtLevel=1',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=off',
    '-cp',
    join(kafkaJars, '*'),
    join(clients, 'Java.java'),
  ],
  partitions: [0, 1],
  isIdempotent: true,
}

const librdkafka: KilledClient = {
  name: 'librdkafka',
  missing:
    existsSync(python) && answers(python, ['-c', 'import confluent_kafka'])
      ? null
      : `confluent-kafka is not installed; ${how}`,
  command: [python, join(clients, 'librdkafka.py')],
  partitions: [2, 3],
  isIdempotent: true,
}

const kafkajs: KilledClient = {
  name: 'kafkajs',
  missing: null,
  command: [process.execPath, join(clients, 'kafkajs.mjs')],
  partitions: [4, 5],
  isIdempotent: false,
}

const producers = [java, librdkafka, kafkajs]

/** A client at work, in a process of its own. */
abstract class Work {
  readonly client: KilledClient
  readonly #child: ChildProcess
  readonly #end: Promise<unknown>
  #errors = ''
  #isEnding = false

  constructor(client: KilledClient, ...args: string[]) {
    this.client = client
    const [command, ...before] = client.command
    this.#child = startChild(command, [...before, ...args])
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#errors += text))
    createInterface(this.#child.stdout!).on('line', (line) => {
      const [word, ...numbers] = line.split(' ')
      this.hear(word!, ...(numbers.map(Number) as [number, number, number]))
    })
    this.#end = once(this.#child, 'close')
  }

  /** What its lines say. */
  protected abstract hear(word: string, partition: number, first: number, second: number): void

  expectAlive(): void {
    const { exitCode, signalCode } = this.#child
    if (!this.#isEnding && (exitCode !== null || signalCode !== null))
      throw new Error(`${this.client.name} ended with ${exitCode ?? signalCode}: ${this.#errors}`)
  }

  /** Lets it come to its end: a producer with the answers to all that it sent, a member by leaving its group. */
  async end(): Promise<void> {
    this.#isEnding = true
    this.#child.stdin!.end()
    await this.#end
    expect(this.#child.exitCode, `${this.client.name} ends: ${this.#errors}`).toBe(0)
  }
}

class Production extends Work {
  /** By partition, then by sequence, where the broker said that it stored a record. */
  readonly acked = new Map<number, Map<number, number>>()
  count = 0

  constructor(client: KilledClient, broker: string) {
    super(client, 'produce', broker, TOPIC, ...client.partitions.map(String))
    for (const partition of client.partitions) this.acked.set(partition, new Map())
  }

  protected hear(_: 'acked', partition: number, offset: number, sequence: number): void {
    this.acked.get(partition)!.set(sequence, offset)
    this.count++
  }
}

/** What the members of a group were told, and what they read. */
class Group {
  readonly name: string
  readonly committed = Array.from({ length: PARTITIONS }, () => 0)
  readonly read: [first: number, last: number][][] = Array.from({ length: PARTITIONS }, () => [])
  /** What a member read after it was told that it has committed more. */
  readonly wentBack: string[] = []
  /** How often the broker said that something is committed. */
  count = 0

  constructor(name: string) {
    this.name = name
  }

  /** Offsets of a partition below which there are some that no member read. */
  gaps(partition: number): number[] {
    const gaps: number[] = []
    let next = 0
    for (const [first, last] of this.read[partition]!.sort(([a], [b]) => a - b)) {
      if (first > next) gaps.push(first)
      next = Math.max(next, last + 1)
    }
    return gaps
  }
}

class Membership extends Work {
  readonly #group: Group
  readonly #committed = Array.from({ length: PARTITIONS }, () => 0)

  constructor(client: KilledClient, broker: string, group: Group) {
    super(client, 'consume', broker, TOPIC, group.name)
    this.#group = group
  }

  protected hear(word: 'read' | 'committed', partition: number, first: number, last: number): void {
    if (word === 'read') {
      const committed = this.#committed[partition]!
      if (first < committed)
        this.#group.wentBack.push(
          `${this.client.name} read ${first} of partition ${partition} after it committed ${committed}`,
        )
      this.#group.read[partition]!.push([first, last])
    } else {
      this.#committed[partition] = first
      this.#group.committed[partition] = Math.max(first, this.#group.committed[partition]!)
      this.#group.count++
    }
  }
}

test(
  'what three clients are told, while their broker is killed, stays true',
  { timeout },
  async (context) => {
    needs(context, ...producers)
    if (isLongRun) process.stderr.write(`  kills at seed ${seed}\n`)
    const next = random(seed)
    const upTo = (most: number): number => 1 + Math.floor(next() * most)
    const data = join(temporaryDirectory(), 'data')
    const settings = (round: number): string[] => ['--durability', round % 2 === 0 ? 'fsync' : 'os']
    let broker = await BrokerProcess.start(data, settings(0))
    const { address, port } = broker
    const admin = new Admin({ brokers: [address], timeoutMs: 60_000 })
    await admin.createTopics([{ name: TOPIC, partitions: PARTITIONS }])

    const productions = producers.map((client) => new Production(client, address))
    const groups = [new Group(SHARED), new Group(ALONE)]
    const [shared, alone] = groups as [Group, Group]
    const members = [
      new Membership(java, address, shared),
      new Membership(librdkafka, address, shared),
      new Membership(kafkajs, address, alone),
    ]
    let guest: Membership | undefined

    const until = async (what: string, condition: () => boolean | Promise<boolean>): Promise<void> => {
      const deadline = Date.now() + 60_000
      while (!(await condition())) {
        for (const work of [...productions, ...members]) work.expectAlive()
        await setTimeout(5)
        const state = [...productions, ...groups].map(({ count }) => count)
        if (Date.now() > deadline)
          throw new Error(`waited in vain until ${what}: ${state.join(' ')}\n${broker.errors}`)
      }
    }

    /** What the broker knows of the groups' offsets, which is no less than what anybody was told before. */
    const compareCommitted = async (when: string): Promise<void> => {
      for (const group of groups) {
        const told = [...group.committed]
        for (const { partition, offset } of await admin.listGroupOffsets(group.name)) {
          expect(offset, `${group.name}, partition ${partition}, ${when}`).toBeGreaterThanOrEqual(
            told[partition]!,
          )
          told[partition] = -1
          // From here on it is known, whoever committed it.
          group.committed[partition] = Math.max(offset, group.committed[partition]!)
        }
        expect(
          told.filter((offset) => offset > 0),
          `${group.name} has lost a partition ${when}`,
        ).toEqual([])
      }
    }

    for (let round = 0; round < KILLS; round++) {
      const acked = productions.map(({ count }) => count + upTo(isLongRun ? 1500 : 500))
      const committed = groups.map(({ count }) => count + upTo(20))
      await until(
        `every producer and group goes on in round ${round}`,
        () =>
          productions.every(({ count }, i) => count >= acked[i]!) &&
          groups.every(({ count }, i) => count >= committed[i]!),
      )
      // A third member comes in one round and leaves in the next, so that some kills meet a rebalance.
      if (guest === undefined) members.push((guest = new Membership(librdkafka, address, shared)))
      else {
        members.splice(members.indexOf(guest), 1)
        await guest.end()
        guest = undefined
      }
      const more = shared.count + upTo(10)
      await until(`the group rebalances in round ${round}`, () => shared.count >= more)
      await broker.stop('SIGKILL')
      broker = await BrokerProcess.start(data, ['--port', String(port), ...settings(round + 1)])
      await compareCommitted(`after kill ${round} of seed ${seed}`)
      const total = productions.reduce((sum, { count }) => sum + count, 0)
      progress(round, KILLS, `${total} records acknowledged`)
    }

    for (const production of productions) await production.end()
    const found = await contentOfTopic([broker.address], TOPIC, PARTITIONS)
    const ends = found.map((content) => content.size)
    await until('the groups have read all', () =>
      groups.every(({ committed }) => committed.every((offset, partition) => offset === ends[partition])),
    )
    await compareCommitted('in the end')
    for (const member of members) await member.end()
    for (const group of groups) {
      expect(group.wentBack).toEqual([])
      for (let partition = 0; partition < PARTITIONS; partition++)
        expect(group.gaps(partition), `${group.name} has read all of partition ${partition}`).toEqual([])
    }

    for (const { client, acked } of productions) {
      for (const [partition, offsets] of acked) {
        const content = found[partition]!
        const at = (offset: number): number => {
          const [name, of, sequence, padding] = content.get(offset)?.split('/') ?? []
          const isWhole =
            name === client.name &&
            Number(of) === partition &&
            padding!.length === (Number(sequence) * 31) % 300
          return isWhole ? Number(sequence) : -1
        }
        const elsewhere = [...offsets].filter(([sequence, offset]) => at(offset) !== sequence)
        expect(elsewhere, `what ${client.name} was told of partition ${partition}`).toEqual([])
        if (client.isIdempotent) {
          const stored = [...content.keys()].map(at)
          expect(stored, `${client.name} stored each once, in order`).toEqual(
            Array.from({ length: offsets.size }, (_, sequence) => sequence),
          )
        }
      }
    }
    await admin.close()
    expect(await broker.stop()).toBe(0)
  },
)
