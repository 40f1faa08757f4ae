import { consumerAssignment, consumerSubscription, errors } from '@varve/protocol'
import type { ScriptedBroker } from './scripted-broker.js'
import { coordinate } from './scripted-admin.js'
import type { ScriptedCluster } from './scripted-cluster.js'

/** A coordinator with one group of one member, which says yes to everything until the test makes it say something else. */
export class ScriptedGroup {
  generation = 0
  /** The error of the next heartbeats, joins and commits, each used once; then there are none. */
  readonly heartbeatErrors: number[] = []
  readonly joinErrors: number[] = []
  readonly commitErrors: number[] = []
  readonly committed = new Map<string, number>()
  coordinator = 0
  /** Who leads in place of the member, which is then assigned partition 0 of `t`. */
  leader: string | null = null
  /** Whether the group goes on with the assignment that it has, as it does when a static leader comes back. */
  goesOn = false
  private assignments: Array<{ memberId: string; assignment: Buffer }> = []

  constructor(cluster: ScriptedCluster) {
    coordinate(cluster, () => this.coordinator)
    cluster.brokers.forEach((broker, node) => this.serve(broker, node))
  }

  private serve(broker: ScriptedBroker, node: number): void {
    const moved = (): number => (node === this.coordinator ? 0 : errors.NOT_COORDINATOR.code)
    broker.on('JoinGroup', ({ body }) => {
      const errorCode = moved() || (this.joinErrors.shift() ?? 0)
      const memberId = body.memberId === '' ? `member-${this.generation}` : body.memberId
      if (errorCode === 0) this.generation++
      const [protocol] = body.protocols
      return {
        throttleTimeMs: 0,
        errorCode,
        generationId: errorCode === 0 ? this.generation : -1,
        protocolType: 'consumer',
        protocolName: protocol.name,
        leader: this.leader ?? memberId,
        skipAssignment: this.goesOn,
        memberId,
        members: errorCode === 0 && this.leader === null ? [{ memberId, metadata: protocol.metadata }] : [],
      }
    })
    broker.on('SyncGroup', ({ body }) => {
      this.assignments = body.assignments
      return {
        throttleTimeMs: 0,
        errorCode: moved(),
        assignment:
          this.goesOn || this.leader !== null
            ? consumerAssignment.encode({ assignedPartitions: [{ topic: 't', partitions: [0] }] }, 3)
            : (this.assignments[0]?.assignment ?? Buffer.alloc(0)),
      }
    })
    broker.on('Heartbeat', () => ({
      throttleTimeMs: 0,
      errorCode: moved() || (this.heartbeatErrors.shift() ?? 0),
    }))
    broker.on('LeaveGroup', ({ body }) => ({
      throttleTimeMs: 0,
      errorCode: 0,
      members: body.members.map(({ memberId }: any) => ({ memberId, groupInstanceId: null, errorCode: 0 })),
    }))
    broker.on('OffsetFetch', ({ body }) => ({
      throttleTimeMs: 0,
      groups: body.groups.map(({ groupId, topics }: any) => ({
        groupId,
        topics: topics.map(({ name, partitionIndexes }: any) => ({
          name,
          partitions: partitionIndexes.map((partitionIndex: number) => ({
            partitionIndex,
            committedOffset: this.committed.get(`${name}-${partitionIndex}`) ?? -1,
            metadata: '',
            errorCode: 0,
          })),
        })),
      })),
    }))
    broker.on('OffsetCommit', ({ body }) => {
      const errorCode = moved() || (this.commitErrors.shift() ?? 0)
      return {
        throttleTimeMs: 0,
        topics: body.topics.map(({ name, partitions }: any) => ({
          name,
          partitions: partitions.map(({ partitionIndex, committedOffset }: any) => {
            if (errorCode === 0) this.committed.set(`${name}-${partitionIndex}`, committedOffset)
            return { partitionIndex, errorCode }
          }),
        })),
      }
    })
  }

  /** What the member said of itself when it joined for the n-th time. */
  static subscription(join: { body: any }): any {
    return consumerSubscription.decode(join.body.protocols[0].metadata)
  }

  get assigned(): any {
    return consumerAssignment.decode(this.assignments[0]!.assignment).assignedPartitions
  }
}
