// Two replicas on one rack go down together; a broker with more replicas, or more leaders, than the others is the one that
// everybody waits for.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  placeReplicas,
  PlacementError,
  ReplicaLoad,
  replaceReplica,
  type PlacementBroker,
} from '../src/index.js'

const onRacks = (...racks: Array<string | null>): PlacementBroker[] => racks.map((rack, id) => ({ id, rack }))
const withoutRacks = (count: number): PlacementBroker[] =>
  Array.from({ length: count }, (_, id) => ({ id, rack: null }))

const counts = (brokers: readonly PlacementBroker[], lists: readonly (readonly number[])[]): number[] =>
  brokers.map(({ id }) => lists.flat().filter((replica) => replica === id).length)
const leaders = (lists: readonly (readonly number[])[]): number[][] => lists.map((list) => list.slice(0, 1))
const spread = (numbers: readonly number[]): number => Math.max(...numbers) - Math.min(...numbers)

const racksOf = (brokers: readonly PlacementBroker[], replicas: readonly number[]): number[] => {
  const byRack = new Map<string | null, number>()
  for (const id of replicas) {
    const { rack } = brokers.find((broker) => broker.id === id)!
    byRack.set(rack, (byRack.get(rack) ?? 0) + 1)
  }
  return [...byRack.values()].sort((a, b) => b - a)
}

/** Brokers on racks of any sizes, how many partitions and replicas, and what is there. */
const placements = fc
  .record({
    racks: fc.array(fc.constantFrom('a', 'b', 'c', 'd', null), { minLength: 1, maxLength: 9 }),
    partitions: fc.integer({ min: 1, max: 20 }),
    factor: fc.nat(),
    draw: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  })
  .map(({ racks, partitions, factor, draw }) => ({
    brokers: onRacks(...racks),
    partitions,
    replicationFactor: (factor % racks.length) + 1,
    random: () => draw,
  }))

test('each partition has its replicas on different brokers, all of them given', () => {
  fc.assert(
    fc.property(placements, (placement) => {
      const placed = placeReplicas(placement)
      expect(placed).toHaveLength(placement.partitions)
      for (const replicas of placed) {
        expect(new Set(replicas).size).toBe(placement.replicationFactor)
        expect(replicas.every((id) => placement.brokers.some((broker) => broker.id === id))).toBe(true)
      }
    }),
  )
})

test('each partition is on as many racks as there are, and evenly on them as far as their brokers go', () => {
  fc.assert(
    fc.property(placements, (placement) => {
      const sizes = racksOf(
        placement.brokers,
        placement.brokers.map(({ id }) => id),
      )
      // One more to each rack that has a free broker, until all are given.
      const best = sizes.map(() => 0)
      for (let left = placement.replicationFactor; left > 0;) {
        for (const [rack, size] of sizes.entries()) {
          if (left === 0 || size === best[rack]) continue
          best[rack]!++
          left--
        }
      }
      const wanted = best.filter((count) => count > 0).sort((a, b) => b - a)
      for (const replicas of placeReplicas(placement))
        expect(racksOf(placement.brokers, replicas)).toEqual(wanted)
    }),
  )
})

test('without racks, and with racks of one size, replicas and leaders are within one of each other', () => {
  fc.assert(
    fc.property(
      placements,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      (placement, size, racks) => {
        const equal = Array.from({ length: size * racks }, (_, id) => ({ id, rack: `rack ${id % racks}` }))
        for (const brokers of [withoutRacks(placement.brokers.length), equal]) {
          const replicationFactor = Math.min(placement.replicationFactor, brokers.length)
          const placed = placeReplicas({ ...placement, brokers, replicationFactor })
          expect(spread(counts(brokers, placed))).toBeLessThanOrEqual(1)
          expect(spread(counts(brokers, leaders(placed)))).toBeLessThanOrEqual(1)
        }
      },
    ),
  )
})

