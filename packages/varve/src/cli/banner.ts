import type { Invocation } from './invocation.js'

/** What a broker is one of. */
export interface ClusterFacts {
  readonly clusterId: string
  readonly brokerId: number
  readonly rack: string | null
  /** Where its metadata is. */
  readonly store: string
  /** Those that are there, itself included. */
  readonly brokerIds: readonly number[]
}

export interface BannerFacts {
  readonly version: string
  readonly address: string
  /** Whether clients have to speak TLS there. */
  readonly tls?: boolean
  readonly admin?: { readonly host: string; readonly port: number } | null
  readonly cluster?: ClusterFacts | null
  readonly dataDirectories: readonly string[]
  readonly durability: 'os' | 'fsync'
  /** What is wrong with single partitions, one line each. */
  readonly problems: readonly string[]
  readonly invocation: Invocation
  readonly colour: boolean
}

/** What each durability promises for a record that was acknowledged. */
export const PROMISES = {
  fsync: 'what is acknowledged is on disk',
  os: 'survives a crash of varve, not of the machine',
} as const
export const PROMISES_IN_A_CLUSTER = {
  fsync: 'what is acknowledged is on the disks of the replicas in sync',
  os: 'what is acknowledged is in the memory of the replicas in sync',
} as const

const isDefaultAddress = (address: string): boolean => ['127.0.0.1:9092', 'localhost:9092'].includes(address)

/** The two commands that try the broker out, to be pasted into another shell. */
export function tryItOut(address: string, command: string, tls = false): [produce: string, consume: string] {
  const broker = (isDefaultAddress(address) ? '' : ` --broker ${address}`) + (tls ? ' --tls' : '')
  return [`echo hello | ${command} produce demo${broker}`, `${command} consume demo${broker}`]
}

/** Which broker of which cluster it is, and who else is there. */
export function clusterLines({ clusterId, brokerId, rack, store, brokerIds }: ClusterFacts): string[] {
  return [
    `broker ${brokerId}${rack === null ? '' : ` in rack ${rack}`}, of the cluster ${clusterId} at ${store}`,
    brokerIds.length === 1
      ? 'it is the only broker there so far'
      : `${brokerIds.length} brokers are there: ${brokerIds.join(', ')}`,
  ]
}

/** The one thing that `varve serve` prints when it is ready. */
export function banner({
  version,
  address,
  tls = false,
  admin = null,
  cluster = null,
  dataDirectories,
  durability,
  problems,
  invocation,
  colour,
}: BannerFacts): string {
  const bold = (text: string): string => (colour ? `\x1b[1m${text}\x1b[22m` : text)
  const dim = (text: string): string => (colour ? `\x1b[2m${text}\x1b[22m` : text)
  const where = invocation.directory === null ? '' : ` (in ${invocation.directory})`
  return [
    `${bold(`varve ${version}`)} is serving Kafka's protocol`,
    '',
    `  address     ${bold(address)}`,
    ...(admin === null ? [] : [`  admin       http://${admin.host}:${admin.port}/metrics and /healthz`]),
    ...(cluster === null ? [] : [`  cluster     ${clusterLines(cluster).join(`\n${' '.repeat(14)}`)}`]),
    `  data        ${dataDirectories.join('\n              ')}`,
    `  durability  ${durability}: ${(cluster === null ? PROMISES : PROMISES_IN_A_CLUSTER)[durability]}`,
    ...problems.map((problem) => `  problem     ${problem}`),
    '',
    `Try it from another shell${where}:`,
    ...tryItOut(address, invocation.command, tls).map((line) => `  ${line}`),
    '',
    dim('Ctrl-C stops it.'),
    '',
  ].join('\n')
}
