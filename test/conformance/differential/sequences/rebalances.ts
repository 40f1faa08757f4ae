// What happens to members while a group is between two generations, and to those whose time is over.
import { offsetCommit } from '@varve/protocol'
import { alice, beat, describe, join, type Joining, leave, sync } from '../group-requests.js'
import { createTopic } from '../requests.js'
import { answerOf, call, memberId, members, type Step, subject } from '../sequence.js'

/** What a sequence waits for, and long enough for what comes before it on a busy machine. */
const OVER_MS = 1_000

/** A dynamic member that joins and waits for the others. */
const arrive = (group: string, as: string, options: Joining = {}): Step[] => [
  join(group, { ...options, as }),
  join(group, { ...options, as, member: memberId(as), later: true }),
]
const rejoin = (group: string, as: string, options: Joining = {}): Step =>
  join(group, { ...options, as, member: memberId(as) })
const follow = (group: string, as: string, generation: number): Step =>
  sync(group, { as, generation, later: true })

/** Alice, who leads, and Bob have joined generation 2; nobody has synced. */
const pairJoined = (group: string, options: Joining = {}): Step[] => [
  ...alice(group, options),
  ...arrive(group, 'bob', options),
  members(group, 2),
  rejoin(group, 'alice', options),
  answerOf('bob'),
]
const pair = (group: string, options: Joining = {}): Step[] => [
  ...pairJoined(group, options),
  follow(group, 'bob', 2),
  sync(group, { generation: 2, assigned: [memberId('alice'), memberId('bob')] }),
  answerOf('bob'),
]

const commit = (groupId: string, topic: string, member: string, generation: number): Step =>
  call(offsetCommit, 9, {
    groupId,
    generationIdOrMemberEpoch: generation,
    memberId: member,
    topics: [
      { name: topic, partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: null }] },
    ],
  })

