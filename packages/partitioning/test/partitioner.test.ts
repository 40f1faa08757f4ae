// Records without a key may go anywhere, but not to a partition without a leader, not for ever to the same one,
// and not to another one within each batch, which would make every batch a single record.

import { expect, test } from 'vitest'
import { defaultPartitioner, keyPartition, roundRobin, sticky } from '../src/index.js'

/** Gives the numbers in turn, so that a test decides what is drawn. */
function draws(...numbers: number[]): () => number {
  let index = 0
  return () => numbers[index++ % numbers.length]!
}

const key = Buffer.from('foobar')

test('round robin takes turns per topic and skips what is not available', () => {
  const partitioner = roundRobin()
  const take = (topic: string, available?: number[]): number =>
    partitioner.partition(topic, key, 4, available)
  expect([take('a'), take('a'), take('b'), take('a'), take('a'), take('a')]).toEqual([0, 1, 0, 2, 3, 0])
  expect([take('c', [1, 3]), take('c', [1, 3]), take('c', [1, 3])]).toEqual([1, 3, 1])
})

test('sticky stays within a batch and moves on after it, never to the same partition', () => {
  const partitioner = sticky(draws(0.5, 0.5, 0.5))
  const take = (): number => partitioner.partition('a', null, 4)
  expect([take(), take(), take()]).toEqual([2, 2, 2])
  partitioner.onNewBatch!('a')
  expect([take(), take()]).toEqual([3, 3])
  partitioner.onNewBatch!('a')
  expect(take()).toBe(2)
})

test('sticky stays where it is while batches of other partitions are closed', () => {
  const partitioner = defaultPartitioner(draws(0.5, 0.5))
  const take = (): number => partitioner.partition('a', null, 4)
  expect(take()).toBe(2)
  for (const elsewhere of [0, 1, 3]) partitioner.onNewBatch!('a', elsewhere)
  expect(take()).toBe(2)
  partitioner.onNewBatch!('a', 2)
  expect(take()).toBe(3)
})

test('sticky leaves a partition that lost its leader, and one that no longer exists', () => {
  const partitioner = sticky(draws(0.99, 0, 0))
  expect(partitioner.partition('a', null, 4)).toBe(3)
  expect(partitioner.partition('a', null, 4, [0, 1])).toBe(0)
  partitioner.onNewBatch!('a')
  expect(partitioner.partition('a', null, 1)).toBe(0)
})

test('sticky keeps topics apart', () => {
  const partitioner = sticky(draws(0, 0.75))
  expect(partitioner.partition('a', null, 4)).toBe(0)
  expect(partitioner.partition('b', null, 4)).toBe(3)
  partitioner.onNewBatch!('b')
  expect(partitioner.partition('a', null, 4)).toBe(0)
})

test('a single partition is chosen again and again', () => {
  const partitioner = sticky(draws(0.9))
  for (let batch = 0; batch < 3; batch++) {
    expect(partitioner.partition('a', null, 1)).toBe(0)
    partitioner.onNewBatch!('a')
  }
})

test('where nothing is available the record still gets a partition, to wait for its leader', () => {
  expect(roundRobin().partition('a', null, 3, [])).toBe(0)
  expect(sticky(draws(0.5)).partition('a', null, 3, [])).toBe(1)
})

test('the default hashes keys, whatever is available, and sticks for the rest', () => {
  const partitioner = defaultPartitioner(draws(0.5, 0))
  expect(partitioner.partition('a', key, 12, [1])).toBe(keyPartition(key, 12))
  expect(partitioner.partition('a', Buffer.alloc(0), 12)).toBe(keyPartition(Buffer.alloc(0), 12))
  expect(partitioner.partition('a', null, 12)).toBe(6)
  expect(partitioner.partition('a', null, 12)).toBe(6)
  partitioner.onNewBatch!('a')
  expect(partitioner.partition('a', null, 12)).toBe(0)
})

test('a topic without partitions is an error with a code', () => {
  const attempt = (): number => roundRobin().partition('empty', null, 0)
  expect(attempt).toThrow(expect.objectContaining({ code: 'VARVE_NO_PARTITIONS' }))
  expect(attempt).toThrow(/'empty'/)
})
