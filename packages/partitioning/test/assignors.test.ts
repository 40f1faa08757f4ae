// Two members with the same partition read every record twice, a partition without a member is read by nobody, and a
// sticky assignor that moves what could stay makes every rebalance a pause. Whatever the members subscribe to, none of
// this may happen.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  cooperativeStickyAssignor,
  rangeAssignor,
  roundRobinAssignor,
  stickyAssignor,
  type AssignorMember,
  type GroupAssignment,
  type GroupAssignor,
  type PartitionCounts,
} from '../src/index.js'

const member = (memberId: string, topics: string[], more: Partial<AssignorMember> = {}): AssignorMember => ({
  memberId,
  groupInstanceId: null,
  topics,
  owned: [],
  generation: -1,
  ...more,
})
const shown = (assignment: GroupAssignment): Record<string, string> =>
  Object.fromEntries(
    [...assignment].map(([memberId, partitions]) => [
      memberId,
      partitions.map(({ topic, partition }) => `${topic}${partition}`).join(' '),
    ]),
  )
const counts = (topics: Record<string, number>): PartitionCounts => new Map(Object.entries(topics))

test('range: neighbours, and the first have one more', () => {
  const members = [member('b', ['t', 'u']), member('a', ['t', 'u'])]
  expect(shown(rangeAssignor.assign(members, counts({ t: 3, u: 2 })))).toEqual({ a: 't0 t1 u0', b: 't2 u1' })
})

test('range: static members come first, by their instance ids', () => {
  const members = [
    member('a', ['t']),
    member('z', ['t'], { groupInstanceId: 'i2' }),
    member('y', ['t'], { groupInstanceId: 'i3' }),
  ]
  expect(shown(rangeAssignor.assign(members, counts({ t: 4 })))).toEqual({ z: 't0 t1', y: 't2', a: 't3' })
})

test('round robin: one after the other over all topics, past those who do not subscribe', () => {
  const members = [member('a', ['t', 'u']), member('b', ['u']), member('c', ['t', 'u'])]
  expect(shown(roundRobinAssignor.assign(members, counts({ t: 3, u: 3 })))).toEqual({
    a: 't0 t2 u2',
    b: 'u0',
    c: 't1 u1',
  })
})

test('sticky: a new member gets what makes it even, and nothing else moves', () => {
  const first = stickyAssignor.assign([member('a', ['t']), member('b', ['t'])], counts({ t: 6 }))
  const members = ['a', 'b', 'c'].map((memberId) =>
    member(memberId, ['t'], { owned: first.get(memberId) ?? [], generation: 1 }),
  )
  const second = stickyAssignor.assign(members, counts({ t: 6 }))
  for (const memberId of ['a', 'b']) {
    expect(second.get(memberId)).toHaveLength(2)
    expect(first.get(memberId)).toEqual(expect.arrayContaining(second.get(memberId)!))
  }
  expect(second.get('c')).toHaveLength(2)
})

test('sticky: the claim of a later generation counts', () => {
  const claim = [{ topic: 't', partition: 0 }]
  const members = [
    member('a', ['t'], { owned: claim, generation: 1 }),
    member('b', ['t'], { owned: claim, generation: 2 }),
  ]
  expect(shown(stickyAssignor.assign(members, counts({ t: 1 })))).toEqual({ a: '', b: 't0' })
})

test('cooperative: what changes hands is nobody’s until it has been given up', () => {
  const owned = [0, 1].map((partition) => ({ topic: 't', partition }))
  const members = [member('a', ['t'], { owned, generation: 1 }), member('b', ['t'])]
  const first = cooperativeStickyAssignor.assign(members, counts({ t: 2 }))
  expect([...first.values()].map(({ length }) => length)).toEqual([1, 0])
  const next = [
    member('a', ['t'], { owned: first.get('a')!, generation: 2 }),
    member('b', ['t'], { generation: 2 }),
  ]
  const second = cooperativeStickyAssignor.assign(next, counts({ t: 2 }))
  expect([...second.values()].map(({ length }) => length)).toEqual([1, 1])
  expect(second.get('a')).toEqual(first.get('a'))
})

