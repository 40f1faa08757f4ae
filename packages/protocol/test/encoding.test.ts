// What a caller can get wrong when it hands a message to the encoder: a value that does not fit is refused with the
// field's name and nothing of it is sent, and the bytes of records are neither copied nor lost on the way.

import { expect, expectTypeOf, test } from 'vitest'
import {
  apiVersions,
  type ByteSource,
  type Chunk,
  createTopics,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  errorByCode,
  errors,
  fetch,
  type FetchResponseInput,
  findCoordinator,
  isUuid,
  listOffsets,
  message,
  metadata,
  type MetadataResponse,
  produce,
  type ProduceRequest,
  type ProduceRequestInput,
  ProtocolError,
  randomUuid,
  uuidFromBytes,
  uuidToBytes,
  ZERO_UUID,
} from '../src/index.js'
import { array, bytes, float64, int32, int64, string, struct, uint16, uint32 } from '../src/schema.js'

const joined = (chunks: readonly Chunk[]) => Buffer.concat(chunks as Buffer[])
const body = (frame: Buffer) => frame.subarray(4)

function failure(action: () => unknown): ProtocolError {
  try {
    action()
  } catch (error) {
    if (error instanceof ProtocolError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const producing = (records: Chunk | null): ProduceRequestInput => ({
  acks: -1,
  timeoutMs: 1000,
  topicData: [{ name: 't', partitionData: [{ index: 0, records }] }],
})

test('records go out as the very objects that came in, in their place', () => {
  const first = Buffer.from('first')
  const range: ByteSource = { byteLength: 1_000_000 }
  const partition = (partitionIndex: number, records: Chunk | null) => ({
    partitionIndex,
    errorCode: 0,
    highWatermark: 1,
    records,
  })
  const response: FetchResponseInput = {
    responses: [{ topic: 't', partitions: [partition(0, first), partition(1, null), partition(2, range)] }],
  }
  const chunks = encodeResponse(fetch, 12, 77, response)
  expect(chunks).toHaveLength(5)
  expect(chunks[1]).toBe(first)
  expect(chunks[3]).toBe(range)
  const total = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
  expect((chunks[0] as Buffer).readInt32BE(0)).toBe(total - 4)

  chunks[3] = Buffer.alloc(1_000_000, 7)
  const decoded = decodeResponse(fetch, 12, body(joined(chunks)))
  expect(decoded.correlationId).toBe(77)
  expect(decoded.body.responses[0]!.partitions.map(({ records }) => records?.length)).toEqual([
    5,
    undefined,
    1_000_000,
  ])
})

test('an empty source is passed on, because its owner waits for it; an empty buffer is not', () => {
  const nothing: ByteSource = { byteLength: 0 }
  expect(encodeRequest(produce, 3, 1, null, producing(nothing))).toContain(nothing)
  expect(encodeRequest(produce, 3, 1, null, producing(Buffer.alloc(0)))).toHaveLength(1)
})

test('decoded records are views of the frame', () => {
  const frame = body(joined(encodeRequest(produce, 9, 1, 'me', producing(Buffer.from('batch')))))
  const { bodyAt } = decodeRequestHeader(frame)
  const { records } = produce.request.decode(frame, bodyAt, 9).topicData[0]!.partitionData[0]!
  expect(records!.toString()).toBe('batch')
  expect(records!.buffer).toBe(frame.buffer)
})

test('messages do not overlap, whatever their size', () => {
  const sizes = [10, 70_000, 3, 140_000, 65_536, 1]
  const frames = sizes.map((size, i) => {
    const topics = Array.from({ length: Math.ceil(size / 100) }, (_, n) => ({
      name: `${i}-${n}`.padEnd(98, 'x'),
    }))
    return encodeRequest(metadata, 1, i, null, { topics })
  })
  frames.forEach((chunks, i) => {
    const frame = body(joined(chunks))
    expect(decodeRequestHeader(frame).correlationId).toBe(i)
    const { topics } = metadata.request.decode(frame, 10, 1)
    expect(topics!.map(({ name }) => name!.trimEnd().split('x')[0])).toEqual(
      topics!.map((_, n) => `${i}-${n}`),
    )
  })
})

test.each([
  [
    'acks',
    { ...producing(null), acks: 40_000 },
    /ProduceRequest v9\.acks must be a 16-bit integer, not 40000/,
  ],
  ['timeoutMs', { ...producing(null), timeoutMs: 1.5 }, /timeoutMs must be a 32-bit integer/],
  ['a missing field', { ...producing(null), acks: undefined }, /acks must be .* not undefined/],
  ['topicData', { ...producing(null), topicData: null }, /topicData must be an array, not null/],
  ['an element', { ...producing(null), topicData: [null] }, /topicData\[\] must be an object, not null/],
  ['records', producing('text' as never), /topicData\[\]\.partitionData\[\]\.records must be bytes or null/],
  [
    'a long name',
    { ...producing(null), transactionalId: 'x'.repeat(32_768) },
    /at most 32767 bytes of UTF-8/,
  ],
])('a value that does not fit: %s', (_, value, expected) => {
  const error = failure(() => encodeRequest(produce, 9, 1, null, value as ProduceRequestInput))
  expect(error.code).toBe('VARVE_PROTOCOL_INVALID_VALUE')
  expect(error.message).toMatch(expected)
})

test('a message that failed half way leaves nothing behind', () => {
  const good = joined(encodeRequest(produce, 9, 1, 'c', producing(Buffer.from('abc'))))
  const bad = producing(Buffer.from('abc'))
  failure(() => encodeRequest(produce, 9, 1, 'c', { ...bad, topicData: [...bad.topicData, null as never] }))
  expect(joined(encodeRequest(produce, 9, 1, 'c', producing(Buffer.from('abc'))))).toEqual(good)
})

test('a request says what it says or is refused; a response drops what an old client cannot read', () => {
  const question = { replicaId: -1, isolationLevel: 1, topics: [] }
  const error = failure(() => encodeRequest(listOffsets, 1, 1, null, question))
  expect(error.code).toBe('VARVE_PROTOCOL_UNSUPPORTED_VERSION')
  expect(error.message).toContain('isolationLevel')
  encodeRequest(listOffsets, 1, 1, null, { ...question, isolationLevel: 0 })
  encodeRequest(listOffsets, 2, 1, null, question)
  failure(() => encodeRequest(findCoordinator, 4, 1, null, { key: 'group' }))
  failure(() => encodeRequest(createTopics, 1, 1, null, { topics: [] }))
  const answer = { errorCode: 0, nodeId: 1, host: 'h', port: 1, coordinators: [{ key: 'group' }] }
  expect(findCoordinator.response.decode(joined(findCoordinator.response.encode(answer, 0)), 0, 0).host).toBe(
    'h',
  )
})

test('a version that does not exist', () => {
  for (const version of [2, 14, -1, 1.5, NaN]) {
    expect(failure(() => produce.request.encode(producing(null), version)).code).toBe(
      'VARVE_PROTOCOL_UNSUPPORTED_VERSION',
    )
    expect(failure(() => produce.request.decode(Buffer.alloc(50), 0, version)).code).toBe(
      'VARVE_PROTOCOL_UNSUPPORTED_VERSION',
    )
  }
})

test('a header from the future still names its sender', () => {
  const future = Buffer.from('00120063000000050002 6d65 00'.replaceAll(' ', ''), 'hex')
  expect(decodeRequestHeader(future)).toMatchObject({
    apiKey: 18,
    apiVersion: 99,
    correlationId: 5,
    clientId: 'me',
  })
  const unknown = Buffer.from('03e70001000000050002 6d65'.replaceAll(' ', ''), 'hex')
  expect(decodeRequestHeader(unknown)).toMatchObject({ apiKey: 999, correlationId: 5, clientId: 'me' })
})

test('a broker that does not know the ApiVersions version answers in version 0', () => {
  const refusal = {
    errorCode: errors.UNSUPPORTED_VERSION.code,
    apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 3 }],
  }
  for (const answered of [0, 4]) {
    const frame = body(joined(encodeResponse(apiVersions, answered, 9, refusal)))
    expect(decodeResponse(apiVersions, 4, frame)).toMatchObject({ correlationId: 9, body: refusal })
  }
})

test('64-bit integers saturate on the way in and take bigints on the way out', () => {
  const encode = (timestamp: number | bigint) => {
    const topics = [{ name: 't', partitions: [{ partitionIndex: 0, timestamp }] }]
    return joined(listOffsets.request.encode({ replicaId: -1, topics }, 1))
  }
  const roundTrip = (timestamp: number | bigint) =>
    listOffsets.request.decode(encode(timestamp), 0, 1).topics[0]!.partitions[0]!.timestamp
  const max = Number.MAX_SAFE_INTEGER
  for (const value of [0, -1, 1, 2 ** 32, -(2 ** 32), 2 ** 32 - 1, 2 ** 52 + 1, max, -max]) {
    expect(roundTrip(value)).toBe(value)
    expect(roundTrip(BigInt(value))).toBe(value)
  }
  expect(roundTrip(2n ** 63n - 1n)).toBe(max)
  expect(roundTrip(2n ** 53n)).toBe(max)
  expect(roundTrip(-(2n ** 63n))).toBe(-max)
  expect(roundTrip(-(2n ** 53n))).toBe(-max)
  expect(
    encode(2n ** 63n - 1n)
      .subarray(-8)
      .toString('hex'),
  ).toBe('7fffffffffffffff')
  expect(failure(() => encode(2 ** 53)).code).toBe('VARVE_PROTOCOL_INVALID_VALUE')
  expect(failure(() => encode(2n ** 63n)).code).toBe('VARVE_PROTOCOL_INVALID_VALUE')
})

test("the default of a follower's high watermark is not sent, however it is spelt", () => {
  const encode = (highWatermark?: number | bigint) => {
    const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1, highWatermark }
    const topics = [{ topicId: ZERO_UUID, partitions: [partition] }]
    return joined(fetch.request.encode({ maxWaitMs: 0, minBytes: 0, topics }, 18))
  }
  expect(encode(2n ** 63n - 1n)).toEqual(encode())
  expect(encode(Number.MAX_SAFE_INTEGER)).toEqual(encode())
  expect(encode(5)).toHaveLength(encode().length + 10)
  expect(fetch.request.decode(encode(), 0, 18).topics[0]!.partitions[0]!.highWatermark).toBe(
    Number.MAX_SAFE_INTEGER,
  )
})

