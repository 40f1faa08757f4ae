// An encoder and a decoder that share a mistake agree with each other and with nobody else. So the bytes here do not
// come from this package: some were put together by hand from the protocol's description, field by field, and
// kafka-4.4.0.jsonl holds one value of every message at every version with the bytes that Kafka's own classes wrote.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  apiVersions,
  type Chunk,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  fetch,
  metadata,
  produce,
} from '../src/index.js'
import { decodedForm } from './arbitrary.js'
import { everyMessage, everyVersion } from './every-message.js'
import { fromJsonForm } from './json-form.js'

const hex = (chunks: readonly Chunk[]) => Buffer.concat(chunks as Buffer[]).toString('hex')
const bytesOf = (...parts: string[]) => parts.join('').replaceAll(' ', '')

interface Sample {
  readonly message: string
  readonly version: number
  readonly value: Record<string, unknown>
  readonly hex: string
}

const samples = readFileSync(new URL('golden/kafka-4.4.0.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Sample)

test('every version of every message has a sample', () => {
  const found = samples.map(({ message, version }) => `${message} v${version}`)
  expect(found).toEqual(everyVersion.map(({ name, version }) => `${name} v${version}`))
})

const declared = new Map(everyMessage.map((one) => [one.name, one]))

test.each(samples)(
  "Kafka's bytes of $message v$version",
  ({ message: name, version, value, hex: expected }) => {
    const { message, encode, decode } = declared.get(name)!
    const input = fromJsonForm(message.fields, value)
    expect(encode(input, version).toString('hex')).toBe(expected)
    expect(decode(Buffer.from(expected, 'hex'), version)).toEqual(decodedForm(message.fields, input))
  },
)

test('an ApiVersions v0 request is a header and nothing more', () => {
  const frame = bytesOf('0000000d', '0012', '0000', '00000001', '0003 6b6774')
  expect(hex(encodeRequest(apiVersions, 0, 1, 'kgt', {}))).toBe(frame)
  expect(decodeRequestHeader(Buffer.from(frame, 'hex').subarray(4))).toEqual({
    apiKey: 18,
    apiVersion: 0,
    correlationId: 1,
    clientId: 'kgt',
    bodyAt: 13,
  })
})

test('an ApiVersions v3 request: the client id keeps its two-byte length, then come the header tags', () => {
  const frame = bytesOf(
    '00000019',
    '0012 0003 00000007',
    '0007 72646b61666b61', // "rdkafka", length 7
    '00', // no tags in the header
    '03 6c72', // "lr" as length + 1
    '03 3261',
    '00',
  )
  const encoded = encodeRequest(apiVersions, 3, 7, 'rdkafka', {
    clientSoftwareName: 'lr',
    clientSoftwareVersion: '2a',
  })
  expect(hex(encoded)).toBe(frame)
  const body = Buffer.from(frame, 'hex').subarray(4)
  const header = decodeRequestHeader(body)
  expect(header).toMatchObject({ apiVersion: 3, clientId: 'rdkafka', bodyAt: 18 })
  expect(apiVersions.request.decode(body, header.bodyAt, 3)).toMatchObject({
    clientSoftwareName: 'lr',
    clientSoftwareVersion: '2a',
    clusterId: null,
    nodeId: -1,
  })
})

test('an ApiVersions v0 response', () => {
  const frame = bytesOf('00000010', '00000007', '0000', '00000001', '0012 0000 0005')
  const body = { errorCode: 0, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 5 }] }
  expect(hex(encodeResponse(apiVersions, 0, 7, body))).toBe(frame)
  expect(decodeResponse(apiVersions, 0, Buffer.from(frame, 'hex').subarray(4))).toMatchObject({
    correlationId: 7,
    body,
  })
})

test('an ApiVersions v3 response has a flexible body behind a header without tags', () => {
  const frame = bytesOf(
    '0000002a',
    '00000007', // the correlation id, and no tag section after it
    '0000',
    '02 0012 0000 0005 00', // one key, with its own tags
    '00000000', // throttle time
    '02', // two tags
    '00 0b 02 05 61622e63 0000 0001 00', // tag 0, 11 bytes: one feature "ab.c" with its own tags
    '01 08 0000000000000009', // tag 1: the epoch
  )
  const body = {
    errorCode: 0,
    apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 5 }],
    throttleTimeMs: 0,
    supportedFeatures: [{ name: 'ab.c', minVersion: 0, maxVersion: 1 }],
    finalizedFeaturesEpoch: 9,
  }
  expect(hex(encodeResponse(apiVersions, 3, 7, body))).toBe(frame)
  expect(decodeResponse(apiVersions, 3, Buffer.from(frame, 'hex').subarray(4))).toMatchObject({
    correlationId: 7,
    body,
  })
})

