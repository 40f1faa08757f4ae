// A move costs a copy of all records of a partition, so that one too many is hours; and a plan that puts two replicas on one
// broker, or on one rack where another was free, loses what replication is for.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  drainReplicas,
  PlacementError,
  rebalanceReplicas,
  type PartitionReplicas,
  type PlacementBroker,
} from '../src/index.js'

const onRacks = (...racks: Array<string | null>): PlacementBroker[] => racks.map((rack, id) => ({ id, rack }))
const topic = (name: string, ...lists: number[][]): PartitionReplicas[] =>
  lists.map((replicas, partition) => ({ topic: name, partition, replicas }))

/** What there is once the plan is done. */
function after(
  partitions: readonly PartitionReplicas[],
  plan: readonly PartitionReplicas[],
): PartitionReplicas[] {
  const changed = new Map(plan.map((one) => [`${one.topic}-${one.partition}`, one]))
  expect(changed.size).toBe(plan.length)
  return partitions.map((one) => changed.get(`${one.topic}-${one.partition}`) ?? one)
}

const counts = (brokers: readonly PlacementBroker[], partitions: readonly PartitionReplicas[]): number[] =>
  brokers.map(({ id }) => partitions.filter(({ replicas }) => replicas.includes(id)).length)
const leaders = (brokers: readonly PlacementBroker[], partitions: readonly PartitionReplicas[]): number[] =>
  brokers.map(({ id }) => partitions.filter(({ replicas }) => replicas[0] === id).length)
const spread = (numbers: readonly number[]): number => Math.max(...numbers) - Math.min(...numbers)
const squares = (numbers: readonly number[]): number => numbers.reduce((sum, n) => sum + n * n, 0)

/** How many replicas have to be copied. */
function copies(before: readonly PartitionReplicas[], later: readonly PartitionReplicas[]): number {
  return later.reduce(
    (sum, { replicas }, index) => sum + replicas.filter((id) => !before[index]!.replicas.includes(id)).length,
    0,
  )
}

/** How many replicas of a partition each of its racks has, the most first. */
function racksOf(brokers: readonly PlacementBroker[], replicas: readonly number[]): number[] {
  const byRack = new Map<string | null, number>()
  for (const { id, rack } of brokers) if (replicas.includes(id)) byRack.set(rack, (byRack.get(rack) ?? 0) + 1)
  return [...byRack.values()].sort((a, b) => b - a)
}

/** The most even there is: one more to each rack that has a free broker, until all are given. */
function bestRacks(brokers: readonly PlacementBroker[], factor: number): number[] {
  const sizes = racksOf(
    brokers,
    brokers.map(({ id }) => id),
  )
  const best = sizes.map(() => 0)
  for (let left = factor; left > 0;) {
    for (const [rack, size] of sizes.entries()) {
      if (left === 0 || size === best[rack]) continue
      best[rack]!++
      left--
    }
  }
  return best.filter((count) => count > 0).sort((a, b) => b - a)
}

/** Brokers on racks, and topics that lie on them in any way, of different replication factors. */
const clusters = (racks: fc.Arbitrary<string | null>, minBrokers = 2) =>
  fc
    .record({
      brokers: fc.array(racks, { minLength: minBrokers, maxLength: 7 }),
      topics: fc.array(fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 8 }), { maxLength: 4 }),
      factors: fc.array(fc.nat(), { minLength: 4, maxLength: 4 }),
    })
    .map(({ brokers: all, topics, factors }) => {
      const brokers = onRacks(...all)
      const partitions = topics.flatMap((lists, index) => {
        const factor = 1 + (factors[index]! % brokers.length)
        return topic(`t${index}`, ...lists.map((draws) => drawn(brokers, factor, draws)))
      })
      return { brokers, partitions }
    })

/** Some brokers of all, chosen by two numbers. */
function drawn(
  brokers: readonly PlacementBroker[],
  factor: number,
  [first, step]: [number, number],
): number[] {
  const left = brokers.map(({ id }) => id)
  return Array.from(
    { length: factor },
    (_, index) => left.splice((first + index * step) % left.length, 1)[0]!,
  )
}

const anyRack = fc.constantFrom('a', 'b', 'c', null)

test('whatever lies how, each partition keeps as many replicas as it had, on different brokers of those given', () => {
  fc.assert(
    fc.property(clusters(anyRack), fc.nat(), ({ brokers, partitions }, draw) => {
      const leaving = draw % brokers.length
      const plans = [rebalanceReplicas({ brokers, partitions })]
      if (partitions.every(({ replicas }) => replicas.length < brokers.length))
        plans.push(drainReplicas({ brokers, partitions, leaving }))
      for (const plan of plans) {
        after(partitions, plan).forEach(({ replicas }, index) => {
          expect(new Set(replicas).size).toBe(partitions[index]!.replicas.length)
          expect(replicas.every((id) => brokers[id] !== undefined)).toBe(true)
        })
      }
    }),
  )
})

