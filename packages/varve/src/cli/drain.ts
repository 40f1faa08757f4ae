import { drainReplicas, type PartitionReplicas } from '@varve/partitioning'
import { VarveError } from '@varve/records'
import { clusterState, liveNodes, plannedReplicas, type ClusterState } from './cluster-state.js'
import { count } from './counted.js'
import { Failure } from './failure.js'
import { endReassignments } from './reassign.js'
import {
  bytesToCopy,
  movesOf,
  movesText,
  planDocument,
  Reassigning,
  reportUnmoved,
  type ReassigningOptions,
} from './reassigning.js'
import { printJson } from './table.js'
import { bytesText } from './tally.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface DrainOptions extends AdminCommandOptions, ReassigningOptions {
  dryRun?: boolean
  cancel?: boolean
}

/** Moves all replicas of a broker to others, so that it can be taken away. */
export async function drain(brokerId: number, options: DrainOptions): Promise<void> {
  const { json, dryRun, cancel, wait } = options
  await withAdmin(options, async (admin) => {
    const state = await clusterState(admin)
    checkBroker(state, brokerId)
    if (cancel)
      return endReassignments(admin, options, ({ removingReplicas }) => removingReplicas.includes(brokerId))
    const moves = await movesOf(admin, state, planOf(state, brokerId))
    if (dryRun) {
      if (json) printJson(planDocument(moves))
      else process.stdout.write(planText(brokerId, moves))
      return
    }
    const outcome = await new Reassigning(admin, moves, options).carryOut()
    const { done, pending, failed } = outcome
    if (json) printJson(outcome)
    else if (!wait && pending.length > 0)
      process.stdout.write(`${count(pending.length, 'partition')} will leave broker ${brokerId}\n`)
    else if (failed.length + pending.length === 0)
      process.stdout.write(
        `Broker ${brokerId} has no replicas any more${done.length === 0 ? '' : `: ${count(done.length, 'partition')} moved, ${bytesText(bytesToCopy(done))}`}\n`,
      )
    reportUnmoved(failed)
  })
}

function planText(brokerId: number, moves: Awaited<ReturnType<typeof movesOf>>): string {
  if (moves.length === 0) return `Broker ${brokerId} has no replicas\n`
  return `${movesText(moves)}\n${count(moves.length, 'partition')} would leave broker ${brokerId}, ${bytesText(bytesToCopy(moves))}\n`
}

function checkBroker({ nodes, partitions }: ClusterState, brokerId: number): void {
  if (nodes.some(({ nodeId }) => nodeId === brokerId)) return
  // One that was forgotten may still be named in partitions.
  if (partitions.some(({ replicas }) => replicas.includes(brokerId))) return
  throw new Failure(
    `there is no broker ${brokerId}: there are ${nodes.map(({ nodeId }) => nodeId).join(', ')}. varve cluster status shows them`,
  )
}

function planOf(state: ClusterState, leaving: number): PartitionReplicas[] {
  const brokers = liveNodes(state).map(({ nodeId, rack }) => ({ id: nodeId, rack }))
  const partitions = state.partitions.map(plannedReplicas)
  const others = brokers.filter(({ id }) => id !== leaving)
  if (others.length === 0)
    throw new Failure(
      `broker ${leaving} cannot be drained: no other broker is up. Start another broker first`,
    )
  const stuck = partitions.filter(
    ({ replicas }) => replicas.includes(leaving) && others.every(({ id }) => replicas.includes(id)),
  )
  if (stuck.length > 0) {
    const topics = [...new Set(stuck.map(({ topic }) => topic))]
    throw new Failure(
      `broker ${leaving} cannot be drained: ${count(stuck.length, 'partition')} of ${topics.slice(0, 5).join(', ')}${topics.length > 5 ? ' and others' : ''} have a replica on every other broker that is up. Start another broker first, or give them fewer replicas with varve topic alter --reassign`,
    )
  }
  // A drain that was left alone is waited for by the next one.
  const underWay = state.partitions
    .filter(({ reassignment }) => reassignment?.removingReplicas.includes(leaving))
    .map(plannedReplicas)
  try {
    return [...underWay, ...drainReplicas({ brokers, partitions, leaving })]
  } catch (error) {
    if (VarveError.is(error)) throw new Failure(error.message, { cause: error })
    throw error
  }
}
