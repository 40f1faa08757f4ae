// What is stored outlives the release that stored it. A reader that guesses at a version, or takes one record for another,
// hands a group positions that it never committed.

import { expect, test } from 'vitest'
import {
  consumerSubscription,
  groupMetadataKey,
  legacyOffsetCommitKey,
  offsetCommitKey,
  offsetCommitValue,
  ProtocolError,
  recordTypeOf,
} from '../src/index.js'

const position = { group: 'g', topic: 'orders', partition: 3 }
const fromHex = (...parts: string[]) => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
  return 'none'
}

test('a key begins with the type of its record', () => {
  const key = offsetCommitKey.encode(position)
  expect(key).toEqual(fromHex('0001', '0001 67', '0006 6f7264657273', '00000003'))
  expect(recordTypeOf(key)).toBe(offsetCommitKey.type)
  expect(recordTypeOf(groupMetadataKey.encode({ group: 'g' }))).toBe(2)
  expect(offsetCommitKey.decode(key)).toEqual(position)
})

test('a key of another type is refused, however alike it is', () => {
  const legacy = legacyOffsetCommitKey.encode(position)
  expect(codeOf(() => offsetCommitKey.decode(legacy))).toBe('VARVE_PROTOCOL_MALFORMED')
  expect(legacyOffsetCommitKey.decode(legacy)).toEqual(position)
})

test('a value begins with its version, and is read in any', () => {
  const topicId = 'BOj7Kfn_-PkHAOIE_ADu-Q'
  const value = { offset: 42, leaderEpoch: 5, metadata: 'm', commitTimestamp: 1_700_000_000_000, topicId }
  const bytes = offsetCommitValue.encode(value, 4)
  expect(bytes.readInt16BE(0)).toBe(4)
  expect(offsetCommitValue.decode(bytes)).toEqual({ ...value, expireTimestamp: -1 })
  const expiring = offsetCommitValue.encode({ ...value, expireTimestamp: 9 }, 1)
  expect(offsetCommitValue.decode(expiring)).toMatchObject({
    offset: 42,
    leaderEpoch: -1,
    expireTimestamp: 9,
  })
})

test('a value of a version from the future is refused', () => {
  const bytes = offsetCommitValue.encode({ offset: 1, metadata: '', commitTimestamp: 0 }, 3)
  bytes.writeInt16BE(5)
  expect(codeOf(() => offsetCommitValue.decode(bytes))).toBe('VARVE_PROTOCOL_UNSUPPORTED_VERSION')
  bytes.writeInt16BE(-1)
  expect(codeOf(() => offsetCommitValue.decode(bytes))).toBe('VARVE_PROTOCOL_UNSUPPORTED_VERSION')
})

test('bytes behind the last field mean that a record was misread', () => {
  const value = offsetCommitValue.encode({ offset: 1, metadata: '', commitTimestamp: 0 }, 3)
  expect(codeOf(() => offsetCommitValue.decode(Buffer.concat([value, Buffer.alloc(1)])))).toBe(
    'VARVE_PROTOCOL_MALFORMED',
  )
  expect(codeOf(() => offsetCommitKey.decode(Buffer.concat([offsetCommitKey.encode(position), value])))).toBe(
    'VARVE_PROTOCOL_MALFORMED',
  )
})

test("a consumer's subscription from the future is read as far as it is known", () => {
  const subscription = { topics: ['a'], userData: null, ownedPartitions: [], generationId: 7, rackId: 'r' }
  const known = consumerSubscription.encode(subscription, 3)
  const future = Buffer.concat([known, fromHex('0003 6e6577')])
  future.writeInt16BE(4)
  expect(consumerSubscription.decode(future)).toEqual(subscription)
  future.writeInt16BE(-1)
  expect(codeOf(() => consumerSubscription.decode(future))).toBe('VARVE_PROTOCOL_UNSUPPORTED_VERSION')
})

test('less than a prefix is truncated', () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(1)]) {
    expect(codeOf(() => recordTypeOf(bytes))).toBe('VARVE_PROTOCOL_TRUNCATED')
    expect(codeOf(() => offsetCommitKey.decode(bytes))).toBe('VARVE_PROTOCOL_TRUNCATED')
    expect(codeOf(() => offsetCommitValue.decode(bytes))).toBe('VARVE_PROTOCOL_TRUNCATED')
    expect(codeOf(() => consumerSubscription.decode(bytes))).toBe('VARVE_PROTOCOL_TRUNCATED')
  }
})