test('racks of different sizes are within one of each other where the racks allow it', () => {
  // Rack a has half of the brokers, so of two replicas one is on it each time.
  const brokers = onRacks('a', 'a', 'a', 'b', 'b', 'c')
  for (let partitions = 1; partitions < 40; partitions++) {
    const placed = placeReplicas({ brokers, partitions, replicationFactor: 2 })
    expect(spread(counts(brokers, placed))).toBeLessThanOrEqual(1)
    expect(spread(counts(brokers, leaders(placed)))).toBeLessThanOrEqual(1)
  }
})

test('what the least loaded broker in turn does not give is evened out', () => {
  const [two, three] = [onRacks('a', 'a', 'b', 'b', 'b'), onRacks('a', 'a', 'b', 'b', 'b', 'a', 'b')]
  const placed = placeReplicas({ brokers: two, partitions: 10, replicationFactor: 3 })
  expect(counts(two, placed)).toEqual([6, 6, 6, 6, 6])
  const led = placeReplicas({ brokers: three, partitions: 8, replicationFactor: 2 })
  expect(spread(counts(three, leaders(led)))).toBe(1)
})

test('a leadership goes from one to another over a third where that is the only way', () => {
  const brokers = onRacks('a', 'c', 'a', 'b', 'b', 'b', 'a')
  const existing = [
    [6, 5, 4, 3, 2],
    [3, 2, 1],
    [1, 2],
  ]
  const placed = placeReplicas({ brokers, partitions: 10, replicationFactor: 4, existing })
  expect(spread(counts(brokers, leaders([...existing, ...placed])))).toBe(1)
})

test('no placement has a smaller sum of squares: small ones are compared with all there are', () => {
  const squares = (numbers: readonly number[]): number => numbers.reduce((sum, n) => sum + n * n, 0)
  const small = fc.record({
    racks: fc.array(fc.constantFrom('a', 'b', null), { minLength: 2, maxLength: 4 }),
    partitions: fc.integer({ min: 1, max: 3 }),
    existing: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }),
  })
  fc.assert(
    fc.property(small, ({ racks, partitions, existing }) => {
      const brokers = onRacks(...racks)
      const lists = existing.filter((id) => id < brokers.length).map((id) => [id])
      const placed = placeReplicas({ brokers, partitions, replicationFactor: 2, existing: lists })
      const wanted = racksOf(brokers, placed[0]!).join()
      const sets = brokers.flatMap(({ id }) =>
        brokers
          .filter((other) => other.id > id)
          .map((other) => [id, other.id])
          .filter((pair) => racksOf(brokers, pair).join() === wanted),
      )
      let all: number[][][] = [[]]
      for (let partition = 0; partition < partitions; partition++)
        all = all.flatMap((before) => sets.map((set) => [...before, set]))
      const least = Math.min(...all.map((one) => squares(counts(brokers, [...lists, ...one]))))
      expect(squares(counts(brokers, [...lists, ...placed]))).toBe(least)
    }),
  )
})

test('what the topic has already counts, of replicas and of leaders', () => {
  const brokers = withoutRacks(3)
  const existing = [
    [0, 1],
    [0, 1],
  ]
  const placed = placeReplicas({ brokers, partitions: 4, replicationFactor: 2, existing })
  expect(counts(brokers, [...existing, ...placed])).toEqual([4, 4, 4])
  expect(counts(brokers, leaders([...existing, ...placed]))).toEqual([2, 2, 2])
})

test('other topics decide only where this one does not', () => {
  const brokers = withoutRacks(3)
  const others = [[0], [0], [0], [0], [1]]
  const place = (partitions: number): number[][] =>
    placeReplicas({ brokers, partitions, replicationFactor: 1, others })
  expect(place(1)).toEqual([[2]])
  expect(place(6).flat().sort()).toEqual([0, 0, 1, 1, 2, 2])
  expect(place(5).flat().sort()).toEqual([0, 1, 1, 2, 2])
})

test('not all leaders of a broker have the same successor', () => {
  const placed = placeReplicas({ brokers: withoutRacks(4), partitions: 12, replicationFactor: 3 })
  for (const leader of [0, 1, 2, 3]) {
    const successors = placed.filter(([first]) => first === leader).map(([, second]) => second)
    expect(new Set(successors).size).toBeGreaterThan(1)
  }
})

