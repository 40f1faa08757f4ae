import type { Admin, LogDir, Node } from '@varve/client'
import {
  clusterState,
  liveNodes,
  ReplicaSizes,
  type ClusterState,
  type PartitionState,
} from './cluster-state.js'
import { count } from './counted.js'
import { printJson, table } from './table.js'
import { bytesText } from './tally.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface StatusOptions extends AdminCommandOptions {
  all?: boolean
  check?: boolean
}

/** A broker that is registered, or that some partition has a replica on all the same. */
interface BrokerStatus {
  readonly nodeId: number
  readonly state: 'up' | 'fenced' | 'missing'
  readonly node: Node | null
  readonly leaders: number
  readonly replicas: number
}

/** A partition that is not as it should be, or about to change. */
interface PartitionStatus extends PartitionState {
  readonly isOffline: boolean
  readonly isUnderReplicated: boolean
  readonly isUnderMinIsr: boolean
  /** What its new replicas still lack, in bytes; null where nothing moves or a broker does not say. */
  readonly bytesToGo: number | null
}

interface ClusterStatus {
  readonly state: ClusterState
  readonly brokers: readonly BrokerStatus[]
  readonly partitions: readonly PartitionStatus[]
  /** Led by another than the preferred leader. */
  readonly notPreferred: number
  /** Data directories that have failed. */
  readonly failedDirs: readonly LogDir[]
}

/** Beyond so many, a table says less than their number. */
const MOST_ROWS = 20

export async function showStatus(options: StatusOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    const status = await statusOf(admin)
    const problems = problemsOf(status)
    if (options.json) printJson(documentOf(status, problems))
    else process.stdout.write(statusText(status, problems, options.all ?? false))
    if (options.check && problems.length > 0) process.exitCode = 1
  })
}

async function statusOf(admin: Admin): Promise<ClusterStatus> {
  const state = await clusterState(admin)
  const minima = await minimaOf(admin, state)
  const moving = state.partitions.filter(({ reassignment }) => reassignment !== null)
  const sizes = moving.length === 0 ? null : await ReplicaSizes.of(admin, live(state), moving)
  const partitions = state.partitions
    .map((partition) => partitionStatus(partition, minima.get(partition.topic) ?? 1, sizes))
    .filter(
      ({ isOffline, isUnderReplicated, isUnderMinIsr, reassignment }) =>
        isOffline || isUnderReplicated || isUnderMinIsr || reassignment !== null,
    )
  const notPreferred = state.partitions.filter(
    ({ leader, replicas, isr }) => leader >= 0 && leader !== replicas[0] && isr.includes(replicas[0]!),
  ).length
  const out = new Set(partitions.flatMap(({ replicas, isr }) => replicas.filter((id) => !isr.includes(id))))
  const failedDirs = await failedDirsOf(
    admin,
    live(state).filter((id) => out.has(id)),
  )
  return { state, brokers: brokersOf(state), partitions, notPreferred, failedDirs }
}

/** Of brokers with replicas that are not in sync. One that does not answer keeps nobody from seeing the rest. */
async function failedDirsOf(admin: Admin, nodeIds: readonly number[]): Promise<LogDir[]> {
  const asked = nodeIds.map((id) => admin.describeLogDirs({ nodeIds: [id], partitions: [] }).catch(() => []))
  return (await Promise.all(asked)).flat().filter(({ error }) => error !== null)
}

const live = (state: ClusterState): number[] => liveNodes(state).map(({ nodeId }) => nodeId)

async function minimaOf(admin: Admin, { topics }: ClusterState): Promise<Map<string, number>> {
  const keys = ['min.insync.replicas']
  const found = await admin.describeConfigs(topics.map(({ name }) => ({ type: 'topic', name, keys })))
  return new Map(found.map(({ name, entries }) => [name, Number(entries[0]?.value ?? 1)]))
}

function partitionStatus(
  partition: PartitionState,
  minimum: number,
  sizes: ReplicaSizes | null,
): PartitionStatus {
  const { leader, replicas, isr, reassignment } = partition
  const adding = reassignment?.addingReplicas ?? []
  const bytesToGo =
    reassignment === null || sizes === null
      ? null
      : adding.reduce(
          (sum, id) => sum + Math.max(0, sizes.most(replicas, partition) - sizes.on(id, partition)),
          0,
        )
  return {
    ...partition,
    isOffline: leader < 0,
    isUnderReplicated: replicas.some((id) => !adding.includes(id) && !isr.includes(id)),
    isUnderMinIsr: isr.length < minimum,
    bytesToGo,
  }
}

function brokersOf({ nodes, partitions }: ClusterState): BrokerStatus[] {
  const byId = new Map(nodes.map((node) => [node.nodeId, node]))
  const ids = new Set([...byId.keys(), ...partitions.flatMap(({ replicas }) => replicas)])
  const leaders = tallied(partitions.map(({ leader }) => leader))
  const replicas = tallied(partitions.flatMap((partition) => partition.replicas))
  return [...ids]
    .sort((a, b) => a - b)
    .map((nodeId) => {
      const node = byId.get(nodeId) ?? null
      const state = node === null ? 'missing' : node.isFenced ? 'fenced' : 'up'
      return { nodeId, state, node, leaders: leaders.get(nodeId) ?? 0, replicas: replicas.get(nodeId) ?? 0 }
    })
}

function tallied(ids: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}

