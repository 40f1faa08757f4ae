// A client that is sent from one coordinator to another has only error codes to go by: one request that is answered as if
// the group did not exist, where it only is not here, and its offsets are believed to be gone.
import { errors } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { expect, test } from 'vitest'
import type { ClusterView } from '../../src/cluster-view.js'
import { handleOffsetCommit } from '../../src/handlers/08-offset-commit.js'
import { handleOffsetFetch } from '../../src/handlers/09-offset-fetch.js'
import { handleFindCoordinator } from '../../src/handlers/10-find-coordinator.js'
import { handleJoinGroup } from '../../src/handlers/11-join-group.js'
import { handleHeartbeat } from '../../src/handlers/12-heartbeat.js'
import { handleLeaveGroup } from '../../src/handlers/13-leave-group.js'
import { handleSyncGroup } from '../../src/handlers/14-sync-group.js'
import { handleDescribeGroups } from '../../src/handlers/15-describe-groups.js'
import { handleListGroups } from '../../src/handlers/16-list-groups.js'
import { handleDeleteGroups } from '../../src/handlers/42-delete-groups.js'
import { handleOffsetDelete } from '../../src/handlers/47-offset-delete.js'
import type { RequestContext } from '../../src/request-context.js'
import { settled, topicId } from '../support/group-shard-harness.js'
import { type ClusterMember, holdReading, type OffsetsCluster, started } from '../support/offsets-cluster.js'

const topic = { name: 't', id: topicId, partitions: [{}] }

/** All error codes that a response has anywhere, by name. */
function errorsIn(response: unknown): Set<string> {
  const found = new Set<string>()
  JSON.stringify(response, (key, value: unknown) => {
    if (key === 'errorCode') found.add(Object.values(errors).find(({ code }) => code === value)!.name)
    return value
  })
  return found
}

function contextOf(cluster: OffsetsCluster, member: ClusterMember, apiVersion: number): RequestContext {
  const topics = { get: () => topic, getById: () => topic }
  const nodeId = cluster.members.indexOf(member)
  const view: Pick<ClusterView, 'leaderOf' | 'nodes'> = {
    leaderOf: ({ index }) => cluster.leaderOf(index),
    nodes: ({ port }) => [{ nodeId: 0, host: 'a', port, rack: null, isFenced: false }],
  }
  return {
    apiVersion,
    clientId: 'c',
    clientHost: '127.0.0.1',
    endpoint: { host: 'here', port: 9092 },
    settleDecoded: () => {},
    broker: { nodeId, cluster: view, groups: member.coordinator, topics },
  } as unknown as RequestContext
}

const identity = { groupId: 'g', memberId: 'm', groupInstanceId: null, generationId: 1 }
const commands: readonly [string, number, (...args: never[]) => unknown, object][] = [
  [
    'OffsetCommit',
    9,
    handleOffsetCommit,
    {
      ...identity,
      generationIdOrMemberEpoch: -1,
      retentionTimeMs: -1,
      topics: [{ name: 't', topicId, partitions: [{ partitionIndex: 0, committedOffset: 1 }] }],
    },
  ],
  ['OffsetFetch', 9, handleOffsetFetch, { groups: [{ groupId: 'g', topics: null }] }],
  [
    'JoinGroup',
    9,
    handleJoinGroup,
    {
      ...identity,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      protocols: [],
      protocolType: 'consumer',
    },
  ],
  ['Heartbeat', 4, handleHeartbeat, identity],
  ['LeaveGroup', 5, handleLeaveGroup, { groupId: 'g', members: [identity] }],
  ['SyncGroup', 5, handleSyncGroup, { ...identity, protocolType: null, protocolName: null, assignments: [] }],
  ['DescribeGroups', 6, handleDescribeGroups, { groups: ['g'], includeAuthorizedOperations: false }],
  ['DeleteGroups', 2, handleDeleteGroups, { groupsNames: ['g'] }],
  ['OffsetDelete', 0, handleOffsetDelete, { groupId: 'g', topics: [] }],
]
const list = { statesFilter: [], typesFilter: [] }
const find = { keyType: 0, key: 'g', coordinatorKeys: [] }

