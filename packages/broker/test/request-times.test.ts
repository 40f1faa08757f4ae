/** A quantile over the life of a process says nothing after a week: an hour of slow answers would move it by nothing. */
import { expect, test } from 'vitest'
import { RequestTimes } from '../src/admin/request-times.js'

const at = (times: RequestTimes, now: number): Record<string, number> =>
  Object.fromEntries(times.quantiles(now))

test('quantiles are those of the last minutes, and the count is of all time', () => {
  const times = new RequestTimes(0)
  expect(at(times, 0)['0.50']).toBeNaN()
  for (let i = 0; i < 999; i++) times.record(1, 0)
  times.record(500, 0)
  const first = at(times, 1000)
  expect(first['0.50']).toBeCloseTo(1, 1)
  expect(first['0.99']).toBeCloseTo(1, 1)
  for (let i = 0; i < 1000; i++) times.record(20, 150_000)
  expect(at(times, 299_000)['0.50']! / 20).toBeLessThan(1.02)
  expect(at(times, 299_000)['0.75']! / 20).toBeCloseTo(1, 1)
  times.record(3, 300_000)
  // What came first is forgotten.
  expect(at(times, 300_000)['0.50']! / 20).toBeCloseTo(1, 1)
  expect(at(times, 1_000_000)['0.50']).toBeNaN()
  expect(times.count).toBe(2001)
})
