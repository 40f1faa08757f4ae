// Whoever takes in every delta of a session must know what a full fetch would tell: for each of its partitions the
// records, where they end, and what is wrong with it. A delta too few is a consumer that stands still, and nobody
// notices until the partition that it misses moves again.
import { fetch, produce } from '@varve/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import type { RawClient } from './support/raw-client.js'
import { batchOf, produceBody, startTestBroker, type TestBroker } from './support/test-broker.js'

const topicNames = ['a', 'b', 'later']
const places = topicNames.flatMap((topic) => [0, 1].map((partition) => ({ topic, partition })))
type Place = (typeof places)[number]
const keyOf = ({ topic, partition }: Place): string => `${topic}-${partition}`

type Step =
  | { readonly kind: 'produce'; readonly place: number; readonly values: number }
  | { readonly kind: 'add' | 'forget'; readonly place: number }
  | { readonly kind: 'seek'; readonly place: number; readonly back: number }
  | { readonly kind: 'create' }
  | { readonly kind: 'poll'; readonly maxBytes: number }

const place = fc.nat({ max: places.length - 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('produce' as const), place, values: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constantFrom('add' as const, 'forget' as const), place }),
  fc.record({ kind: fc.constant('seek' as const), place, back: fc.nat({ max: 4 }) }),
  fc.constant({ kind: 'create' as const }),
  fc.record({ kind: fc.constant('poll' as const), maxBytes: fc.constantFrom(1, 200) }),
  fc.record({ kind: fc.constant('poll' as const), maxBytes: fc.constant(1 << 20) }),
)

interface Known {
  errorCode: number
  highWatermark: number
  logStartOffset: number
}

/** What a consumer keeps of its session, as the clients of Kafka do. */
class SessionClient {
  readonly known = new Map<string, Known | null>()
  readonly offsets = new Map<string, number>()
  readonly values = new Map<string, Map<number, string>>()
  readonly #client: RawClient
  readonly #prefix: string
  #id = 0
  #epoch = 0
  #toSend = new Set<string>()
  /** With what was known of them: until the broker is told, it goes by that. */
  #toForget = new Map<string, Known | null>()

  constructor(client: RawClient, prefix: string) {
    this.#client = client
    this.#prefix = prefix
  }

