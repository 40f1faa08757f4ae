// One bit of difference in the hash and two clients send the same key to different partitions: per-key order is
// gone, and nothing reports it. The values are those that Kafka publishes in its own unit tests (UtilsTest).

import { expect, test } from 'vitest'
import { keyPartition, murmur2, PartitioningError, toPositive } from '../src/index.js'

test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('murmur2 of %s', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash)
})

test('the length of the last, incomplete word matters', () => {
  const hashes = ['', '\0', '\0\0', '\0\0\0', '\0\0\0\0'].map((text) => murmur2(Buffer.from(text)))
  expect(new Set(hashes).size).toBe(5)
})

test('a negative hash loses its sign bit and is not negated', () => {
  expect(toPositive(-1)).toBe(0x7fffffff)
  expect(toPositive(-2147483648)).toBe(0)
  expect(toPositive(5)).toBe(5)
})

test('a key goes where its hash says', () => {
  expect(keyPartition(Buffer.from('foobar'), 12)).toBe((-790332482 & 0x7fffffff) % 12)
  expect(keyPartition(Buffer.from('foobar'), 1)).toBe(0)
  expect(() => keyPartition(Buffer.from('foobar'), 0)).toThrow(PartitioningError)
})
