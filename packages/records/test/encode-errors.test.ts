// Plain JavaScript callers hand in numbers and objects by mistake. Written without a check they became empty
// values, NaN timestamps or a record per letter of a string in a log that nobody could repair later, so they are refused before a byte is kept.

import { expect, test } from 'vitest'
import {
  BatchBuilder,
  batchByteLength,
  batchesIn,
  encodeBatch,
  VarveError,
  writeBatch,
  type RecordInput,
} from '../src/index.js'

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
  ['a fractional timestamp', { value: 'v', timestamp: 1.5 }],
  ['a NaN timestamp', { value: 'v', timestamp: Number.NaN }],
  ['a negative timestamp', { value: 'v', timestamp: -2 }],
  ['a Date as timestamp', { value: 'v', timestamp: new Date(0) }],
  ['a header name that is no string', { value: 'v', headers: [[1, 'x']] }],
  ['a header value that is a number', { value: 'v', headers: { a: 1 } }],
  ['headers that are a string', { value: 'v', headers: 'a=b' }],
  ['headers that are a Map', { value: 'v', headers: new Map([['a', 'b']]) }],
  ['headers that are strings', { value: 'v', headers: ['ab'] }],
  ['headers that are null in an array', { value: 'v', headers: [null] }],
  ['null', null],
  ['undefined', undefined],
  ['a string', 'hello'],
  ['an array', [1]],
  ['a Buffer', Buffer.from('hello')],
  ['nothing', {}],
  ['misspelt parts', { Value: 'hello' }],
  ['headers without a record', { headers: { a: 'b' } }],
])('%s', (_, record) => {
  expect(codeOf(() => encodeBatch([record as unknown as RecordInput]))).toBe('VARVE_RECORD_INVALID')
})

test.each(['hello', undefined, null, { value: 'v' }, Buffer.from('hello')])(
  'records that are no array: %o',
  (records) => {
    const given = records as unknown as RecordInput[]
    expect(codeOf(() => encodeBatch(given))).toBe('VARVE_RECORD_INVALID')
    expect(codeOf(() => batchByteLength(given, 0))).toBe('VARVE_RECORD_INVALID')
    expect(codeOf(() => writeBatch(Buffer.alloc(100), 0, given, 0))).toBe('VARVE_RECORD_INVALID')
  },
)

test('a mistake behind good records is found by whoever encodes', () => {
  const records = [{ value: 'good' }, { Value: 'typed wrongly' }] as RecordInput[]
  const refusal = 'must be an object with a key, a value or both, got an object with Value'
  expect(() => encodeBatch(records)).toThrow(refusal)
  expect(() => writeBatch(Buffer.alloc(200), 0, records, 0)).toThrow(refusal)
  const builder = new BatchBuilder(1000)
  expect(builder.append(records[0]!, 0)).toBe(true)
  expect(() => builder.append(records[1]!, 0)).toThrow(refusal)
  expect(builder.recordsCount).toBe(1)
})

test('absent is not forgotten: null, undefined and inherited parts are parts', () => {
  class Event {
    get value(): string {
      return 'v'
    }
  }
  const records: RecordInput[] = [
    { key: null },
    { value: undefined },
    new Event(),
    Object.create({ key: undefined }),
  ]
  const [batch] = batchesIn(encodeBatch(records))
  expect(Array.from(batch!.records(), ({ value }) => value?.toString())).toEqual([
    undefined,
    undefined,
    'v',
    undefined,
  ])
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
  expect(codeOf(() => encodeBatch([{ value: 'v' }], { compression: 'brotli' as 'none' }))).toBe(
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