test('types that hardly an API uses: nullable structs, bytes, floats, unsigned integers, large tags', () => {
  const sample = message({
    name: 'Sample',
    role: 'response',
    versions: '0-1',
    flexible: '1+',
    fields: {
      cursor: struct('0+', { name: string('0+'), at: int32('0+') }, { nullable: '0+', default: null }),
      raw: bytes('0+', { nullable: '1+' }),
      ratio: float64('0+'),
      port: uint16('0+'),
      crc: uint32('0+'),
      members: array('1+', { id: int64('1+'), note: string('1+') }, { tag: 5 }),
      leader: struct('1+', { id: int32('1+') }, { tag: 200, nullable: '1+', default: null }),
    },
  })
  const value = {
    cursor: { name: 'n', at: 3 },
    raw: Buffer.from('raw'),
    ratio: 0.1,
    port: 65_535,
    crc: 0xffffffff,
    members: Array.from({ length: 3000 }, (_, id) => ({ id, note: 'x'.repeat(id % 7) })),
    leader: { id: 4 },
  }
  expect(sample.decode(joined(sample.encode(value, 1)), 0, 1)).toEqual(value)
  const bare = { ...value, cursor: null, members: [], leader: null }
  expect(sample.decode(joined(sample.encode(bare, 1)), 0, 1)).toEqual(bare)
  expect(sample.decode(joined(sample.encode({ ...bare, raw: null }, 1)), 0, 1).raw).toBe(null)
  expect(failure(() => sample.encode({ ...bare, raw: null }, 0)).message).toContain(
    'Sample v0.raw must be bytes',
  )
  // A nullable struct is one byte and then itself: -1 is null.
  expect(joined(sample.encode(bare, 0))[0]).toBe(0xff)
  expect(joined(sample.encode(value, 0))[0]).toBe(1)
})