test('a rebalance leaves replicas within one of each other, with as few copies as that takes', () => {
  fc.assert(
    fc.property(clusters(fc.constant(null)), ({ brokers, partitions }) => {
      const later = after(partitions, rebalanceReplicas({ brokers, partitions }))
      const before = counts(brokers, partitions)
      expect(spread(counts(brokers, later))).toBeLessThanOrEqual(1)
      const share = Math.floor(before.reduce((sum, count) => sum + count, 0) / brokers.length)
      const over = before.reduce((sum, count) => sum + Math.max(0, count - share - 1), 0)
      const under = before.reduce((sum, count) => sum + Math.max(0, share - count), 0)
      expect(copies(partitions, later)).toBe(Math.max(over, under))
    }),
    { numRuns: 300 },
  )
})

test('leaders are within one of each other too, where all partitions have as many replicas', () => {
  const even = fc.record({
    brokers: fc.integer({ min: 1, max: 7 }),
    factor: fc.nat(),
    draws: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 30 }),
  })
  fc.assert(
    fc.property(even, ({ brokers: count, factor, draws }) => {
      const brokers = onRacks(...Array.from({ length: count }, () => null))
      const partitions = topic('t', ...draws.map((draw) => drawn(brokers, 1 + (factor % count), draw)))
      const later = after(partitions, rebalanceReplicas({ brokers, partitions }))
      expect(spread(leaders(brokers, later))).toBeLessThanOrEqual(1)
    }),
  )
})

test('a rebalance puts each partition on as many racks as there are, evenly as far as their brokers go', () => {
  fc.assert(
    fc.property(clusters(anyRack), ({ brokers, partitions }) => {
      for (const { replicas } of after(partitions, rebalanceReplicas({ brokers, partitions })))
        expect(racksOf(brokers, replicas)).toEqual(bestRacks(brokers, replicas.length))
    }),
  )
})

test('what is balanced stays as it is', () => {
  fc.assert(
    fc.property(clusters(anyRack), ({ brokers, partitions }) => {
      const balanced = after(partitions, rebalanceReplicas({ brokers, partitions }))
      expect(rebalanceReplicas({ brokers, partitions: balanced })).toEqual([])
    }),
  )
})

test('racks of one size do not stand against an even spread', () => {
  const size = fc.record({ racks: fc.integer({ min: 1, max: 3 }), perRack: fc.integer({ min: 1, max: 3 }) })
  const draws = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 20 })
  fc.assert(
    fc.property(size, fc.nat(), draws, ({ racks, perRack }, factor, all) => {
      const brokers = onRacks(...Array.from({ length: racks * perRack }, (_, id) => `r${id % racks}`))
      const partitions = topic('t', ...all.map((draw) => drawn(brokers, 1 + (factor % brokers.length), draw)))
      const later = after(partitions, rebalanceReplicas({ brokers, partitions }))
      expect(spread(counts(brokers, later))).toBeLessThanOrEqual(1)
    }),
  )
})

test('a new broker gets its share of each topic', () => {
  const brokers = onRacks(null, null, null, null)
  const lists = [
    [0, 1, 2],
    [1, 2, 0],
    [2, 0, 1],
    [0, 2, 1],
  ]
  const partitions = ['a', 'b', 'c'].flatMap((name) => topic(name, ...lists))
  const later = after(partitions, rebalanceReplicas({ brokers, partitions }))
  expect(counts(brokers, later)).toEqual([9, 9, 9, 9])
  expect(leaders(brokers, later)).toEqual([3, 3, 3, 3])
  expect(copies(partitions, later)).toBe(9)
  for (const name of ['a', 'b', 'c'])
    expect(later.filter((one) => one.topic === name && one.replicas.includes(3))).toHaveLength(3)
})

test('a rebalance lets be what is on brokers that are not there', () => {
  const brokers = onRacks(null, null)
  const partitions = topic('t', [7, 0], [7, 0], [0, 7], [0], [0])
  const later = after(partitions, rebalanceReplicas({ brokers, partitions }))
  expect(later.map(({ replicas }) => replicas.includes(7))).toEqual([true, true, true, false, false])
  expect(spread(counts(brokers, later))).toBeLessThanOrEqual(1)
})