  add(at: Place): void {
    const key = keyOf(at)
    if (this.known.has(key)) return
    this.known.set(key, this.#toForget.get(key) ?? null)
    this.offsets.set(key, this.offsets.get(key) ?? 0)
    if (!this.values.has(key)) this.values.set(key, new Map())
    this.#toForget.delete(key)
    this.#toSend.add(key)
  }

  forget(at: Place): void {
    const key = keyOf(at)
    const known = this.known.get(key)
    if (known === undefined) return
    this.known.delete(key)
    this.#toSend.delete(key)
    this.#toForget.set(key, known)
  }

  seek(at: Place, back: number): void {
    const key = keyOf(at)
    if (!this.known.has(key)) return
    this.offsets.set(key, Math.max(0, this.offsets.get(key)! - back))
    this.#toSend.add(key)
  }

  /** Returns how many records came. */
  async poll(maxBytes: number): Promise<number> {
    const full = this.#epoch === 0
    const response = await this.#request([...(full ? this.known.keys() : this.#toSend)], maxBytes)
    expect(response.errorCode).toBe(0)
    this.#id = response.sessionId
    this.#epoch = this.#id === 0 ? 0 : this.#epoch + 1
    let records = 0
    for (const { topic, partitions } of response.responses) {
      for (const { partitionIndex, errorCode, highWatermark, logStartOffset, ...rest } of partitions) {
        const key = `${topic.slice(this.#prefix.length)}-${partitionIndex}`
        expect(this.known.has(key), `${key} is of the session`).toBe(true)
        this.known.set(key, { errorCode, highWatermark, logStartOffset })
        for (const { offset, value } of recordsIn(rest.records)) {
          if (offset < this.offsets.get(key)!) continue
          this.values.get(key)!.set(offset, String(value))
          this.offsets.set(key, offset + 1)
          this.#toSend.add(key)
          records++
        }
      }
    }
    return records
  }

  /** What a request without a session says of the same partitions at the same offsets. */
  async truth(): Promise<Map<string, Known>> {
    const response = await this.#client.request(fetch, 12, {
      ...this.#body([...this.known.keys()], 1 << 20),
      sessionEpoch: -1,
      forgottenTopicsData: [],
    })
    const truth = new Map<string, Known>()
    for (const { topic, partitions } of response.responses) {
      for (const { partitionIndex, errorCode, highWatermark, logStartOffset } of partitions)
        truth.set(`${topic.slice(this.#prefix.length)}-${partitionIndex}`, {
          errorCode,
          highWatermark,
          logStartOffset,
        })
    }
    return truth
  }

  async #request(keys: readonly string[], maxBytes: number) {
    const forgotten = this.#topics([...this.#toForget.keys()]).map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => partition),
    }))
    this.#toSend = new Set()
    this.#toForget = new Map()
    return await this.#client.request(fetch, 12, {
      ...this.#body(keys, maxBytes),
      sessionId: this.#id,
      sessionEpoch: this.#epoch,
      forgottenTopicsData: this.#epoch === 0 ? [] : forgotten,
    })
  }

  #body(keys: readonly string[], maxBytes: number) {
    return { maxWaitMs: 0, minBytes: 1, maxBytes, topics: this.#topics(keys) }
  }

  #topics(keys: readonly string[]) {
    return keys.map((key) => {
      const [topic, partition] = key.split('-')
      const fetchOffset = this.offsets.get(key)!
      return {
        topic: this.#prefix + topic!,
        partitions: [{ partition: Number(partition), fetchOffset, partitionMaxBytes: 1 << 20 }],
      }
    })
  }
}

async function run(broker: TestBroker, prefix: string, steps: readonly Step[]): Promise<void> {
  await broker.createTopic(`${prefix}a`, 2)
  await broker.createTopic(`${prefix}b`, 2)
  const written = new Map(places.map((at) => [keyOf(at), [] as string[]]))
  const exists = new Set(['a', 'b'])
  const client = await broker.connect()
  const session = new SessionClient(await broker.connect(), prefix)
  for (const at of places.slice(0, 3)) session.add(at)
  for (const each of steps) {
    const at = 'place' in each ? places[each.place]! : places[0]!
    if (each.kind === 'produce' && exists.has(at.topic)) {
      const before = written.get(keyOf(at))!
      const values = Array.from({ length: each.values }, (_, i) => `${before.length + i}`)
      before.push(...values)
      const records = produceBody(prefix + at.topic, batchOf(...values), { index: at.partition })
      await client.request(produce, 9, records)
    }
    if (each.kind === 'add') session.add(at)
    if (each.kind === 'forget' && session.known.size > 1) session.forget(at)
    if (each.kind === 'seek') session.seek(at, each.back)
    if (each.kind === 'create' && !exists.has('later')) {
      await broker.createTopic(`${prefix}later`, 2)
      exists.add('later')
    }
    if (each.kind === 'poll') {
      await session.poll(each.maxBytes)
      expect(session.known).toEqual(await session.truth())
    }
  }
  // However little fits into an answer, in the end everything has come.
  while ((await session.poll(1)) > 0);
  expect(session.known).toEqual(await session.truth())
  for (const [key, known] of session.known) {
    if (known!.errorCode !== 0) continue
    expect(session.offsets.get(key)).toBe(written.get(key)!.length)
    for (const [offset, value] of session.values.get(key)!) expect(value).toBe(written.get(key)![offset])
  }
}

test(
  'whoever applies the deltas of a session knows what a full fetch tells',
  { timeout: 120_000 },
  async () => {
    const broker = await startTestBroker()
    let runs = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), (steps) =>
        run(broker, `r${runs++}.`, steps),
      ),
      { numRuns: 40 },
    )
  },
)