test('uuids are text', () => {
  expect(uuidFromBytes(Buffer.alloc(16))).toBe(ZERO_UUID)
  expect(uuidToBytes(ZERO_UUID)).toEqual(Buffer.alloc(16))
  for (const text of ['', 'short', 'AAAAAAAAAAAAAAAAAAAAAB', 'AAAAAAAAAAAAAAAAAAAA+A', `${ZERO_UUID}A`]) {
    expect(isUuid(text)).toBe(false)
    const create = { topics: [{ name: 't', topicId: text, errorCode: 0 }] }
    expect(failure(() => createTopics.response.encode(create, 7)).message).toContain('topicId must be a uuid')
  }
  const dashFirst = [0xf8, 0x01]
  const uuid = randomUuid((target) => void target.fill(dashFirst.shift()!))
  expect(uuid).toBe(uuidFromBytes(Buffer.from('01010101010141018101010101010101', 'hex')))
  expect(isUuid(randomUuid())).toBe(true)
})

test('the error table', () => {
  expect(errors.OFFSET_OUT_OF_RANGE).toMatchObject({ code: 1, name: 'OFFSET_OUT_OF_RANGE', retriable: false })
  expect(errorByCode(6)).toBe(errors.NOT_LEADER_OR_FOLLOWER)
  expect(errors.NOT_LEADER_OR_FOLLOWER.retriable).toBe(true)
  expect(errorByCode(-1).name).toBe('UNKNOWN_SERVER_ERROR')
  expect(errorByCode(9999)).toMatchObject({ code: 9999, name: 'UNKNOWN_SERVER_ERROR', retriable: false })
  const codes = Object.values(errors).map(({ code }) => code)
  expect([...codes].sort((a, b) => a - b)).toEqual(Array.from({ length: 138 }, (_, i) => i - 1))
})

test('errors of another copy of varve are recognised', () => {
  const error = failure(() => produce.request.decode(Buffer.alloc(0), 0, 3))
  expect((error as never)[Symbol.for('varve.error')]).toBe(true)
  expect(error).toMatchObject({ name: 'ProtocolError', retriable: false })
  expect(Object.keys(error)).not.toContain('varve.error')
})

test('types follow the declarations', () => {
  expectTypeOf<ProduceRequest['transactionalId']>().toEqualTypeOf<string | null>()
  expectTypeOf<
    ProduceRequest['topicData'][number]['partitionData'][number]['records']
  >().toEqualTypeOf<Buffer | null>()
  expectTypeOf<MetadataResponse['brokers'][number]['host']>().toEqualTypeOf<string>()
  expectTypeOf<MetadataResponse['topics'][number]['partitions'][number]['isrNodes']>().toEqualTypeOf<
    number[]
  >()
  // @ts-expect-error acks is in every version and has no default
  const missing: ProduceRequestInput = { timeoutMs: 1, topicData: [] }
  expect(missing).toBeDefined()
})
