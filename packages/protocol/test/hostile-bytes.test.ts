// Anybody who can connect can send bytes. A decoder that trusts a length allocates gigabytes for twenty bytes; one that
// throws a TypeError where it means "malformed" takes the connection's neighbours down with it.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  apis,
  apiVersions,
  decodeRequestHeader,
  decodeResponse,
  fetch,
  metadata,
  produce,
  ProtocolError,
} from '../src/index.js'
import { structArbitrary } from './arbitrary.js'
import { everyVersion } from './every-message.js'

const anyMessage = fc.constantFrom(...everyVersion)

/** Decodes what may be garbage, and allows only a ProtocolError to come out. */
function attempt(decode: () => unknown): unknown {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    expect(error.code).toMatch(/^VARVE_PROTOCOL_(TRUNCATED|MALFORMED|UNSUPPORTED_VERSION)$/)
    return undefined
  }
}

/** Objects in a decoded value: what decoding has allocated. */
function objectsIn(value: unknown): number {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return 0
  return Object.values(value).reduce((sum: number, part) => sum + objectsIn(part), 1)
}

const codeOf = (decode: () => unknown): string | undefined => {
  try {
    decode()
    return undefined
  } catch (error) {
    return (error as ProtocolError).code
  }
}

test('random bytes', () => {
  fc.assert(
    fc.property(anyMessage, fc.uint8Array({ maxLength: 200 }), ({ declared, version }, array) => {
      const bytes = Buffer.from(array)
      // A struct brings up to six objects with it, and every element has taken at least a byte.
      expect(objectsIn(attempt(() => declared.decode(bytes, version)))).toBeLessThan(10 * bytes.length + 30)
    }),
    { numRuns: 3000 },
  )
})

const mutated = anyMessage.chain(({ declared, version }) =>
  fc.record({
    declared: fc.constant(declared),
    version: fc.constant(version),
    value: structArbitrary(declared.message.fields, version),
    changes: fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 1, 0x7f, 0x80, 0xfe, 0xff)), {
      minLength: 1,
      maxLength: 4,
    }),
  }),
)

test('valid messages with a few bytes changed', () => {
  fc.assert(
    fc.property(mutated, ({ declared, version, value, changes }) => {
      const bytes = declared.encode(value, version)
      for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte
      expect(objectsIn(attempt(() => declared.decode(bytes, version)))).toBeLessThan(10 * bytes.length + 30)
    }),
    { numRuns: 3000 },
  )
})

test.each(everyVersion)('every truncation of $name v$version', ({ declared, version }) => {
  const [value] = fc.sample(structArbitrary(declared.message.fields, version), { seed: 7, numRuns: 1 })
  const bytes = declared.encode(value, version)
  for (let length = 0; length < bytes.length; length++) {
    expect(codeOf(() => declared.decode(bytes.subarray(0, length), version))).toMatch(/TRUNCATED|MALFORMED/)
  }
})

test('an array of 2^31 - 1 elements in a frame of twenty bytes is refused before anything is allocated', () => {
  const classic = Buffer.alloc(20)
  classic.writeInt32BE(0x7fffffff, 0)
  expect(codeOf(() => metadata.request.decode(classic, 0, 1))).toBe('VARVE_PROTOCOL_TRUNCATED')
  const compact = Buffer.alloc(20)
  compact.set([0xff, 0xff, 0xff, 0xff, 0x07])
  expect(codeOf(() => metadata.request.decode(compact, 0, 9))).toBe('VARVE_PROTOCOL_TRUNCATED')
})

test('records that declare 2 GiB', () => {
  const bytes = Buffer.concat(
    produce.request.encode(
      {
        acks: 1,
        timeoutMs: 1,
        topicData: [{ name: 't', partitionData: [{ index: 0, records: Buffer.alloc(4) }] }],
      },
      3,
    ) as Buffer[],
  )
  bytes.writeInt32BE(0x7fffffff, bytes.length - 8)
  expect(codeOf(() => produce.request.decode(bytes, 0, 3))).toBe('VARVE_PROTOCOL_TRUNCATED')
})

test('a request cannot turn its bytes into more than a million elements', () => {
  const names = Buffer.alloc(4 + 2 * 1_000_001)
  names.writeInt32BE(1_000_001, 0)
  expect(codeOf(() => metadata.request.decode(names, 0, 1))).toBe('VARVE_PROTOCOL_MALFORMED')
})

test.each([
  ['a varint of six bytes', 9, [0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
  ['a varint of 36 bits', 9, [0xff, 0xff, 0xff, 0xff, 0x1f]],
  ['an array of length -2', 1, [0xff, 0xff, 0xff, 0xfe]],
  ['a null array where the version has none', 0, [0xff, 0xff, 0xff, 0xff]],
  ['a string of length -2', 1, [0, 0, 0, 1, 0xff, 0xfe]],
  ['a null string where the version has none', 1, [0, 0, 0, 1, 0xff, 0xff]],
])('%s is malformed', (_, version, start) => {
  expect(
    codeOf(() => metadata.request.decode(Buffer.from([...start, ...Buffer.alloc(40)]), 0, version)),
  ).toBe('VARVE_PROTOCOL_MALFORMED')
})

test('2^32 - 1 tags, and a tag that is longer than the message', () => {
  const many = Buffer.from([0x01, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00])
  expect(codeOf(() => metadata.request.decode(many, 0, 9))).toBe('VARVE_PROTOCOL_TRUNCATED')
  const long = Buffer.from([0x01, 0x00, 0x00, 0x00, 0x01, 0x05, 0x7f, 0x00])
  expect(codeOf(() => metadata.request.decode(long, 0, 9))).toBe('VARVE_PROTOCOL_TRUNCATED')
})

test('unknown tags are stepped over, a known one must have the size that it declares', () => {
  const header = Buffer.from([0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01]) // throttle, error 0, session, no topics
  const body = (...tags: number[]) => Buffer.concat([header, Buffer.from([0, 0, 1, ...tags])])
  const decode = (bytes: Buffer) => fetch.response.decode(bytes, 0, 16)
  expect(decode(body(0x01, 0x63, 0x02, 0xaa, 0xbb)).nodeEndpoints).toEqual([])
  expect(decode(body(0x01, 0x00, 0x01, 0x01)).nodeEndpoints).toEqual([])
  expect(codeOf(() => decode(body(0x01, 0x00, 0x02, 0x01, 0x00)))).toBe('VARVE_PROTOCOL_MALFORMED')
})

test('bytes after a request are ignored, as Kafka ignores them; after a response they are an error', () => {
  const request = Buffer.from([0, 0, 0, 0, 0xde, 0xad])
  expect(metadata.request.decode(request, 0, 1).topics).toEqual([])
  const response = Buffer.concat([
    ...(apiVersions.response.encode({ errorCode: 0, apiKeys: [] }, 1) as Buffer[]),
    request,
  ])
  expect(codeOf(() => apiVersions.response.decode(response, 0, 1))).toBe('VARVE_PROTOCOL_MALFORMED')
})

test('headers of anything', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (array) => {
      const bytes = Buffer.from(array)
      attempt(() => decodeRequestHeader(bytes))
      for (const api of apis.values()) attempt(() => decodeResponse(api, api.maxVersion, bytes))
    }),
    { numRuns: 500 },
  )
})
