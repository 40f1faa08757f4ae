import type { Admin, Node } from '@varve/client'
import { clusterState, liveNodes, type PartitionState } from './cluster-state.js'
import { count } from './counted.js'
import { onInterrupt } from './interrupt.js'
import { ProgressLine } from './progress-line.js'
import {
  ReplicaComparison,
  type ComparedPartition,
  type ComparedReplica,
  type Difference,
} from './replica-comparison.js'
import { printJson, table } from './table.js'
import { bytesText } from './tally.js'
import { placeName, placesOf } from './topic-places.js'
import type { TopicPartitions } from './values.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface VerifyOptions extends AdminCommandOptions {
  timeout: number
}

/** Of one read: of each replica of each partition under way there is one in memory. */
const MAX_BYTES = 1_048_576
const AT_ONCE = 4

interface Verified {
  readonly partitions: ComparedPartition[]
  /** Whose replicas are not to be equal. */
  readonly compacted: string[]
  bytes: number
}

/** Compares the replicas of partitions with each other, byte for byte. */
export async function verify(topics: readonly TopicPartitions[], options: VerifyOptions): Promise<void> {
  await withAdmin(
    options,
    async (admin) => {
      const { signal, exitCode } = onInterrupt()
      const state = await clusterState(admin)
      const named = topics.length === 0 ? null : await placesOf(admin, topics, 'the topic')
      const names = named === null ? null : new Set(named.map(placeName))
      const wanted = state.partitions.filter((one) => names === null || names.has(placeName(one)))
      const compacted = await compactedTopics(admin, wanted)
      const isComparable = ({ topic, replicas }: PartitionState): boolean =>
        replicas.length > 1 && !compacted.includes(topic)
      const verified: Verified = { partitions: [], compacted, bytes: 0 }
      await compareAll(admin, wanted.filter(isComparable), liveNodes(state), options, verified, signal)
      const differing = verified.partitions.filter(isDifferent)
      if (options.json) printJson({ isEqual: differing.length === 0, ...verified })
      else process.stdout.write(verifiedText(verified, differing))
      process.exitCode = exitCode() || Number(differing.length > 0)
    },
    topics[0]?.topic,
  )
}

const isDifferent = ({ replicas }: ComparedPartition): boolean =>
  replicas.some(({ differences }) => differences.length > 0)

/** Each replica is compacted by itself, so that equal ones store different bytes. */
async function compactedTopics(admin: Admin, partitions: readonly PartitionState[]): Promise<string[]> {
  const names = [...new Set(partitions.map(({ topic }) => topic))]
  const keys = ['cleanup.policy']
  const found = await admin.describeConfigs(names.map((name) => ({ type: 'topic', name, keys })))
  return found
    .filter(({ entries }) => entries[0]?.value?.split(',').includes('compact') === true)
    .map(({ name }) => name)
}

async function compareAll(
  admin: Admin,
  partitions: readonly PartitionState[],
  nodes: readonly Node[],
  { timeout }: VerifyOptions,
  verified: Verified,
  signal: AbortSignal,
): Promise<void> {
  const line = new ProgressLine()
  line.show(
    () =>
      `compared ${verified.partitions.length} of ${count(partitions.length, 'partition')}, ${bytesText(verified.bytes)}`,
  )
  const compared = (bytes: number): void => void (verified.bytes += bytes)
  const queue = [...partitions]
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined && !signal.aborted; next = queue.shift()) {
      const settings = { maxBytes: MAX_BYTES, patienceMs: timeout, compared, signal }
      verified.partitions.push(await comparedPartition(admin, next, nodes, settings))
    }
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
  } finally {
    line.hide()
  }
  const order = new Map(partitions.map((one, index) => [placeName(one), index]))
  verified.partitions.sort((a, b) => order.get(placeName(a))! - order.get(placeName(b))!)
}

async function comparedPartition(
  admin: Admin,
  partition: PartitionState,
  nodes: readonly Node[],
  settings: ConstructorParameters<typeof ReplicaComparison>[3],
): Promise<ComparedPartition> {
  const { leader, replicas, reassignment } = partition
  const adding = reassignment?.addingReplicas ?? []
  const isUp = (id: number): boolean => nodes.some(({ nodeId }) => nodeId === id)
  const gone = (nodeId: number, message: string): ComparedReplica => ({
    nodeId,
    startOffset: -1,
    endOffset: -1,
    differences: [{ kind: 'unreadable', message }],
  })
  const { topic, partition: number } = partition
  if (leader < 0) {
    const none = replicas.map((nodeId) => gone(nodeId, 'the partition has no leader to compare with'))
    return { topic, partition: number, reference: leader, from: 0, to: 0, replicas: none }
  }
  // New replicas are on their way to being equal.
  const others = replicas.filter((id) => id !== leader && !adding.includes(id))
  const comparison = new ReplicaComparison(admin, partition, [leader, ...others.filter(isUp)], settings)
  const found = await comparison.run()
  const down = others.filter((id) => !isUp(id)).map((id) => gone(id, `broker ${id} is not up`))
  return { ...found, replicas: [...found.replicas, ...down] }
}

function verifiedText(
  { partitions, compacted, bytes }: Verified,
  differing: readonly ComparedPartition[],
): string {
  const rows = differing.flatMap((partition) =>
    partition.replicas.flatMap(({ nodeId, differences }) =>
      differences.map((difference) => ({ ...partition, nodeId, difference })),
    ),
  )
  const what = `${count(partitions.length, 'partition')}, ${bytesText(bytes)} of each replica compared`
  return [
    rows.length === 0
      ? ''
      : `${table(
          [
            { head: 'TOPIC', cell: ({ topic }) => topic },
            { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
            { head: 'BROKER', right: true, cell: ({ nodeId }) => nodeId },
            {
              head: 'DIFFERENCE',
              cell: ({ difference, reference }) => differenceText(difference, reference),
            },
          ],
          rows,
        )}\n`,
    partitions.length === 0
      ? 'There is nothing to compare: no partition has two replicas that are to be equal.\n'
      : differing.length === 0
        ? `All replicas are equal: ${what}.\n`
        : `${count(differing.length, 'partition')} ${differing.length === 1 ? 'has' : 'have'} replicas that differ, or that cannot be compared: ${what}.\n`,
    compacted.length === 0
      ? ''
      : `Left out, because each replica is compacted by itself: ${compacted.join(', ')}.\n`,
  ].join('')
}

function differenceText(difference: Difference, reference: number): string {
  switch (difference.kind) {
    case 'differs':
      return `has another batch than broker ${reference} at offset ${difference.offset}`
    case 'ends-early':
      return `ends at offset ${difference.offset}, and broker ${reference} at ${difference.expected}`
    case 'begins-late':
      return `begins at offset ${difference.offset}, and others at ${difference.expected}`
    case 'unreadable':
      return `cannot be compared: ${difference.message}`
  }
}
