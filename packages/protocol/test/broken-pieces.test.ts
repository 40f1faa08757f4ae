// Random bytes hardly get past the first length, and random changes hardly hit the second. So messages are taken apart, and
// what somebody would lie about is changed: lengths, counts, tags and their sizes, whole fields, and the order of things.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isLongRun, seed, timeout } from '../../../test/support/long-run.js'
import {
  apis,
  ByteBudget,
  decodeRequestHeader,
  FramePool,
  FrameReader,
  ProtocolError,
  requestHeader,
} from '../src/index.js'
import { structArbitrary } from './arbitrary.js'
import { type Declared, everyVersion } from './every-message.js'
import { broken, change, integers, joined } from './breaking.js'
import { type Piece, piecesOf } from './pieces.js'

const RUNS = isLongRun ? 3_000_000 : 4000

const anyMessage = fc.constantFrom(...everyVersion).chain(({ declared, version }) =>
  fc.record({
    declared: fc.constant(declared),
    version: fc.constant(version),
    value: structArbitrary(declared.message.fields, version),
  }),
)

/** How many objects a value is made of. */
function objectsIn(value: unknown): number {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return 0
  return Object.values(value).reduce((sum: number, part) => sum + objectsIn(part), 1)
}

/** Decodes what may be nonsense, and lets nothing but a ProtocolError come out of it. */
function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return undefined
  }
}

test('the pieces of a message are the message', () => {
  fc.assert(
    fc.property(anyMessage, ({ declared, version, value }) => {
      expect(joined(piecesOf(declared, version, value)).equals(declared.encode(value, version))).toBe(true)
    }),
    { numRuns: 1000, seed },
  )
})

test('a broken message is refused, or read as another that can be written', { timeout }, () => {
  let read = 0
  let refused = 0
  fc.assert(
    fc.property(
      anyMessage,
      fc.array(change, { minLength: 1, maxLength: 5 }),
      ({ declared, version, value }, by) => {
        const bytes = broken(piecesOf(declared, version, value), by)
        const decoded = attempt(() => declared.decode(bytes, version))
        if (decoded === undefined) {
          refused++
          return
        }
        read++
        expect(objectsIn(decoded)).toBeLessThan(10 * bytes.length + 30)
        expectRewritable(declared, version, decoded)
      },
    ),
    { numRuns: RUNS, seed },
  )
  // Otherwise the changes are too coarse to get anywhere, or hit nothing.
  expect(Math.min(read, refused)).toBeGreaterThan(RUNS / 10)
})

/** What was read can be written in a version of its own, and is read as the same again. */
function expectRewritable(declared: Declared, version: number, decoded: unknown): void {
  // A subscription of a version from the future has been read as the newest one, whatever was asked for.
  const versions = declared.prefixed ? declared.versions : [version]
  const again = versions.flatMap(
    (one) => attempt(() => declared.decode(declared.encode(decoded, one), one)) ?? [],
  )
  expect(again).toContainEqual(decoded)
}

const request = fc.constantFrom(...[...apis.values()].map(({ key }) => key)).chain((apiKey) => {
  const { minVersion, maxVersion, request: body } = apis.get(apiKey)!
  return fc.integer({ min: minVersion, max: maxVersion }).chain((version) =>
    fc.record({
      apiKey: fc.constant(apiKey),
      version: fc.constant(version),
      body: structArbitrary(body.fields, version),
      correlationId: fc.integer(),
      clientId: fc.option(fc.string({ maxLength: 5 })),
    }),
  )
})

const stream = fc.record({
  frames: fc.array(fc.record({ request, by: fc.array(change, { maxLength: 2 }) }), {
    minLength: 1,
    maxLength: 5,
  }),
  cuts: fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 }),
})

test('connections of broken frames end with a ProtocolError or not at all', { timeout }, () => {
  const plain = new Map(everyVersion.map(({ declared }) => [declared.name, declared]))
  fc.assert(
    fc.property(stream, ({ frames, cuts }) => {
      const bytes = Buffer.concat(
        frames.map(({ request: { apiKey, version, body, correlationId, clientId }, by }) => {
          const api = apis.get(apiKey)!
          const header = { requestApiKey: apiKey, requestApiVersion: version, correlationId, clientId }
          const pieces = [
            ...piecesOf(plain.get(requestHeader.name)!, version >= api.flexibleFrom ? 2 : 1, header),
            ...piecesOf(plain.get(api.request.name)!, version, body),
          ]
          const length: Piece = { kind: 'length', bytes: integers(4, [BigInt(joined(pieces).length)])[0]! }
          return broken([length, ...pieces], by)
        }),
      )
      const budget = new ByteBudget(1 << 20)
      const connection = new FrameReader({
        staging: Buffer.alloc(4096),
        maxFrameBytes: 1 << 16,
        budget,
        pool: new FramePool(),
        onFrame: (frame, owned) => {
          attempt(() => {
            const { apiKey, apiVersion, bodyAt } = decodeRequestHeader(frame)
            apis.get(apiKey)?.request.decode(frame, bodyAt, apiVersion)
          })
          if (owned) connection.release(frame)
        },
      })
      attempt(() => {
        for (let at = 0, n = 0; at < bytes.length; n++) {
          const to = at + cuts[n % cuts.length]!
          connection.push(bytes.subarray(at, to))
          at = to
        }
      })
      expect(budget.usedBytes).toBeLessThanOrEqual(2 << 16)
      connection.close()
      expect(budget.usedBytes).toBe(0)
    }),
    { numRuns: RUNS / 4, seed },
  )
})