test('a drain moves the replicas of one broker, each in its place, and nothing else', () => {
  fc.assert(
    fc.property(
      clusters(anyRack, 3),
      fc.nat(),
      fc.boolean(),
      ({ brokers, partitions: all }, draw, isGone) => {
        const leaving = draw % brokers.length
        const partitions = all.filter(({ replicas }) => replicas.length < brokers.length)
        const rest = brokers.filter(({ id }) => id !== leaving)
        const plan = drainReplicas({ brokers: isGone ? rest : brokers, partitions, leaving })
        expect(plan).toHaveLength(partitions.filter(({ replicas }) => replicas.includes(leaving)).length)
        after(partitions, plan).forEach(({ replicas }, index) => {
          const before = partitions[index]!.replicas
          expect(replicas).not.toContain(leaving)
          const kept = before.filter((id) => id !== leaving)
          expect(replicas).toEqual(expect.arrayContaining(kept))
          // The order changes only where the leader has to.
          if (before[0] !== leaving) expect(replicas.filter((id) => kept.includes(id))).toEqual(kept)
        })
      },
    ),
  )
})

test('what a drain moves goes to a rack that the partition has least of', () => {
  fc.assert(
    fc.property(clusters(anyRack, 3), fc.nat(), ({ brokers, partitions: all }, draw) => {
      const leaving = draw % brokers.length
      const rest = brokers.filter(({ id }) => id !== leaving)
      const partitions = all.filter(({ replicas }) => replicas.length <= rest.length)
      after(partitions, drainReplicas({ brokers, partitions, leaving })).forEach(({ replicas }, index) => {
        const before = partitions[index]!.replicas
        const to = replicas.find((id) => !before.includes(id))
        if (to === undefined) return
        const kept = before.filter((id) => id !== leaving)
        const onRackOf = (id: number): number =>
          kept.filter((other) => brokers[other]!.rack === brokers[id]!.rack).length
        const free = rest.filter(({ id }) => !kept.includes(id)).map(({ id }) => onRackOf(id))
        expect(onRackOf(to)).toBe(Math.min(...free))
      })
    }),
  )
})

test('no drain leaves a more even spread: small ones are compared with all there are', () => {
  const small = fc.record({
    draws: fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 1, maxLength: 5 }),
    brokers: fc.integer({ min: 3, max: 5 }),
  })
  fc.assert(
    fc.property(small, ({ draws, brokers: count }) => {
      const brokers = onRacks(...Array.from({ length: count }, () => null))
      const partitions = topic(
        't',
        ...draws.map(([first, step, isPair]) => drawn(brokers, isPair ? 2 : 1, [first, step])),
      )
      const rest = brokers.slice(1)
      let all: number[][][] = [[]]
      for (const { replicas } of partitions) {
        const choices = replicas.includes(0)
          ? rest
              .filter(({ id }) => !replicas.includes(id))
              .map(({ id }) => replicas.map((replica) => (replica === 0 ? id : replica)))
          : [[...replicas]]
        all = all.flatMap((before) => choices.map((choice) => [...before, choice]))
      }
      const least = Math.min(...all.map((lists) => squares(counts(rest, topic('t', ...lists)))))
      const later = after(partitions, drainReplicas({ brokers, partitions, leaving: 0 }))
      expect(squares(counts(rest, later))).toBe(least)
    }),
  )
})

test('the leaders that a drained broker had are shared out', () => {
  const brokers = onRacks(null, null, null, null)
  const partitions = topic('t', [0, 1], [0, 1], [0, 1], [0, 1], [0, 1], [0, 1])
  const later = after(partitions, drainReplicas({ brokers, partitions, leaving: 0 }))
  expect(leaders(brokers, later)).toEqual([0, 2, 2, 2])
  expect(counts(brokers, later)).toEqual([0, 6, 3, 3])
})

test('a partition that is everywhere cannot be drained, and the error names it', () => {
  const drain = (): unknown =>
    drainReplicas({ brokers: onRacks(null, null), partitions: topic('t', [1, 0]), leaving: 1 })
  expect(drain).toThrow(PlacementError)
  expect(drain).toThrow(/broker 1 out of t-0.*1, 0/)
})

test('a thousand partitions on thirty brokers are planned in no time', () => {
  const brokers = onRacks(...Array.from({ length: 30 }, (_, id) => `r${id % 3}`))
  const partitions = topic(
    't',
    ...Array.from({ length: 1000 }, (_, index) => [0, 1, 2].map((rack) => ((index * 3) % 15) + rack)),
  )
  const later = after(partitions, rebalanceReplicas({ brokers, partitions }))
  expect(counts(brokers, later)).toEqual(brokers.map(() => 100))
  expect(spread(leaders(brokers, later))).toBeLessThanOrEqual(1)
  expect(copies(partitions, later)).toBe(1500)
})