export default subject(
  'rebalances',
  (sequence) => {
    sequence('join-before-sync', 'a member joins before the leader has shared out', ({ group }) => [
      join(group),
      rejoin(group, 'alice'),
      ...arrive(group, 'bob'),
      members(group, 2),
      describe(group),
      sync(group, { assigned: [memberId('alice')] }),
      beat(group, memberId('alice'), 1),
      rejoin(group, 'alice'),
      answerOf('bob'),
      follow(group, 'bob', 2),
      sync(group, { generation: 2, assigned: [memberId('alice'), memberId('bob')] }),
      answerOf('bob'),
      describe(group),
    ])
    sequence('join-while-syncing', 'a member joins while a follower waits for its share', ({ group }) => [
      ...pairJoined(group),
      follow(group, 'bob', 2),
      ...arrive(group, 'carol'),
      answerOf('bob'),
      members(group, 3),
      describe(group),
      sync(group, { generation: 2, assigned: [memberId('alice'), memberId('bob')] }),
      join(group, { member: memberId('alice'), later: true }),
      join(group, { as: 'bob', member: memberId('bob'), later: true }),
      answerOf('alice'),
      answerOf('bob'),
      answerOf('carol'),
      sync(group, { generation: 2 }),
      follow(group, 'bob', 3),
      follow(group, 'carol', 3),
      sync(group, { generation: 3, assigned: ['alice', 'bob', 'carol'].map((as) => memberId(as)) }),
      answerOf('bob'),
      answerOf('carol'),
      describe(group),
    ])
    sequence('two-joins', 'two members join at once', ({ group }) => [
      ...alice(group),
      join(group, { as: 'bob' }),
      join(group, { as: 'carol' }),
      join(group, { as: 'bob', member: memberId('bob'), later: true }),
      join(group, { as: 'carol', member: memberId('carol'), later: true }),
      members(group, 3),
      beat(group, memberId('bob'), 1),
      beat(group, memberId('carol'), 0),
      rejoin(group, 'alice'),
      answerOf('bob'),
      answerOf('carol'),
      describe(group),
      sync(group, { generation: 2, assigned: [memberId('carol')] }),
      sync(group, { as: 'bob', generation: 2 }),
      sync(group, { as: 'carol', generation: 2 }),
      describe(group),
    ])
    sequence('join-twice', 'a member joins again while it waits', ({ group }) => [
      ...alice(group),
      ...arrive(group, 'bob'),
      members(group, 2),
      // From another connection. Whether the first one is ever answered is not asked: Kafka forgets it.
      join(group, { as: 'bob-again', member: memberId('bob'), later: true }),
      beat(group, memberId('bob'), 1),
      rejoin(group, 'alice'),
      answerOf('bob-again'),
    ])
    sequence('follower-rejoins', 'a follower joins again, unchanged and changed', ({ group }) => [
      ...pair(group),
      rejoin(group, 'bob'),
      beat(group, memberId('alice'), 2),
      join(group, { as: 'bob', member: memberId('bob'), metadata: 'other', later: true }),
      join(group, { member: memberId('alice'), later: true }),
      answerOf('alice'),
      answerOf('bob'),
      describe(group),
    ])
    sequence('leave-while-syncing', 'the leader leaves while a follower waits for its share', ({ group }) => [
      ...pairJoined(group),
      follow(group, 'bob', 2),
      leave(group, { memberId: memberId('alice') }),
      answerOf('bob'),
      rejoin(group, 'bob'),
      sync(group, { as: 'bob', generation: 3, assigned: [memberId('bob')] }),
      describe(group),
    ])
    sequence('static-replaced', 'a static member comes back while another one is joining', ({ group }) => [
      join(group, { instance: 'one' }),
      sync(group, { member: memberId('one'), instance: 'one', assigned: [memberId('one')] }),
      ...arrive(group, 'bob'),
      members(group, 2),
      join(group, { as: 'carol', instance: 'one', later: true }),
      answerOf('carol'),
      answerOf('bob'),
      beat(group, memberId('one'), 1, 'one'),
      beat(group, memberId('one', 2), 2, 'one'),
      follow(group, 'bob', 2),
      sync(group, {
        as: 'carol',
        member: memberId('one', 2),
        instance: 'one',
        generation: 2,
        assigned: [memberId('bob'), memberId('one', 2)],
      }),
      answerOf('bob'),
      describe(group),
    ])
    sequence('static-fenced', 'a static member takes the place of one that is joining', ({ group }) => [
      ...alice(group),
      join(group, { as: 'bob', instance: 'one', later: true }),
      members(group, 2),
      join(group, { as: 'carol', instance: 'one', later: true }),
      answerOf('bob'),
      rejoin(group, 'alice'),
      answerOf('carol'),
      describe(group),
    ])
    sequence(
      'static-syncing',
      'a static member takes the place of one that waits for its share',
      ({ group }) => [
        ...alice(group),
        join(group, { as: 'bob', instance: 'one', later: true }),
        members(group, 2),
        rejoin(group, 'alice'),
        answerOf('bob'),
        sync(group, { as: 'bob', member: memberId('one'), instance: 'one', generation: 2, later: true }),
        beat(group, memberId('one'), 2, 'one'),
        join(group, { as: 'carol', instance: 'one', later: true }),
        answerOf('bob'),
        beat(group, memberId('alice'), 2),
        rejoin(group, 'alice'),
        answerOf('carol'),
        describe(group),
      ],
    )
    sequence('old-generation', 'what the old generation may still do', ({ topic, group }) => [
      createTopic(topic),
      ...alice(group),
      commit(group, topic, memberId('alice'), 1),
      ...arrive(group, 'bob'),
      members(group, 2),
      beat(group, memberId('alice'), 1),
      beat(group, memberId('alice'), 0),
      commit(group, topic, memberId('alice'), 1),
      commit(group, topic, memberId('alice'), 0),
      commit(group, topic, memberId('alice'), 2),
      commit(group, topic, memberId('bob'), 1),
      sync(group, { generation: 1 }),
      rejoin(group, 'alice'),
      answerOf('bob'),
      commit(group, topic, memberId('alice'), 1),
      commit(group, topic, memberId('alice'), 2),
      commit(group, topic, memberId('bob'), 2),
      beat(group, memberId('bob'), 1),
      beat(group, memberId('bob'), 2),
    ])
    sequence('session-over', 'a member whose session ends', ({ topic, group }) => [
      createTopic(topic),
      ...alice(group, { session: OVER_MS }),
      members(group, 0),
      describe(group),
      beat(group, memberId('alice'), 1),
      sync(group),
      commit(group, topic, memberId('alice'), 1),
      leave(group, { memberId: memberId('alice') }),
      rejoin(group, 'alice'),
      ...alice(group).slice(0, 1),
    ])
    sequence('session-over-static', 'a static member whose session ends', ({ group }) => [
      join(group, { instance: 'one', session: OVER_MS }),
      sync(group, { member: memberId('one'), instance: 'one', assigned: [memberId('one')] }),
      members(group, 0),
      beat(group, memberId('one'), 1, 'one'),
      join(group, { instance: 'one', member: memberId('one') }),
      join(group, { instance: 'one' }),
      describe(group),
    ])
    sequence('session-over-in-rebalance', 'a member that neither joins nor is heard of', ({ group }) => [
      ...alice(group, { session: OVER_MS }),
      ...arrive(group, 'bob'),
      answerOf('bob'),
      beat(group, memberId('alice'), 1),
      sync(group, { as: 'bob', generation: 2, assigned: [memberId('bob')] }),
      describe(group),
    ])
    sequence('rebalance-over', 'a member that does not join in time', ({ group }) => [
      ...alice(group, { rebalance: OVER_MS }),
      ...arrive(group, 'bob', { rebalance: OVER_MS }),
      answerOf('bob'),
      beat(group, memberId('alice'), 1),
      rejoin(group, 'alice'),
      describe(group),
    ])
    sequence('sync-over', 'a leader that does not share out in time', ({ group }) => [
      ...pairJoined(group, { rebalance: OVER_MS }),
      follow(group, 'bob', 2),
      answerOf('bob'),
      beat(group, memberId('alice'), 2),
      rejoin(group, 'bob', { rebalance: OVER_MS }),
      describe(group),
    ])
    sequence('full', 'a group that may have no more members', ({ group }) => [
      ...pair(group),
      join(group, { as: 'carol', instance: 'one', later: true }),
      members(group, 3),
      join(group, { member: memberId('alice'), later: true }),
      join(group, { as: 'bob', member: memberId('bob'), later: true }),
      answerOf('alice'),
      answerOf('bob'),
      answerOf('carol'),
      sync(group, { generation: 3, assigned: [memberId('alice'), memberId('bob'), memberId('one')] }),
      join(group, { as: 'dave' }),
      join(group, { as: 'dave', instance: 'two' }),
      join(group, { as: 'dave', member: 'made-up' }),
      join(group, { as: 'carol', instance: 'one', member: memberId('one') }),
      describe(group),
      join(group, { as: 'erin', instance: 'one' }),
      describe(group),
    ])
  },
  // Sessions that end while a test waits for it, and groups that are full with three.
  { 'group.min.session.timeout.ms': '100', 'group.max.size': '3' },
)
