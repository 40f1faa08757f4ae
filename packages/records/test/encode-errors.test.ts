// Plain JavaScript callers hand in numbers and objects by mistake. Written without a check they became empty
// values or NaN timestamps in a log that nobody could repair later, so they are refused before a byte is kept.

import { expect, test } from 'vitest'
import { batchByteLength, encodeBatch, VarveError, writeBatch, type RecordInput } from '../src/index.js'

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return VarveError.is(error) ? error.code : String(error)
  }
  return 'nothing thrown'
}

test('no records', () => {
  expect(codeOf(() => encodeBatch([]))).toBe('VARVE_EMPTY_BATCH')
  expect(codeOf(() => batchByteLength([], 0))).toBe('VARVE_EMPTY_BATCH')
  expect(codeOf(() => writeBatch(Buffer.alloc(100), 0, [], 0))).toBe('VARVE_EMPTY_BATCH')
})

test.each([
  ['a number as value', { value: 5 }],
  ['an object as key', { key: { a: 1 } }],
  ['an array buffer as value', { value: new ArrayBuffer(4) }],
  ['a fractional timestamp', { timestamp: 1.5 }],
  ['a NaN timestamp', { timestamp: Number.NaN }],
  ['a negative timestamp', { timestamp: -2 }],
  ['a Date as timestamp', { timestamp: new Date(0) }],
  ['a header name that is no string', { headers: [[1, 'x']] }],
  ['a header value that is a number', { headers: { a: 1 } }],
  ['headers that are a string', { headers: 'a=b' }],
])('%s', (_, record) => {
  expect(codeOf(() => encodeBatch([record as unknown as RecordInput]))).toBe('VARVE_RECORD_INVALID')
})

test('a target that is too small is refused, not silently cut', () => {
  const records = [{ key: 'k', value: 'v'.repeat(50) }]
  const length = batchByteLength(records, 0)
  for (const size of [0, 30, 61, 62, length - 1]) {
    expect(codeOf(() => writeBatch(Buffer.alloc(size), 0, records, 0))).toBe('VARVE_BUFFER_TOO_SMALL')
  }
  expect(writeBatch(Buffer.alloc(length), 0, records, 0)).toBe(length)
})

test('a codec that cannot be written', () => {
  expect(codeOf(() => encodeBatch([{ value: 'v' }], { compression: 'zstd' as 'none' }))).toBe(
    'VARVE_UNSUPPORTED_CODEC',
  )
})

test('errors of a second installed copy are still recognised', () => {
  const foreign = Object.assign(new Error('from elsewhere'), {
    [Symbol.for('varve.error')]: true,
    code: 'VARVE_X',
  })
  expect(VarveError.is(foreign)).toBe(true)
  expect(VarveError.is(new Error('plain'))).toBe(false)
  expect(VarveError.is(null)).toBe(false)
})
