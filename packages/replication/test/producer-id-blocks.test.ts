// Two producers with one id take each other's records for retries of their own: no id may be in two blocks.

import { expect, test } from 'vitest'
import { nextProducerIdBlock, producerIdsKey, type MetadataEntry } from '../src/index.js'

const entry = (value: string, revision = 7): MetadataEntry => ({ key: producerIdsKey, value, revision })

test('each block begins where the one before ended, and counts only if nobody was quicker', () => {
  const first = nextProducerIdBlock(null)
  expect([first.firstProducerId, first.endProducerId]).toEqual([0, 1000])
  expect(first.transaction.compares).toEqual([{ key: producerIdsKey, revision: 0 }])
  const [put] = first.transaction.puts!
  const second = nextProducerIdBlock(entry(put!.value))
  expect([second.firstProducerId, second.endProducerId]).toEqual([1000, 2000])
  expect(second.transaction.compares).toEqual([{ key: producerIdsKey, revision: 7 }])
  expect(second.transaction.puts).toEqual([
    { key: producerIdsKey, value: '{"version":1,"nextProducerId":2000}' },
  ])
})

test.each([
  '',
  'null',
  '1000',
  '{"version":2,"nextProducerId":1000}',
  '{"version":1}',
  '{"version":1,"nextProducerId":-1}',
  '{"version":1,"nextProducerId":0.5}',
  '{"version":1,"nextProducerId":"1000"}',
])('%s is no entry to go on from', (value) => {
  expect(() => nextProducerIdBlock(entry(value))).toThrow(
    expect.objectContaining({ name: 'ReplicationError', code: 'VARVE_METADATA_CORRUPT' }),
  )
})
