import { readFileSync } from 'node:fs'
import type { Admin, OngoingReassignment } from '@varve/client'
import type { PartitionReplicas } from '@varve/partitioning'
import { clusterState } from './cluster-state.js'
import { count } from './counted.js'
import { Failure } from './failure.js'
import {
  bytesToCopy,
  movesOf,
  movesText,
  Reassigning,
  reportUnmoved,
  unmoved,
  type ReassigningOptions,
} from './reassigning.js'
import { printJson, table } from './table.js'
import { bytesText } from './tally.js'
import { placeName, type Place } from './topic-places.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface ReassignOptions extends AdminCommandOptions, ReassigningOptions {
  reassignmentJsonFile?: string
  cancel?: boolean
  dryRun?: boolean
}

/** Does what a file says, or ends what is under way: of the file's partitions, or all of it. */
export async function reassign(options: ReassignOptions): Promise<void> {
  const { reassignmentJsonFile: path, cancel, dryRun } = options
  if (path === undefined && !cancel)
    throw new Failure('say what to reassign with --reassignment-json-file, or --cancel', { exitCode: 2 })
  const plan = path === undefined ? null : planIn(path)
  await withAdmin(
    options,
    async (admin) => {
      if (cancel) {
        const named = plan === null ? null : new Set(plan.map(placeName))
        return endReassignments(admin, options, (one) => named === null || named.has(placeName(one)))
      }
      await reassignTo(admin, plan!, options, dryRun)
    },
    plan?.[0]?.topic,
  )
}

/** Has these partitions have these replicas, and says what became of it. */
export async function reassignTo(
  admin: Admin,
  plan: readonly PartitionReplicas[],
  options: ReassigningOptions & Pick<AdminCommandOptions, 'json'>,
  dryRun = false,
): Promise<void> {
  const state = await clusterState(admin)
  const known = new Set(state.partitions.map(placeName))
  const unknown = plan.find((one) => !known.has(placeName(one)))
  if (unknown !== undefined) throw new Failure(`there is no partition ${placeName(unknown)}`)
  const moves = await movesOf(admin, state, plan)
  if (dryRun) {
    if (options.json) printJson(moves)
    else process.stdout.write(movesText(moves))
    return
  }
  const outcome = await new Reassigning(admin, moves, options).carryOut()
  const { done, pending, failed } = outcome
  if (options.json) printJson(outcome)
  else if (pending.length > 0)
    process.stdout.write(`${count(pending.length, 'partition')} will be reassigned\n`)
  else if (done.length > 0)
    process.stdout.write(
      `${count(done.length, 'partition')} reassigned, ${bytesText(bytesToCopy(done))} copied\n`,
    )
  reportUnmoved(failed)
}

/** Ends those reassignments under way of which `which` says so: their partitions keep the replicas that they had. */
export async function endReassignments(
  admin: Admin,
  { json }: AdminCommandOptions,
  which: (one: OngoingReassignment) => boolean,
): Promise<void> {
  const found = (await admin.listPartitionReassignments()).filter(which)
  const outcomes = await admin.alterPartitionReassignments(
    found.map(({ topic, partition }) => ({ topic, partition, replicas: null })),
  )
  const ended = outcomes
    .filter(({ error }) => error === null)
    .map(({ topic, partition }): Place => ({ topic, partition }))
  const failed = outcomes.flatMap((outcome) =>
    outcome.error === null ? [] : [unmoved(outcome, outcome.error)],
  )
  if (json) printJson({ ended, failed })
  else process.stdout.write(`Ended ${count(ended.length, 'reassignment')}\n`)
  reportUnmoved(failed)
}

export async function listReassignments(options: AdminCommandOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    const found = await admin.listPartitionReassignments()
    if (options.json) return printJson(found)
    if (found.length === 0) {
      if (process.stderr.isTTY) process.stderr.write('Nothing is being reassigned.\n')
      return
    }
    process.stdout.write(
      table(
        [
          { head: 'TOPIC', cell: ({ topic }) => topic },
          { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
          { head: 'REPLICAS', cell: ({ replicas }) => replicas.join(',') },
          { head: 'ADDING', cell: ({ addingReplicas }) => addingReplicas.join(',') },
          { head: 'REMOVING', cell: ({ removingReplicas }) => removingReplicas.join(',') },
        ],
        found,
      ),
    )
  })
}

/** The file of kafka-reassign-partitions: `{"partitions": [{"topic": "a", "partition": 0, "replicas": [1, 2]}]}`. */
function planIn(path: string): PartitionReplicas[] {
  let parsed: { partitions?: unknown }
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8')) as { partitions?: unknown }
  } catch (error) {
    throw new Failure(`cannot read ${path}: ${(error as Error).message}. Check --reassignment-json-file`, {
      cause: error,
    })
  }
  const rows = parsed?.partitions
  if (!Array.isArray(rows))
    throw new Failure(`${path} has no list "partitions". Check --reassignment-json-file`)
  return rows.map((row: { topic?: unknown; partition?: unknown; replicas?: unknown } | null) => {
    const { topic, partition, replicas } = row ?? {}
    const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
    if (
      typeof topic !== 'string' ||
      !isId(partition) ||
      !Array.isArray(replicas) ||
      replicas.length === 0 ||
      !replicas.every(isId)
    ) {
      throw new Failure(
        `${path} has ${JSON.stringify(row)} where it must be such as {"topic":"orders","partition":0,"replicas":[1,2]}`,
      )
    }
    return { topic, partition, replicas }
  })
}
