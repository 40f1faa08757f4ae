import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDataDirectory as openEngineDirectory } from '@varve/log'
import { encodeBatch } from '@varve/records'
import { createTopics, fetch, type FetchRequestInput, metadata, produce } from '@varve/protocol'
import { expect, onTestFinished } from 'vitest'
import { type Broker, openBroker } from '../../src/broker.js'
import { type BrokerOptions, resolveOptions } from '../../src/broker-options.js'
import { RequestMemory } from '../../src/request-memory.js'
import { MemoryDisk } from '../memory-log.js'
import { arrival } from './loopback.js'
import { ManualClock } from './manual-clock.js'
import { RawClient } from './raw-client.js'

/** A broker over logs in memory, a clock that a test turns, and the lines it has logged. */
export interface TestBroker {
  readonly broker: Broker
  readonly memory: RequestMemory
  readonly disk: MemoryDisk
  readonly clock: ManualClock
  readonly lines: string[]
  /** Connects a client that is closed at the end of the test. */
  connect(): Promise<RawClient>
  /** Creates a topic and returns its id. */
  createTopic(name: string, partitions?: number): Promise<string>
}

export interface TestBrokerOptions extends BrokerOptions {
  disk?: MemoryDisk
  /** Puts the logs on the real disk, where `data` is. */
  engine?: boolean
  openFilesLimit?: number
}

/** Starts one and closes it at the end of the test. */
export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const { disk = new MemoryDisk(), engine = false, openFilesLimit = Infinity, ...rest } = options
  // The engine keeps to it too, and forgets producers that have been idle by then.
  const clock = new ManualClock(engine ? Date.now() + 60_000 : undefined)
  const lines: string[] = []
  const log = (level: string, message: string): void => {
    lines.push(`${level} ${message}`)
  }
  const resolved = resolveOptions({ clock, log, ...rest })
  const memory = new RequestMemory(resolved.requestMemoryBytes)
  const { openDataDirectory } = engine ? { openDataDirectory: openEngineDirectory } : disk
  const broker = await openBroker(resolved, { openDataDirectory, memory, openFilesLimit })
  onTestFinished(async () => {
    const closed = broker.close()
    clock.advance(10_000)
    await closed
    // Whatever a test does to its connections, they hold nothing when they are gone.
    await settle()
    expect(memory.usedBytes).toBe(0)
  })
  const connect = async (): Promise<RawClient> => {
    const client = await RawClient.connect(broker.port)
    onTestFinished(() => client.close())
    return client
  }
  return {
    broker,
    memory,
    disk,
    clock,
    lines,
    connect,
    createTopic: async (name, partitions = 1) => {
      const client = await RawClient.connect(broker.port)
      const topic = { name, numPartitions: partitions, replicationFactor: 1, assignments: [], configs: [] }
      const { topics } = await client.request(createTopics, 7, { topics: [topic] })
      await client.close()
      if (topics[0]!.errorCode !== 0) throw new Error(`could not create ${name}: ${topics[0]!.errorMessage}`)
      return topics[0]!.topicId
    },
  }
}

/** A directory that is gone at the end of the test. */
export async function temporaryDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'varve-test-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** One uncompressed batch with a record for each value. */
export function batchOf(...values: string[]): Buffer {
  return encodeBatch(
    values.map((value) => ({ value, timestamp: 1000 })),
    { compression: 'none' },
  )
}

/** The body of a Produce request for one partition of a topic by name. */
export function produceBody(
  name: string,
  records: Buffer | null,
  { acks = -1, index = 0, timeoutMs = 30_000 }: { acks?: number; index?: number; timeoutMs?: number } = {},
) {
  return { acks, timeoutMs, topicData: [{ name, partitionData: [{ index, records }] }] }
}

/** Produces one batch of values and returns its partition's response. */
export async function produceTo(client: RawClient, topic: string, ...values: string[]) {
  const { responses } = await client.request(produce, 9, produceBody(topic, batchOf(...values)))
  return responses[0]!.partitionResponses[0]!
}

export interface FetchFrom {
  offset?: number
  partition?: number
  maxWaitMs?: number
  minBytes?: number
  maxBytes?: number
  partitionMaxBytes?: number
  isolationLevel?: number
  currentLeaderEpoch?: number
  lastFetchedEpoch?: number
}

/** The body of a Fetch request for one partition of a topic by name. */
export function fetchBody(topic: string, from: FetchFrom = {}): FetchRequestInput {
  const {
    offset = 0,
    partition = 0,
    maxWaitMs = 0,
    minBytes = 1,
    maxBytes = 1 << 25,
    isolationLevel = 0,
  } = from
  const { partitionMaxBytes = 1 << 20, currentLeaderEpoch = -1, lastFetchedEpoch = -1 } = from
  return {
    maxWaitMs,
    minBytes,
    maxBytes,
    isolationLevel,
    topics: [
      {
        topic,
        partitions: [
          { partition, fetchOffset: offset, partitionMaxBytes, currentLeaderEpoch, lastFetchedEpoch },
        ],
      },
    ],
    forgottenTopicsData: [],
  }
}

/** Fetches once and returns the one partition's response. */
export async function fetchFrom(client: RawClient, topic: string, from: FetchFrom = {}, version = 12) {
  const { responses } = await client.request(fetch, version, fetchBody(topic, from))
  return responses[0]!.partitions[0]!
}

/** The names that Metadata answers for all topics. */
export async function topicNames(client: RawClient): Promise<string[]> {
  const { topics } = await client.request(metadata, 12, { topics: null })
  return topics.map(({ name }) => name!)
}

/** Lets everything happen that needs no more than turns of the event loop, and that what is on its way arrives. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    if (turn % 5 === 0) await arrival()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Waits, turn by turn of the event loop, until something is so. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 40_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
