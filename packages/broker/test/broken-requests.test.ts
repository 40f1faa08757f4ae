/**
 * What gets past the decoder reaches everything else: a count that a handler believes, an id of somebody else's, an order of
 * requests that no client has. So every served API, in every version, is asked for what is nearly sensible, whole and slightly
 * broken, by connections that come, go and leave in the middle. Meanwhile somebody produces and commits: the broker may not
 * throw anywhere, every answer must be one, and nothing that was acknowledged may be missing, then or after a restart.
 *
 * A seed decides everything but the ids that the broker makes up and how long its disk takes. The name of the test tells it; `VARVE_SEED` repeats one of
 * a long run, which begins a new broker with each next seed.
 */
import fc from 'fast-check'
import {
  apiVersions,
  createTopics,
  decodeResponse,
  errors,
  joinGroup,
  offsetCommit,
  offsetFetch,
  requestHeader,
} from '@varve/protocol'
import { expect, test } from 'vitest'
import { isLongRun, progress, seed, timeout } from '../../../test/support/long-run.js'
import { random } from '../../../test/support/random.js'
import { structArbitrary } from '../../protocol/test/arbitrary.js'
import { broken, change, integers, joined } from '../../protocol/test/breaking.js'
import { type Declared, everyMessage } from '../../protocol/test/every-message.js'
import { type Piece, piecesOf } from '../../protocol/test/pieces.js'
import { supportedApis } from '../src/supported-apis.js'
import { type Known, plausible } from './plausible-requests.js'
import type { RawClient } from './support/raw-client.js'
import {
  produceTo,
  settle,
  startTestBroker,
  temporaryDirectory,
  type TestBroker,
} from './support/test-broker.js'

const BROKERS = isLongRun ? 500 : 1
const VISITS = 400
const KEPT = 'kept'
/** The correlation id of a request that everybody sends last: what came before has been answered by then. */
const LAST = 77_777

const declared = new Map(everyMessage.map((each) => [each.name, each]))
const header = declared.get(requestHeader.name)!

type Visit = typeof visitOf extends fc.Arbitrary<infer V> ? V : never
type AnyRequest = Visit['requests'][number]

const requestOf = fc.constantFrom(...supportedApis.values()).chain(({ api, served: [min, max] }) =>
  fc.integer({ min, max }).chain((version) =>
    fc.record({
      key: fc.constant(api.key),
      version: fc.constant(version),
      body: structArbitrary(declared.get(api.request.name)!.message.fields, version),
      by: fc.oneof(
        { weight: 2, arbitrary: fc.constant([]) },
        fc.array(change, { minLength: 1, maxLength: 2 }),
      ),
      breaksHeader: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
      choices: fc.integer(),
    }),
  ),
)

const visitOf = fc.record({
  requests: fc.array(requestOf, { minLength: 1, maxLength: 4 }),
  leavesAtOnce: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  milliseconds: fc.constantFrom(0, 0, 0, 500, 7000),
})

/** Everything that a response has under a name. */
function* valuesIn(value: unknown, name: RegExp): Generator<unknown> {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return
  for (const [key, part] of Object.entries(value)) {
    if (name.test(key) && typeof part !== 'object') yield part
    else yield* valuesIn(part, name)
  }
}

class Strangers {
  readonly #known: Known
  readonly #broker: TestBroker
  /** What they are not to come to know: who may delete a topic deletes it. */
  readonly #secret: string
  /** Keys of APIs that answered. */
  readonly answered = new Set<number>()

  constructor(broker: TestBroker, known: Known, secret: string) {
    this.#broker = broker
    this.#secret = secret
    this.#known = known
  }

  /** What a request is in bytes, slightly broken perhaps. */
  #bytesOf({ key, version, body, by, breaksHeader, choices }: AnyRequest, correlationId: number): Buffer {
    const { api } = supportedApis.get(key)!
    const next = random(choices)
    const meant = plausible(body, this.#known, (count) => Math.floor(next() * count))
    const said = { requestApiKey: key, requestApiVersion: version, correlationId, clientId: 'stranger' }
    const head = piecesOf(header, version >= api.flexibleFrom ? 2 : 1, said)
    const request = piecesOf(declared.get(api.request.name) as Declared, version, meant)
    const framed = (bytes: Buffer): Buffer => Buffer.concat([integers(4, [BigInt(bytes.length)])[0]!, bytes])
    if (!breaksHeader) return framed(Buffer.concat([joined(head), broken(request, by)]))
    const length: Piece = {
      kind: 'length',
      bytes: integers(4, [BigInt(joined([...head, ...request]).length)])[0]!,
    }
    return broken([length, ...head, ...request], by)
  }

