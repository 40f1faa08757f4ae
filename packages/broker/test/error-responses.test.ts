/**
 * The failure this guards against: an error that a test injects reaches the client as a response that it cannot decode, or
 * that speaks of other topics than it asked for. Every API is tried in every version that is served, on requests of any
 * content.
 */
import fc from 'fast-check'
import {
  decodeResponse,
  encodeRequest,
  encodeResponse,
  decodeRequestHeader,
  errors,
  type Fields,
} from '@varve/protocol'
import { describe, expect, test } from 'vitest'
import { structArbitrary } from '../../protocol/test/arbitrary.js'
import { type AnyApi, supportedApis } from '../src/supported-apis.js'
import { emptyResponse, type Message, withError } from '../src/error-responses.js'

const error = errors.NOT_COORDINATOR
const noNames = (): undefined => undefined
/** These are answered from what is really there. */
const answeredFirst = ['Fetch', 'Metadata', 'DescribeLogDirs', 'DescribeTopicPartitions']
const apis = [...supportedApis.values()].filter(({ api }) => !answeredFirst.includes(api.name))

/** A request as a handler gets it. */
function received(api: AnyApi, version: number, content: unknown): Message {
  const [bytes] = [Buffer.concat(encodeRequest(api, version, 1, 'c', content as never) as Buffer[])]
  const frame = bytes.subarray(4)
  return api.request.decode(frame, decodeRequestHeader(frame).bodyAt, version) as Message
}

function overTheWire(api: AnyApi, version: number, response: Message): Message {
  const bytes = Buffer.concat(encodeResponse(api, version, 1, response as never) as Buffer[])
  return decodeResponse(api, version, bytes.subarray(4)).body as Message
}

/** Every error code of a message. */
function* codesIn(value: unknown): IterableIterator<number> {
  if (Array.isArray(value)) for (const element of value) yield* codesIn(element)
  else if (typeof value === 'object' && value !== null && !Buffer.isBuffer(value)) {
    for (const [name, inner] of Object.entries(value)) {
      if (name === 'errorCode') yield inner as number
      else yield* codesIn(inner)
    }
  }
}

/** Whether an array is empty, or names topics without partitions of theirs. */
function asksForNothing(value: unknown): boolean {
  if (!Array.isArray(value)) return false
  return value.every((element) => typeof element === 'object' && Object.values(element).some(asksForNothing))
}

/** Texts, ids and small numbers that tell elements apart, wherever they are. */
function namesIn(value: unknown, names = new Set<unknown>()): Set<unknown> {
  if (Array.isArray(value)) for (const element of value) namesIn(element, names)
  else if (typeof value === 'object' && value !== null && !Buffer.isBuffer(value)) {
    for (const inner of Object.values(value)) namesIn(inner, names)
  } else names.add(value)
  return names
}

const named =
  /^(name|topic|topicName|groupId|key|memberId|resourceName|partition|partitionIndex|partitionId|index)$/

function* identitiesIn(fields: Fields, value: Message, inArray = false): IterableIterator<unknown> {
  for (const [name, { fields: inner }] of Object.entries(fields)) {
    if (inArray && named.test(name) && value[name] !== undefined) yield value[name]
    if (inner !== undefined && Array.isArray(value[name])) {
      for (const element of value[name] as Message[]) yield* identitiesIn(inner, element, true)
    }
  }
}

describe.each(apis.map(({ api, served }) => ({ name: api.name, api, served })))(
  '$name',
  ({ api, served }) => {
    const versions = Array.from({ length: served[1] - served[0] + 1 }, (_, place) => served[0] + place)
    test.each(versions)('version %i', (version) => {
      fc.assert(
        fc.property(structArbitrary(api.request.fields, version), (content) => {
          const request = received(api, version, content)
          const refusal = withError(api, emptyResponse(api, request, version), version, error, null, noNames)
          if (refusal === null) {
            // There is only no place for it where nothing is asked for.
            expect(Object.values(request).filter(Array.isArray).every(asksForNothing)).toBe(true)
            return
          }
          const response = overTheWire(api, version, refusal)
          const codes = [...codesIn(response)]
          expect(codes.length).toBeGreaterThan(0)
          const inVersion = [...codesIn(refusal)].length
          expect(codes.filter((code) => code === error.code)).toHaveLength(inVersion)
          // A topic that is named by its id has no name, and the other way round.
          const asked = namesIn(request).add('').add(null)
          for (const identity of identitiesIn(api.response.fields, response))
            expect(asked).toContain(identity)
        }),
        { seed: 44, numRuns: 20 },
      )
    })
  },
)

test('elements are as many as were asked for, in their order', () => {
  const { api } = supportedApis.get(47)!
  const request = received(api, 0, {
    groupId: 'g',
    topics: [
      { name: 'a', partitions: [{ partitionIndex: 2 }, { partitionIndex: 0 }] },
      { name: 'b', partitions: [{ partitionIndex: 1 }] },
    ],
  })
  const response = withError(api, emptyResponse(api, request, 0), 0, error, null, noNames)!
  expect(overTheWire(api, 0, response)).toEqual({
    errorCode: error.code,
    throttleTimeMs: 0,
    topics: [
      {
        name: 'a',
        partitions: [
          { partitionIndex: 2, errorCode: error.code },
          { partitionIndex: 0, errorCode: error.code },
        ],
      },
      { name: 'b', partitions: [{ partitionIndex: 1, errorCode: error.code }] },
    ],
  })
})