const topicNames = ['t', 'u', 'v', 'none']
const groups = fc.record({
  partitions: fc.record({ t: fc.nat(12), u: fc.nat(12), v: fc.nat(12) }),
  members: fc.uniqueArray(
    fc.record({
      memberId: fc.stringMatching(/^[a-z]{1,3}$/),
      isStatic: fc.boolean(),
      topics: fc.subarray(topicNames),
      generation: fc.integer({ min: -1, max: 3 }),
      owned: fc.array(fc.record({ topic: fc.constantFrom('t', 'u', 'v'), partition: fc.nat(14) }), {
        maxLength: 12,
      }),
    }),
    { minLength: 1, maxLength: 8, selector: ({ memberId }) => memberId },
  ),
})
type Group = typeof groups extends fc.Arbitrary<infer G> ? G : never
const membersOf = ({ members }: Group): AssignorMember[] =>
  members.map(({ isStatic, ...rest }) => ({
    ...rest,
    groupInstanceId: isStatic ? `i-${rest.memberId}` : null,
  }))

/** Every partition that somebody subscribes to, with how often it was given to somebody who does. */
function owners(
  members: AssignorMember[],
  partitions: PartitionCounts,
  assignment: GroupAssignment,
): number[] {
  const times = new Map<string, number>()
  for (const topic of new Set(members.flatMap(({ topics }) => topics))) {
    for (let partition = 0; partition < (partitions.get(topic) ?? 0); partition++)
      times.set(`${topic}-${partition}`, 0)
  }
  for (const { memberId, topics } of members) {
    for (const { topic, partition } of assignment.get(memberId)!) {
      expect(topics).toContain(topic)
      times.set(`${topic}-${partition}`, times.get(`${topic}-${partition}`)! + 1)
    }
  }
  return [...times.values()]
}

const eager: GroupAssignor[] = [rangeAssignor, roundRobinAssignor, stickyAssignor]

test.each(eager.map((assignor) => [assignor.name, assignor] as const))(
  '%s: every partition has exactly one member, which subscribes to it',
  (_, assignor) => {
    fc.assert(
      fc.property(groups, (group) => {
        const members = membersOf(group)
        const partitions = counts(group.partitions)
        const times = owners(members, partitions, assignor.assign(members, partitions))
        expect(times.every((each) => each === 1)).toBe(true)
      }),
    )
  },
)

test('sticky: nobody has two more than another who could take one', () => {
  fc.assert(
    fc.property(groups, (group) => {
      const members = membersOf(group)
      const assignment = stickyAssignor.assign(members, counts(group.partitions))
      for (const { memberId } of members) {
        const held = assignment.get(memberId)!
        for (const other of members) {
          const couldTake = held.some(({ topic }) => other.topics.includes(topic))
          if (couldTake) expect(held.length - assignment.get(other.memberId)!.length).toBeLessThanOrEqual(1)
        }
      }
    }),
  )
})

test('sticky: what is balanced stays as it is', () => {
  fc.assert(
    fc.property(groups, (group) => {
      const members = membersOf(group)
      const partitions = counts(group.partitions)
      const first = stickyAssignor.assign(members, partitions)
      const again = members.map((each) => ({ ...each, owned: first.get(each.memberId)!, generation: 9 }))
      const second = stickyAssignor.assign(again, partitions)
      for (const { memberId } of members) {
        const names = (assignment: GroupAssignment) =>
          assignment
            .get(memberId)!
            .map(({ topic, partition }) => `${topic}-${partition}`)
            .sort()
        expect(names(second)).toEqual(names(first))
      }
    }),
  )
})

test('cooperative: no partition has two readers at any time, and all have one after few rebalances', () => {
  fc.assert(
    fc.property(groups, (group) => {
      const partitions = counts(group.partitions)
      const before = stickyAssignor.assign(membersOf(group).slice(1), partitions)
      let members = membersOf(group).map((each) => ({
        ...each,
        owned: before.get(each.memberId) ?? [],
        generation: 4,
      }))
      // Two, mostly; where members read different topics, what was given up may make others give up something.
      for (const round of [1, 2, 3, 4, 5]) {
        const assignment = cooperativeStickyAssignor.assign(members, partitions)
        const held = members.flatMap(({ memberId, owned }) => {
          const kept = owned.map(({ topic, partition }) => `${topic}-${partition}`)
          const given = assignment.get(memberId)!.map(({ topic, partition }) => `${topic}-${partition}`)
          // A member may go on with what it had until it hears of its new share.
          return [...new Set([...kept, ...given])]
        })
        expect(new Set(held).size).toBe(held.length)
        const times = owners(members, partitions, assignment)
        if (round === 5) expect(times.every((each) => each === 1)).toBe(true)
        members = members.map((each) => ({
          ...each,
          owned: assignment.get(each.memberId)!,
          generation: each.generation + 1,
        }))
      }
    }),
  )
})