test('a Metadata v1 request for one topic, for none and for all', () => {
  const header = bytesOf('0003 0001 00000002 ffff')
  expect(hex(encodeRequest(metadata, 1, 2, null, { topics: [{ name: 'ab' }] }))).toBe(
    bytesOf('00000012', header, '00000001 0002 6162'),
  )
  expect(hex(encodeRequest(metadata, 1, 2, null, { topics: [] }))).toBe(
    bytesOf('0000000e', header, '00000000'),
  )
  expect(hex(encodeRequest(metadata, 1, 2, null, { topics: null }))).toBe(
    bytesOf('0000000e', header, 'ffffffff'),
  )
})

test('a Metadata v1 response', () => {
  const frame = bytesOf(
    '00000042',
    '00000002',
    '00000001 00000005 0001 68 00002384 ffff', // brokers: node 5, h:9092, no rack
    '00000005', // controller
    '00000001 0000 0002 6162 00', // topics: no error, "ab", not internal
    '00000001 0000 00000000 00000005', // partitions: no error, index 0, leader 5
    '00000001 00000005', // replicas
    '00000001 00000005', // in sync
  )
  const body = {
    brokers: [{ nodeId: 5, host: 'h', port: 9092, rack: null }],
    controllerId: 5,
    topics: [
      {
        errorCode: 0,
        name: 'ab',
        isInternal: false,
        partitions: [{ errorCode: 0, partitionIndex: 0, leaderId: 5, replicaNodes: [5], isrNodes: [5] }],
      },
    ],
  }
  expect(hex(encodeResponse(metadata, 1, 2, body))).toBe(frame)
  expect(decodeResponse(metadata, 1, Buffer.from(frame, 'hex').subarray(4))).toMatchObject({
    correlationId: 2,
    body,
  })
})

const records = Buffer.from('cafebabe', 'hex')
const produceBody = {
  transactionalId: null,
  acks: -1,
  timeoutMs: 30_000,
  topicData: [{ name: 't', partitionData: [{ index: 1, records }] }],
}

test.each([
  [
    3,
    bytesOf(
      '0000002a',
      '0000 0003 00000009 0001 63',
      'ffff ffff 00007530', // no transaction, acks all, 30 s
      '00000001 0001 74', // topic "t"
      '00000001 00000001 00000004 cafebabe', // partition 1, four bytes of records
    ),
  ],
  [
    9,
    bytesOf(
      '00000023',
      '0000 0009 00000009 0001 63 00',
      '00 ffff 00007530',
      '02 02 74',
      '02 00000001 05 cafebabe 00', // the partition ends with its tags,
      '00 00', // so does the topic, and so does the request
    ),
  ],
])('a Produce v%i request', (version, frame) => {
  expect(hex(encodeRequest(produce, version, 9, 'c', produceBody))).toBe(frame)
  const body = Buffer.from(frame, 'hex').subarray(4)
  expect(produce.request.decode(body, decodeRequestHeader(body).bodyAt, version)).toMatchObject(produceBody)
})

test.each([
  [
    4,
    bytesOf(
      '00000037',
      '0001 0004 0000000a 0001 63',
      'ffffffff 000001f4 00000001 00100000 00', // consumer, 500 ms, 1 byte, 1 MiB, read uncommitted
      '00000001 0001 74',
      '00000001 00000000 000000010000002a 00010000',
    ),
  ],
  [
    12,
    bytesOf(
      '0000004e',
      '0001 000c 0000000a 0001 63 00',
      'ffffffff 000001f4 00000001 00100000 00',
      '00000000 ffffffff', // no session
      '02 02 74',
      '02 00000000 ffffffff 000000010000002a ffffffff ffffffffffffffff 00010000 00 00',
      '01', // nothing forgotten
      '01', // no rack
      '00',
    ),
  ],
])('a Fetch v%i request', (version, frame) => {
  const value = {
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 1_048_576,
    topics: [
      { topic: 't', partitions: [{ partition: 0, fetchOffset: 2 ** 32 + 42, partitionMaxBytes: 65_536 }] },
    ],
  }
  expect(hex(encodeRequest(fetch, version, 10, 'c', value))).toBe(frame)
  const body = Buffer.from(frame, 'hex').subarray(4)
  expect(fetch.request.decode(body, decodeRequestHeader(body).bodyAt, version)).toMatchObject(value)
})