  /** Says what it has to say on a connection of its own, and looks at the answers. */
  async visit({ requests, leavesAtOnce, milliseconds }: Visit): Promise<void> {
    const { clock } = this.#broker
    const client = await this.#broker.connect()
    // Far apart, and none that a lie would name, so that a broken one is nobody's.
    const sent = new Map(requests.map((request, n) => [12_345 * (n + 1), request]))
    for (const [correlationId, request] of sent) client.write(this.#bytesOf(request, correlationId))
    if (leavesAtOnce) {
      await settle(2)
      await client.close()
      return
    }
    const last = joined(
      piecesOf(header, 1, {
        requestApiKey: apiVersions.key,
        requestApiVersion: 0,
        correlationId: LAST,
        clientId: null,
      }),
    )
    client.write(Buffer.concat([integers(4, [BigInt(last.length)])[0]!, last]))
    const over = this.#readAll(client, sent)
    await this.#letPass(over)
    await client.close()
    await over
    clock.advance(milliseconds)
  }

  /** Whoever waits for others, for records or for time has seconds, which pass at once. */
  async #letPass(over: Promise<unknown>): Promise<void> {
    const state = { isOver: false }
    const ended = over.finally(() => (state.isOver = true))
    for (let turns = 0; !state.isOver && turns < 20; turns++) {
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 25))])
      if (!state.isOver) this.#broker.clock.advance(5000)
    }
  }

  /** Lets somebody join who stays for half an hour, so that there is a member to speak for. */
  async admit(groupId: string): Promise<void> {
    const client = await this.#broker.connect()
    const joining = client.request(joinGroup, 3, {
      groupId,
      sessionTimeoutMs: 1_800_000,
      rebalanceTimeoutMs: 20_000,
      memberId: '',
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
    })
    await this.#letPass(joining)
    const { errorCode, memberId, generationId } = await joining
    // There may be a group of another kind.
    if (errorCode === 0) {
      this.#known.memberIds.push(memberId)
      this.#known.generations.push(generationId)
    }
    await client.close()
  }

  async #readAll(client: RawClient, sent: ReadonlyMap<number, AnyRequest>): Promise<void> {
    for (;;) {
      const frame = await client.nextFrame().catch(() => null)
      if (frame === null) return
      const correlationId = frame.readInt32BE(0)
      if (correlationId === LAST) return
      const request = sent.get(correlationId)
      // With a broken header it may have asked for anything.
      if (request !== undefined && !request.breaksHeader) this.#look(request, frame)
    }
  }

  #look({ key, version }: AnyRequest, frame: Buffer): void {
    const { api } = supportedApis.get(key)!
    const { body } = decodeResponse(api, version, frame)
    this.answered.add(key)
    // That is what a bug is answered with.
    const failed = [...valuesIn(body, /^errorCode$/)].includes(errors.UNKNOWN_SERVER_ERROR.code)
    expect(failed, `${api.name} ${version} is answered with UNKNOWN_SERVER_ERROR`).toBe(false)
    const learn = <T>(known: T[], name: RegExp): void => {
      const nobodys: unknown[] = ['', 0, -1, null, this.#secret]
      for (const value of valuesIn(body, name))
        if (!nobodys.includes(value) && !known.includes(value as T)) known.push(value as T)
      // The newest: what is about to be deleted, or has been, is of little use.
      known.splice(0, known.length - 4)
    }
    learn(this.#known.topicIds, /^topicId$/)
    learn(this.#known.memberIds, /^memberId$/)
    learn(this.#known.generations, /^generationId$/)
    learn(this.#known.producerIds, /^producerId$/)
    learn(this.#known.sessionIds, /^sessionId$/)
  }
}

/** Somebody who knows what they want, and notes what they were told. */
class Bystander {
  readonly #client: RawClient
  readonly acknowledged: { offset: number; value: string }[] = []
  committed = -1

  constructor(client: RawClient) {
    this.#client = client
  }

  async go(): Promise<void> {
    const value = `value ${this.acknowledged.length}`
    const { errorCode, baseOffset } = await produceTo(this.#client, KEPT, value)
    expect([errorCode, Number(baseOffset)]).toEqual([0, this.acknowledged.length])
    this.acknowledged.push({ offset: Number(baseOffset), value })
    const committedOffset = this.acknowledged.length
    const { topics } = await this.#client.request(offsetCommit, 7, {
      groupId: KEPT,
      topics: [{ name: KEPT, partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: 'm' }] }],
    })
    expect(topics[0]!.partitions[0]!.errorCode).toBe(0)
    this.committed = committedOffset
  }
}

/** What strangers may alter for all topics is not altered for this one. Its records are old, as `batchOf` makes them. */
async function createKept(client: RawClient): Promise<string> {
  const configs = Object.entries({
    'retention.ms': '-1',
    'cleanup.policy': 'delete',
    'max.message.bytes': '1000000',
    'compression.type': 'producer',
    'min.insync.replicas': '1',
  }).map(([name, value]) => ({ name, value }))
  const topic = { name: KEPT, numPartitions: 1, replicationFactor: 1, assignments: [], configs }
  const { topics } = await client.request(createTopics, 7, { topics: [topic] })
  expect(topics[0]!.errorCode).toBe(0)
  return topics[0]!.topicId
}

async function expectAllThere(broker: TestBroker, { acknowledged, committed }: Bystander): Promise<void> {
  const stored = await broker.broker.records(KEPT)
  expect(stored.map(({ offset, value }) => ({ offset, value: value?.toString() }))).toEqual(acknowledged)
  const client = await broker.connect()
  const asked = { groupId: KEPT, topics: [{ name: KEPT, partitionIndexes: [0] }] }
  for (;;) {
    const { errorCode, topics } = await client.request(offsetFetch, 5, asked)
    // After a restart the groups are read first.
    if (errorCode === errors.COORDINATOR_LOAD_IN_PROGRESS.code) continue
    expect(topics[0]!.partitions[0]).toMatchObject({ committedOffset: committed, errorCode: 0 })
    break
  }
  await client.close()
}

for (let n = 0; n < BROKERS; n++) {
  test(`nothing that strangers ask for harms anybody else, at seed ${seed + n}`, { timeout }, async () => {
    const data = await temporaryDirectory()
    const broker = await startTestBroker({ engine: true, data })
    const keptId = await createKept(await broker.connect())
    const known: Known = {
      topics: ['orders', 'payments', 'new'],
      topicIds: [],
      groups: ['a', 'b'],
      memberIds: [],
      generations: [],
      producerIds: [],
      sessionIds: [],
    }
    const creator = await broker.connect()
    const createAgain = async (): Promise<void> => {
      const missing = ['orders', 'payments'].map((name) => ({
        name,
        numPartitions: 3,
        replicationFactor: 1,
        assignments: [],
        configs: [],
      }))
      const { topics } = await creator.request(createTopics, 7, { topics: missing })
      for (const { errorCode, topicId } of topics) {
        expect([0, errors.TOPIC_ALREADY_EXISTS.code]).toContain(errorCode)
        if (errorCode === 0) known.topicIds.push(topicId)
      }
    }
    const bystander = new Bystander(await broker.connect())
    const strangers = new Strangers(broker, known, keptId)
    await createAgain()
    await bystander.go()
    for (const [i, visit] of fc.sample(visitOf, { seed: seed + n, numRuns: VISITS }).entries()) {
      try {
        // They delete a good deal.
        if (i % 10 === 9) await createAgain()
        if (i % 20 === 0) await strangers.admit(known.groups[(i / 20) % 2]!)
        await strangers.visit(visit)
        await bystander.go()
        expect(broker.lines.filter((line) => line.includes('while working'))).toEqual([])
      } catch (error) {
        throw new Error(`visit ${i} at seed ${seed + n}`, { cause: error })
      }
    }
    // Otherwise they are too broken to get anywhere.
    expect([...supportedApis.keys()].filter((key) => !strangers.answered.has(key))).toEqual([])
    await expectAllThere(broker, bystander)

    const closed = broker.broker.close()
    broker.clock.advance(10_000)
    await closed
    const again = await startTestBroker({ engine: true, data })
    await expectAllThere(again, bystander)
    expect(again.lines.filter((line) => !line.startsWith('info'))).toEqual([])
    progress(n, BROKERS, 'brokers were asked')
  })
}
