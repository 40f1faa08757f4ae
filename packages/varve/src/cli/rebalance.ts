import type { Admin } from '@varve/client'
import { rebalanceReplicas } from '@varve/partitioning'
import { clusterState, plannedReplicas, type ClusterState } from './cluster-state.js'
import { count } from './counted.js'
import { Failure } from './failure.js'
import {
  bytesToCopy,
  movesOf,
  movesText,
  newReplicas,
  planDocument,
  Reassigning,
  reportUnmoved,
  unmoved,
  type Move,
  type Reassigned,
  type ReassigningOptions,
} from './reassigning.js'
import { printJson } from './table.js'
import { bytesText } from './tally.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface RebalanceOptions extends AdminCommandOptions, ReassigningOptions {
  dryRun?: boolean
}

/** Gives brokers equal numbers of replicas and of leaders, with as few copies as that takes. */
export async function rebalance(options: RebalanceOptions): Promise<void> {
  const { json, dryRun } = options
  await withAdmin(options, async (admin) => {
    const state = await clusterState(admin)
    checkBrokers(state)
    const brokers = state.nodes.map(({ nodeId, rack }) => ({ id: nodeId, rack }))
    const plan = rebalanceReplicas({ brokers, partitions: state.partitions.map(plannedReplicas) })
    const moves = await movesOf(admin, state, plan)
    if (dryRun) {
      if (json) printJson(planDocument(moves))
      else process.stdout.write(planText(moves))
      return
    }
    const outcome = await new Reassigning(admin, moves, options).carryOut()
    // Those under way take their leaders with them.
    const elected = outcome.pending.length > 0 ? [] : await elect(admin, outcome)
    if (json) printJson({ ...outcome, elected })
    else process.stdout.write(doneText(outcome, elected.length))
    reportUnmoved(outcome.failed)
  })
}

/** What is on a broker that is down would be counted out, and copied back when it returns. */
function checkBrokers({ nodes }: ClusterState): void {
  const down = nodes.filter(({ isFenced }) => isFenced).map(({ nodeId }) => nodeId)
  if (down.length === 0) return
  const [first] = down
  throw new Failure(
    `broker ${down.join(', ')} is down. Bring it back first; or if it will not come back: varve cluster drain ${first}, then varve cluster unregister ${first}`,
  )
}

async function elect(
  admin: Admin,
  { failed }: Reassigned,
): Promise<Array<{ topic: string; partition: number }>> {
  const outcomes = await admin.electLeaders('preferred', null)
  for (const outcome of outcomes) if (outcome.error !== null) failed.push(unmoved(outcome, outcome.error))
  return outcomes.filter(({ isElected }) => isElected).map(({ topic, partition }) => ({ topic, partition }))
}

function planText(moves: readonly Move[]): string {
  if (moves.length === 0) return 'The replicas and leaders are balanced\n'
  const copied = moves.reduce((sum, move) => sum + newReplicas(move).length, 0)
  return `${movesText(moves)}\n${count(moves.length, 'partition')} would change, ${count(copied, 'replica')} would be copied, ${bytesText(bytesToCopy(moves))}\n`
}

function doneText({ done, pending }: Reassigned, elected: number): string {
  if (pending.length > 0) return `${count(pending.length, 'partition')} will change\n`
  if (done.length === 0) return `The replicas are balanced; ${count(elected, 'leader')} elected\n`
  const copied = done.reduce((sum, move) => sum + newReplicas(move).length, 0)
  return `${count(done.length, 'partition')} changed, ${count(copied, 'replica')} copied (${bytesText(bytesToCopy(done))}), ${count(elected, 'leader')} elected\n`
}