test.each(commands)(
  '%s is sent to the leader, or told to come later',
  async (_, apiVersion, handler, request) => {
    const { cluster, a, b } = await started()
    const ask = async (member: ClusterMember) =>
      errorsIn(await handler(...([request, contextOf(cluster, member, apiVersion)] as never[])))
    expect(await ask(b)).toEqual(new Set(['NOT_COORDINATOR']))
    const release = holdReading(b)
    await a.commit('h', 1)
    b.lead()
    expect(await ask(b)).toEqual(new Set(['COORDINATOR_LOAD_IN_PROGRESS']))
    release()
    await settled()
    const served = await ask(b)
    expect(served).not.toContain('NOT_COORDINATOR')
    expect(served).not.toContain('COORDINATOR_LOAD_IN_PROGRESS')
  },
)

test('ListGroups lists the groups of the partitions that are led here', async () => {
  const { cluster, a, b } = await started({}, 2)
  await a.commit('g', 1)
  await a.commit('h', 1)
  const groups = async (member: ClusterMember) => {
    const response = await handleListGroups(list as never, contextOf(cluster, member, 5))
    return response.groups.map(({ groupId }) => groupId)
  }
  expect([await groups(a), await groups(b)]).toEqual([['h', 'g'], []])
  const release = holdReading(b)
  b.lead(0)
  expect(errorsIn(await handleListGroups(list as never, contextOf(cluster, b, 5)))).toEqual(
    new Set(['COORDINATOR_LOAD_IN_PROGRESS']),
  )
  release()
  await settled()
  expect([await groups(a), await groups(b)]).toEqual([['g'], ['h']])
})

test('where nobody leads, only who looks for a coordinator makes the topic', async () => {
  const { cluster, a, b } = await started()
  cluster.hasTopic = false
  cluster.elect(null)
  // A member has found its coordinator; if this is not it, it is no reason to create anything.
  for (const member of [a, b]) {
    expect((await member.join('g')).error.name).toBe('NOT_COORDINATOR')
    expect(await member.offset('g')).toBe('NOT_COORDINATOR')
  }
  expect(cluster.hasTopic).toBe(false)
  const ask = () => handleFindCoordinator(find as never, contextOf(cluster, b, 3))
  const unknown = { errorCode: errors.COORDINATOR_NOT_AVAILABLE.code, nodeId: -1 }
  // Another broker has been quicker.
  cluster.failCreation = new VarveError('VARVE_TOPIC_EXISTS', 'it is there')
  expect(await ask()).toMatchObject(unknown)
  expect(b.lines).toEqual([])
  cluster.failCreation = null
  expect(await ask()).toMatchObject(unknown)
  expect(cluster.hasTopic).toBe(true)
})

test('FindCoordinator names the leader, whoever is asked', async () => {
  const { cluster, a, b } = await started()
  const ask = (member: ClusterMember) => handleFindCoordinator(find as never, contextOf(cluster, member, 3))
  const unknown = { errorCode: errors.COORDINATOR_NOT_AVAILABLE.code, nodeId: -1, host: '', port: -1 }
  const here = { errorCode: 0, host: 'here', port: 9092 }
  expect(await ask(a)).toMatchObject({ ...here, nodeId: 0 })
  expect(await ask(b)).toMatchObject({ ...here, nodeId: 0, host: 'a' })
  await a.commit('g', 1)
  const release = holdReading(b)
  b.lead()
  await settled()
  expect(await ask(b)).toMatchObject({ ...here, nodeId: 1 })
  // How it is reached is not known there.
  expect(await ask(a)).toMatchObject(unknown)
  release()
  // Elected, and not told to lead yet.
  cluster.logs[0]!.elect(a.partitions[0]!)
  expect(await ask(a)).toMatchObject(unknown)
})