/** What is wrong, in words; what is merely under way is not. */
function problemsOf({ state, brokers, partitions, failedDirs }: ClusterStatus): string[] {
  const problems: string[] = []
  const up = brokers.filter((broker) => broker.state === 'up').length
  if (up < brokers.length) problems.push(`${up} of ${count(brokers.length, 'broker')} ${are(up)} up`)
  if (state.controllerId < 0) problems.push('there is no controller')
  for (const { nodeId, path } of failedDirs)
    problems.push(`the data directory ${path} of broker ${nodeId} has failed`)
  const say = (what: string, is: (partition: PartitionStatus) => boolean): void => {
    const found = partitions.filter(is).length
    if (found > 0) problems.push(`${count(found, 'partition')} ${are(found)} ${what}`)
  }
  say('offline', ({ isOffline }) => isOffline)
  say('under min.insync.replicas', ({ isUnderMinIsr }) => isUnderMinIsr)
  say('under-replicated', ({ isUnderReplicated }) => isUnderReplicated)
  return problems
}

const are = (number: number): string => (number === 1 ? 'is' : 'are')

function summaryText(
  { state, brokers, partitions, notPreferred }: ClusterStatus,
  problems: string[],
): string {
  const moving = partitions.filter(({ reassignment }) => reassignment !== null)
  const whole = `${count(brokers.length, 'broker')}, ${count(state.topics.length, 'topic')}, ${count(state.partitions.length, 'partition')}`
  const lines = [
    problems.length === 0
      ? `All is well: ${whole}, everything in sync.`
      : `Not all is well: ${problems.join('; ')}.`,
  ]
  if (moving.length > 0) {
    const bytes = moving.reduce((sum, { bytesToGo }) => sum + (bytesToGo ?? 0), 0)
    lines.push(
      `${count(moving.length, 'partition')} ${are(moving.length)} being reassigned, ${bytesText(bytes)} to go.`,
    )
  }
  if (notPreferred > 0)
    lines.push(
      `${count(notPreferred, 'partition')} ${are(notPreferred)} not led by the preferred leader; varve cluster elect-leaders changes that.`,
    )
  return lines.map((line) => `${line}\n`).join('')
}

function statusText(status: ClusterStatus, problems: string[], all: boolean): string {
  const { state, brokers, partitions } = status
  const { clusterId, controllerId } = state
  const shown = all ? partitions : partitions.slice(0, MOST_ROWS)
  const rest = partitions.length - shown.length
  return [
    `cluster ${clusterId}, controller ${controllerId < 0 ? 'none' : controllerId}\n`,
    table(
      [
        { head: 'BROKER', right: true, cell: ({ nodeId }) => nodeId },
        { head: 'HOST', cell: ({ node }) => node?.host ?? null },
        { head: 'PORT', right: true, cell: ({ node }) => node?.port ?? null },
        { head: 'RACK', cell: ({ node }) => node?.rack ?? null },
        { head: 'STATE', cell: (broker) => broker.state },
        { head: 'LEADERS', right: true, cell: ({ leaders }) => leaders },
        { head: 'REPLICAS', right: true, cell: ({ replicas }) => replicas },
      ],
      brokers,
    ),
    shown.length === 0 ? '' : `\n${partitionsText(shown)}`,
    rest === 0 ? '' : `and ${rest} more; --all shows them\n`,
    '\n',
    summaryText(status, problems),
  ].join('')
}

function partitionsText(partitions: readonly PartitionStatus[]): string {
  return table(
    [
      { head: 'TOPIC', cell: ({ topic }) => topic },
      { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
      { head: 'LEADER', right: true, cell: ({ leader }) => (leader < 0 ? null : leader) },
      { head: 'REPLICAS', cell: ({ replicas }) => replicas.join(',') },
      { head: 'ISR', cell: ({ isr }) => isr.join(',') },
      { head: 'ELR', cell: ({ eligibleLeaderReplicas }) => eligibleLeaderReplicas?.join(',') ?? null },
      { head: 'STATE', cell: stateText },
    ],
    partitions,
  )
}

function stateText(partition: PartitionStatus): string {
  const { isOffline, isUnderMinIsr, isUnderReplicated, reassignment, bytesToGo } = partition
  const words: string[] = []
  if (isOffline) words.push('offline')
  if (isUnderMinIsr) words.push('under min.insync.replicas')
  if (isUnderReplicated) words.push('under-replicated')
  if (reassignment !== null) {
    const { addingReplicas: adding, removingReplicas: removing } = reassignment
    if (adding.length > 0) words.push(`adding ${adding.join(',')} (${bytesText(bytesToGo ?? 0)} to go)`)
    if (removing.length > 0) words.push(`removing ${removing.join(',')}`)
    if (adding.length + removing.length === 0) words.push('reassigning')
  }
  return words.join(', ')
}

function documentOf(
  { state, brokers, partitions, notPreferred }: ClusterStatus,
  problems: string[],
): unknown {
  return {
    clusterId: state.clusterId,
    controllerId: state.controllerId,
    isWell: problems.length === 0,
    problems,
    brokers: brokers.map(({ nodeId, state: brokerState, node, leaders, replicas }) => ({
      nodeId,
      state: brokerState,
      host: node?.host ?? null,
      port: node?.port ?? null,
      rack: node?.rack ?? null,
      leaders,
      replicas,
    })),
    topics: state.topics.length,
    partitions: state.partitions.length,
    notPreferred,
    attention: partitions,
  }
}