test('brokers without a rack are one rack together', () => {
  const brokers = onRacks(null, null, 'a')
  for (const replicas of placeReplicas({ brokers, partitions: 8, replicationFactor: 2 }))
    expect(replicas).toContain(2)
})

test('the same is placed alike, and a draw says where to begin', () => {
  const placement = { brokers: withoutRacks(5), partitions: 7, replicationFactor: 3 }
  expect(placeReplicas(placement)).toEqual(placeReplicas(placement))
  expect(placeReplicas({ ...placement, brokers: placement.brokers.toReversed() })).toEqual(
    placeReplicas(placement),
  )
  const one = (draw: number): number[][] =>
    placeReplicas({ brokers: withoutRacks(5), partitions: 1, replicationFactor: 1, random: () => draw })
  expect([one(0), one(0.5), one(0.99)]).toEqual([[[0]], [[2]], [[4]]])
})

test.each([
  [0, 2],
  [-1, 2],
  [1.5, 2],
  [3, 2],
  [1, 0],
])('%d replicas on %d brokers are refused', (replicationFactor, brokers) => {
  const place = (): unknown =>
    placeReplicas({ brokers: withoutRacks(brokers), partitions: 1, replicationFactor })
  expect(place).toThrow(PlacementError)
  expect(place).toThrow(
    expect.objectContaining({ code: 'VARVE_INVALID_REPLICATION_FACTOR', retriable: false }),
  )
})

test.each([0, -1, 0.5, NaN])('%d partitions are refused', (partitions) => {
  const place = (): unknown => placeReplicas({ brokers: withoutRacks(1), partitions, replicationFactor: 1 })
  expect(place).toThrow(expect.objectContaining({ name: 'PlacementError', code: 'VARVE_NO_PARTITIONS' }))
})

test('a replaced replica leaves the others where they are, and the new one is on a rack that the partition has least of', () => {
  const brokers = onRacks('a', 'a', 'b', 'b', 'c')
  expect(replaceReplica({ brokers, replicas: [0, 2], leaving: 2 })).toEqual([0, 3])
  expect(replaceReplica({ brokers, replicas: [0, 2], leaving: 2, existing: [[0, 3]] })).toEqual([0, 4])
  expect(replaceReplica({ brokers, replicas: [2, 0, 4], leaving: 2 })).toEqual([3, 0, 4])
  expect(replaceReplica({ brokers, replicas: [0, 2, 4], leaving: 4, others: [[3]] })).toEqual([0, 2, 1])
})

test('a broker that is gone from the brokers can be replaced, and without another one nothing can', () => {
  expect(replaceReplica({ brokers: onRacks('a', 'b'), replicas: [0, 7], leaving: 7 })).toEqual([0, 1])
  expect(() => replaceReplica({ brokers: onRacks('a', 'b'), replicas: [0, 1], leaving: 1 })).toThrow(
    expect.objectContaining({ code: 'VARVE_INVALID_REPLICATION_FACTOR' }),
  )
})

test('a load that is kept up counts as the lists do that it was made of', () => {
  const brokers = withoutRacks(5)
  const existing = [
    [0, 1],
    [1, 2],
  ]
  const others = [
    [3, 4],
    [3, 0],
  ]
  const all = new ReplicaLoad([...existing, [2, 2]])
  all.remove([2, 2])
  for (const replicas of others) all.add(replicas)
  const own = new ReplicaLoad(existing)
  const loads = { existing: own, others: all.without(own) }
  const added = { brokers, partitions: 7, replicationFactor: 2 }
  expect(placeReplicas({ ...added, ...loads })).toEqual(placeReplicas({ ...added, existing, others }))
  const leaving = { brokers, replicas: [0, 1], leaving: 1 }
  expect(replaceReplica({ ...leaving, ...loads })).toEqual(replaceReplica({ ...leaving, existing, others }))
  expect([3, 4].map((id) => loads.others.preferredLeadersOn(id))).toEqual([2, 0])
})
