/**
 * An idempotent producer whose broker is killed knows nothing of its last batches: some are in the log and some are not.
 * It sends them all again, and what comes out must be each record once, in order. A broker that forgets over a crash what
 * its producers wrote stores some twice or refuses them; one that acknowledges too early loses some; one that hands a
 * producer id out twice takes the records of one producer for another's. So the real broker is killed again and again while
 * producers go on with the sequence numbers that they had.
 */
import { join } from 'node:path'
import { Connection } from '@varve/client'
import { initProducerId, metadata, produce } from '@varve/protocol'
import { encodeBatch } from '@varve/records'
import { describe, expect, test } from 'vitest'
import { BrokerProcess } from '../support/broker-process.js'
import { isLongRun, progress, timeout } from '../support/long-run.js'
import { random } from '../support/random.js'
import { temporaryDirectory } from '../support/tree.js'
import { contentOfTopic } from './broker-content.js'

const TOPIC = 'crash'
const PARTITIONS = 2
const KILLS = isLongRun ? 50 : 4
/** As many as the broker remembers of each producer, and the most that Kafka's clients have under way. */
const IN_FLIGHT = 5

interface Batch {
  readonly sequence: number
  readonly values: readonly string[]
}

/** One producer's way to one partition: what it sent, what it was told, and what it must send again. */
class Lane {
  readonly producerId: number
  readonly partition: number
  /** All that it ever sent, in order. */
  readonly sent: string[] = []
  /** By offset, what the broker said it has stored. */
  readonly acknowledged = new Map<number, string>()
  readonly #unanswered: Batch[] = []
  readonly #next: () => number

  constructor(producerId: number, partition: number, next: () => number) {
    this.producerId = producerId
    this.partition = partition
    this.#next = next
  }

  get isSettled(): boolean {
    return this.#unanswered.length === 0
  }

  /** Sends what has no answer yet, then more until told to stop or until the connection breaks. */
  async run(connection: Connection, goesOn: () => boolean, onAnswer: () => void): Promise<void> {
    const sendOn = async (): Promise<void> => {
      while (goesOn() && !connection.closed) {
        const batch = this.#create()
        this.#unanswered.push(batch)
        await this.#send(connection, batch, onAnswer)
      }
    }
    try {
      await Promise.all(this.#unanswered.map((batch) => this.#send(connection, batch, onAnswer)))
      const lanes = Array.from({ length: IN_FLIGHT }, sendOn)
      for (const result of await Promise.allSettled(lanes))
        if (result.status === 'rejected') throw result.reason
    } catch (error) {
      if ((error as { code?: string }).code !== 'VARVE_CONNECTION_CLOSED') throw error
    }
  }

  #create(): Batch {
    const sequence = this.sent.length
    const values = Array.from(
      { length: 1 + Math.floor(this.#next() * 3) },
      (_, i) => `${this.producerId}/${sequence + i}/${'x'.repeat(Math.floor(this.#next() * 300))}`,
    )
    this.sent.push(...values)
    return { sequence, values }
  }

  async #send(connection: Connection, batch: Batch, onAnswer: () => void): Promise<void> {
    const records = encodeBatch(
      batch.values.map((value) => ({ value })),
      { producer: { producerId: this.producerId, producerEpoch: 0, baseSequence: batch.sequence } },
    )
    const partitionData = [{ index: this.partition, records }]
    const topicData = [{ name: TOPIC, partitionData }]
    const { responses } = await connection.request(
      produce,
      { acks: -1, timeoutMs: 30_000, topicData },
      { maxVersion: 12 },
    )
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
    if (errorCode !== 0) {
      throw new Error(`producer ${this.producerId}, sequence ${batch.sequence}: error ${errorCode}`)
    }
    batch.values.forEach((value, i) => this.acknowledged.set(baseOffset + i, value))
    this.#unanswered.splice(this.#unanswered.indexOf(batch), 1)
    onAnswer()
  }
}

async function askForProducerId(connection: Connection): Promise<number> {
  const request = { transactionalId: null, transactionTimeoutMs: 0 }
  const { errorCode, producerId } = await connection.request(initProducerId, request)
  expect(errorCode).toBe(0)
  return producerId
}

describe.each([
  { durability: 'fsync', seed: 21 },
  { durability: 'os', seed: 22 },
])('killed under idempotent producers, durability $durability', ({ durability, seed }) => {
  test(
    'every record is there once, where the broker said, in the order of its producer',
    { timeout },
    async () => {
      const data = join(temporaryDirectory(), 'log')
      const args = ['--durability', durability, '--partitions', String(PARTITIONS)]
      const next = random(seed)
      const ids: number[] = []
      const lanes: Lane[] = []
      let broker = await BrokerProcess.start(data, args)
      let interrupted = 0
      for (let round = 0; round <= KILLS; round++) {
        const connections: Connection[] = []
        const dial = async (): Promise<Connection> => {
          const connection = await Connection.dial('127.0.0.1', broker.port, { maxInFlight: 100 })
          connections.push(connection)
          return connection
        }
        const admin = await dial()
        await admin.request(
          metadata,
          { topics: [{ name: TOPIC }], allowAutoTopicCreation: true },
          { maxVersion: 12 },
        )
        // A newcomer each round, beside those that know the broker from before it was killed.
        const producerId = await askForProducerId(admin)
        ids.push(producerId)
        lanes.push(new Lane(producerId, round % PARTITIONS, next))
        const isLast = round === KILLS
        const killAfter = 100 + Math.floor(next() * 1500)
        let answers = 0
        const onAnswer = (): void => {
          if (++answers === killAfter && !isLast) broker.child.kill('SIGKILL')
        }
        const goesOn = (): boolean => !isLast || answers < killAfter
        // All before the first answer, with which the broker may be killed.
        const dialled = await Promise.all(lanes.map(dial))
        await Promise.all(lanes.map((lane, i) => lane.run(dialled[i]!, goesOn, onAnswer)))
        for (const connection of connections) connection.close()
        progress(round, KILLS, `${answers} batches acknowledged`)
        if (isLast) break
        interrupted += lanes.filter((lane) => !lane.isSettled).length
        await broker.stop('SIGKILL')
        broker = await BrokerProcess.start(data, args)
      }
      expect(interrupted, 'kills came in the middle').toBeGreaterThan(0)
      expect(new Set(ids).size, 'no producer id is handed out twice').toBe(ids.length)

      const found = await contentOfTopic([broker.address], TOPIC, PARTITIONS)
      for (const lane of lanes) {
        const content = found[lane.partition]!
        const stored = [...content].sort(([a], [b]) => a - b).map(([, value]) => value)
        const own = stored.filter((value) => value.startsWith(`${lane.producerId}/`))
        expect(lane.isSettled).toBe(true)
        expect(own, `what producer ${lane.producerId} sent`).toEqual(lane.sent)
        for (const [offset, value] of lane.acknowledged) expect(content.get(offset)).toBe(value)
      }
      const sent = lanes.reduce((sum, lane) => sum + lane.sent.length, 0)
      expect(found.reduce((sum, content) => sum + content.size, 0)).toBe(sent)
      expect(await broker.stop()).toBe(0)
    },
  )
})
