import { deleteGroups, describeGroups, findCoordinator, leaveGroup, listGroups } from '@varve/protocol'
import { alice, beat, describe, join, leave, sync } from '../group-requests.js'
import { answerOf, call, memberId, members, subject } from '../sequence.js'

export default subject('groups', (sequence) => {
  for (let version = 0; version <= 9; version++) {
    sequence(`join-v${version}`, `one member in version ${version}`, ({ group }) => [
      ...(version >= 4 ? [join(group, { version })] : []),
      join(group, { version, ...(version >= 4 && { member: memberId('alice') }) }),
      sync(group, { assigned: [memberId('alice')], version: Math.min(version, 5) }),
      beat(group, memberId('alice'), 1, undefined, Math.min(version, 4)),
      describe(group, Math.min(version, 6)),
    ])
  }
  sequence('join-empty-group', 'a group without a name', () => [
    join(''),
    sync('', { member: 'm' }),
    beat('', 'm', 1),
    leave('', { memberId: 'm' }),
    describe(''),
  ])
  sequence('join-unknown-member', 'a member id that was not given out', ({ group }) => [
    join(group, { member: 'made-up' }),
    ...alice(group),
    join(group, { as: 'bob', member: 'made-up' }),
    describe(group),
  ])
  sequence('join-session', 'session timeouts too short and too long', ({ group }) => [
    join(group, { session: 5999 }),
    join(group, { session: 1_800_001 }),
    join(group, { session: 0 }),
    join(group, { session: -1 }),
    join(group, { session: 6000 }),
    join(group, { session: 1_800_000 }),
  ])
  sequence('join-no-protocols', 'no protocols, and no protocol type', ({ group }) => [
    join(group, { protocols: [], version: 3 }),
    join(group, { type: '', version: 3 }),
    join(group, { type: '', protocols: [], version: 3 }),
    join(group, { protocols: [] }),
  ])
  sequence('join-other-type', 'a protocol type that is not the group’s', ({ group }) => [
    ...alice(group),
    join(group, { as: 'bob', type: 'connect' }),
    join(group, { as: 'bob', type: '' }),
    join(group, { as: 'bob', protocols: ['other'] }),
    join(group, { as: 'bob', protocols: ['other', 'range'] }),
  ])
  sequence('rebalance', 'a second member comes and goes', ({ group }) => [
    ...alice(group),
    join(group, { as: 'bob' }),
    join(group, { as: 'bob', member: memberId('bob'), later: true, metadata: 'of bob' }),
    members(group, 2),
    beat(group, memberId('alice'), 1),
    describe(group),
    join(group, { member: memberId('alice') }),
    answerOf('bob'),
    beat(group, memberId('alice'), 2),
    sync(group, { as: 'bob', generation: 2, later: true }),
    sync(group, { generation: 2, assigned: [memberId('alice'), memberId('bob')] }),
    answerOf('bob'),
    describe(group),
    beat(group, memberId('bob'), 1),
    beat(group, memberId('bob'), 3),
    leave(group, { memberId: memberId('bob') }),
    beat(group, memberId('alice'), 2),
    beat(group, memberId('bob'), 2),
    join(group, { member: memberId('alice') }),
  ])
  sequence('rebalance-protocols', 'members vote for a protocol that all understand', ({ group }) => [
    ...alice(group, { protocols: ['range', 'roundrobin'] }),
    join(group, { as: 'bob', protocols: ['sticky', 'roundrobin'] }),
    join(group, { as: 'bob', member: memberId('bob'), protocols: ['sticky', 'roundrobin'], later: true }),
    members(group, 2),
    join(group, { member: memberId('alice'), protocols: ['range', 'roundrobin'] }),
    answerOf('bob'),
    sync(group, { generation: 2, protocol: 'range' }),
    sync(group, { generation: 2, protocol: 'roundrobin', assigned: [memberId('alice')] }),
  ])
  sequence('leader-leaves', 'the leader leaves while others wait', ({ group }) => [
    ...alice(group),
    join(group, { as: 'bob' }),
    join(group, { as: 'bob', member: memberId('bob'), later: true }),
    members(group, 2),
    leave(group, { memberId: memberId('alice') }),
    answerOf('bob'),
    sync(group, { as: 'bob', generation: 2, assigned: [memberId('bob')] }),
    describe(group),
  ])
  sequence('rejoin', 'the leader and a follower join again, changed and not', ({ group }) => [
    ...alice(group),
    join(group, { member: memberId('alice') }),
    sync(group, { generation: 2, assigned: [memberId('alice')] }),
    join(group, { member: memberId('alice'), protocols: ['sticky'] }),
    sync(group, { generation: 3, protocol: 'sticky', assigned: [memberId('alice')] }),
    sync(group, { generation: 3, protocol: 'sticky' }),
    describe(group),
  ])
  sequence('pending', 'a member that was given an id and has not come back', ({ group }) => [
    join(group),
    describe(group),
    beat(group, memberId('alice'), 0),
    beat(group, memberId('alice'), -1),
    sync(group, { generation: 0 }),
    leave(group, { memberId: memberId('alice') }),
    join(group, { member: memberId('alice') }),
    describe(group),
  ])
  sequence('sync-wrong', 'wrong members, generations, protocols', ({ group }) => [
    sync(group, { member: 'made-up' }),
    join(group),
    join(group, { member: memberId('alice') }),
    sync(group, { member: 'made-up' }),
    sync(group, { generation: 7 }),
    sync(group, { generation: -1 }),
    sync(group, { protocol: 'other' }),
    sync(group, { type: 'other' }),
    sync(group, { assigned: ['made-up', memberId('alice')] }),
    sync(group),
    sync(group, { member: '' }),
  ])
  sequence('heartbeat-wrong', 'wrong groups, members, generations', ({ group }) => [
    beat(group, 'made-up', 1),
    ...alice(group),
    beat(group, 'made-up', 1),
    beat(group, '', 1),
    beat(group, memberId('alice'), 0),
    beat(group, memberId('alice'), 2),
    beat(group, memberId('alice'), -1),
    beat(group, memberId('alice'), 1, 'instance'),
    beat(group, memberId('alice'), 1),
  ])
  sequence('leave-wrong', 'members that are none', ({ group }) => [
    leave(group, { memberId: 'made-up' }),
    ...alice(group),
    leave(group, { memberId: 'made-up' }, { memberId: '' }),
    leave(group),
    leave(group, { memberId: memberId('alice'), groupInstanceId: 'instance' }),
    leave(group, { memberId: memberId('alice') }, { memberId: memberId('alice') }),
    describe(group),
  ])
  for (const version of [0, 1, 2]) {
    sequence(`leave-v${version}`, `leaving in version ${version}`, ({ group }) => [
      call(leaveGroup, version, { groupId: group, memberId: 'made-up', members: [] }),
      ...alice(group),
      call(leaveGroup, version, { groupId: group, memberId: 'made-up', members: [] }),
      call(leaveGroup, version, { groupId: group, memberId: memberId('alice'), members: [] }),
    ])
  }
  for (const version of [3, 4]) {
    sequence(`leave-v${version}`, `leaving in version ${version}`, ({ group }) => [
      ...alice(group),
      call(leaveGroup, version, {
        groupId: group,
        members: [{ memberId: memberId('alice') }, { memberId: 'made-up' }],
      }),
    ])
  }
  sequence('static', 'a static member that comes back and fences itself', ({ group }) => [
    join(group, { instance: 'one' }),
    sync(group, { member: memberId('one'), instance: 'one', assigned: [memberId('one')] }),
    describe(group),
    join(group, { as: 'bob', instance: 'one' }),
    beat(group, memberId('one'), 1, 'one'),
    sync(group, { member: memberId('one'), instance: 'one', generation: 1 }),
    join(group, { member: memberId('one'), instance: 'one' }),
    leave(group, { memberId: memberId('one'), groupInstanceId: 'one' }),
    beat(group, memberId('one', 2), 1, 'one'),
    beat(group, memberId('one', 2), 1, 'two'),
    beat(group, memberId('one', 2), 1),
    leave(group, { memberId: '', groupInstanceId: 'one' }, { memberId: '', groupInstanceId: 'two' }),
    describe(group),
  ])
  sequence('static-changed', 'a static member that comes back with other protocols', ({ group }) => [
    join(group, { instance: 'one' }),
    sync(group, { member: memberId('one'), instance: 'one', assigned: [memberId('one')] }),
    join(group, { instance: 'one', protocols: ['sticky'] }),
    describe(group),
  ])
  sequence('static-unknown', 'an unknown member id with an instance id', ({ group }) => [
    join(group, { instance: 'one', member: 'made-up' }),
    join(group, { instance: 'one', version: 5 }),
    join(group, { instance: 'two', member: memberId('one'), version: 5 }),
    join(group, { instance: 'one', member: 'made-up', version: 5 }),
  ])
  sequence('delete', 'groups deleted in use, empty, unknown and twice', ({ group }) => [
    call(deleteGroups, 3, { groupsNames: [group] }),
    ...alice(group),
    call(deleteGroups, 3, { groupsNames: [group, ''] }),
    leave(group, { memberId: memberId('alice') }),
    describe(group),
    call(deleteGroups, 2, { groupsNames: [group] }),
    call(deleteGroups, 1, { groupsNames: [group] }),
    describe(group),
    call(deleteGroups, 0, { groupsNames: [] }),
  ])
  for (let version = 0; version <= 6; version++) {
    sequence(
      `describe-unknown-v${version}`,
      `groups that there are not, in version ${version}`,
      ({ group }) => [
        describe(group, version),
        call(describeGroups, version, { groups: [] }),
        ...(version >= 3
          ? [call(describeGroups, version, { groups: [group], includeAuthorizedOperations: true })]
          : []),
      ],
    )
  }
  sequence('list', 'groups by state and type', ({ group }) => [
    ...alice(group),
    ...[0, 1, 2, 3, 4, 5].map((version) => call(listGroups, version, {})),
    ...[['Stable'], ['stable'], ['Empty'], ['made up'], ['Empty', 'Stable']].map((statesFilter) =>
      call(listGroups, 5, { statesFilter }),
    ),
    ...[['classic'], ['Classic'], ['consumer'], ['made up']].map((typesFilter) =>
      call(listGroups, 5, { typesFilter }),
    ),
    leave(group, { memberId: memberId('alice') }),
    call(listGroups, 5, {}),
  ])
  sequence('coordinator', 'coordinators in every version', ({ group }) => [
    ...[0, 1, 2, 3].map((version) => call(findCoordinator, version, { key: group })),
    ...[4, 5, 6].map((version) => call(findCoordinator, version, { coordinatorKeys: [group, ''] })),
  ])
  sequence('coordinator-wrong', 'keys and types that there are not', ({ group }) => [
    call(findCoordinator, 3, { key: '' }),
    call(findCoordinator, 3, { key: group, keyType: 7 }),
    call(findCoordinator, 3, { key: group, keyType: -1 }),
    call(findCoordinator, 3, { key: '', keyType: 1 }),
    call(findCoordinator, 6, { coordinatorKeys: [] }),
    call(findCoordinator, 4, { coordinatorKeys: [group], keyType: 7 }),
  ])
  sequence('coordinator-of-transactions', 'the coordinator of a transactional id', ({ group }) => [
    call(findCoordinator, 3, { key: group, keyType: 1 }),
    call(findCoordinator, 6, { coordinatorKeys: [group], keyType: 1 }),
  ])
  sequence('coordinator-of-share-groups', 'the coordinator of a share group’s partition', ({ group }) => [
    call(findCoordinator, 6, { coordinatorKeys: [group], keyType: 2 }),
  ])
})
