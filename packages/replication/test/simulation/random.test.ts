// A failure is found again from its seed only if the same seed gives the same numbers, whoever else draws.

import { expect, test } from 'vitest'
import { Random } from './random.js'

const draw = (random: Random, count = 20): number[] => Array.from({ length: count }, () => random.next())

test('the same seed and name give the same numbers, others give others', () => {
  expect(draw(new Random(7, 'disk'))).toEqual(draw(new Random(7, 'disk')))
  const firsts = [0, 1, 2, 2 ** 32, 2 ** 33].flatMap((seed) =>
    ['', 'a', 'b'].map((name) => new Random(seed, name).next()),
  )
  expect(new Set(firsts).size).toBe(firsts.length)
})

test('a fork depends on no draw and takes none', () => {
  const [one, other] = [new Random(1), new Random(1)]
  draw(one)
  expect(draw(one.fork('network'))).toEqual(draw(other.fork('network')))
  expect(one.next()).toBe(draw(other, 21)[20])
})

test('whole numbers cover their range evenly, both ends included', () => {
  const random = new Random(3)
  const counts = [0, 0, 0, 0, 0]
  for (let i = 0; i < 10_000; i++) counts[random.int(-2, 2) + 2]!++
  for (const count of counts) expect(count).toBeGreaterThan(1800)
})

test('chances, latencies and shuffles are what they are called', () => {
  const random = new Random(4)
  const happened = Array.from({ length: 10_000 }, () => random.chance(0.3)).filter(Boolean).length
  expect(happened / 10_000).toBeCloseTo(0.3, 1)
  expect([random.chance(0), random.chance(1)]).toEqual([false, true])
  const latencies = Array.from({ length: 10_000 }, () => random.latency(1, 3, 10))
  expect(Math.min(...latencies)).toBeGreaterThanOrEqual(1)
  expect(Math.max(...latencies)).toBe(10)
  const mean = latencies.reduce((sum, latency) => sum + latency, 0) / latencies.length
  expect(mean).toBeGreaterThan(2.7)
  expect(mean).toBeLessThan(3.1)
  const shuffled = random.shuffle([1, 2, 3, 4, 5, 6, 7, 8])
  expect(shuffled).not.toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  expect([...shuffled].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
})
