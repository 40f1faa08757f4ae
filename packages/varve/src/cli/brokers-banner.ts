import { PROMISES, PROMISES_IN_A_CLUSTER, tryItOut } from './banner.js'
import type { ThreadFacts } from './broker-thread.js'
import type { Invocation } from './invocation.js'

export interface BrokersFacts {
  readonly version: string
  readonly brokers: readonly (ThreadFacts & { readonly brokerId: number })[]
  /** Whether there are no other brokers than these. */
  readonly isAlone: boolean
  /** A directory, or the URL of an etcd. */
  readonly metadata: string
  readonly data: readonly string[]
}

/** The same in one line. */
export function brokersLine({ version, brokers, data, metadata }: BrokersFacts): string {
  const each = brokers.map(
    ({ brokerId, address, admin }) =>
      `broker ${brokerId} at ${address}${admin === null ? '' : ` with metrics at http://${admin.host}:${admin.port}/metrics`}`,
  )
  const { clusterId, durability } = brokers[0]!
  return `varve ${version} is serving Kafka's protocol: ${each.join(', ')}, of the cluster ${clusterId} at ${metadata}, from ${data.join(', ')} (${durability})`
}

/** What `varve serve --brokers` prints when all of them serve. */
export function brokersBanner({
  version,
  brokers,
  isAlone,
  metadata,
  data,
  invocation,
  colour,
}: BrokersFacts & { readonly invocation: Invocation; readonly colour: boolean }): string {
  const bold = (text: string): string => (colour ? `\x1b[1m${text}\x1b[22m` : text)
  const dim = (text: string): string => (colour ? `\x1b[2m${text}\x1b[22m` : text)
  const where = invocation.directory === null ? '' : ` (in ${invocation.directory})`
  const { address, clusterId, durability, isTls, rack } = brokers[0]!
  const promises = isAlone ? PROMISES : PROMISES_IN_A_CLUSTER
  return [
    `${bold(`varve ${version}`)} is serving Kafka's protocol from ${brokers.length} brokers in this process`,
    '',
    ...brokers.map(
      (one) =>
        `  ${`broker ${one.brokerId}`.padEnd(11)} ${bold(one.address)}${one.admin === null ? '' : `  http://${one.admin.host}:${one.admin.port}/metrics and /healthz`}`,
    ),
    `  cluster     ${clusterId}, all in rack ${rack}`,
    `  metadata    ${metadata}`,
    `  data        ${data.join('\n              ')}`,
    `  durability  ${durability}: ${promises[durability]}`,
    ...brokers.flatMap(({ brokerId, problems }) =>
      problems.map((problem) => `  problem     broker ${brokerId}: ${problem}`),
    ),
    '',
    `Try it from another shell${where}:`,
    ...tryItOut(address, invocation.command, isTls).map((line) => `  ${line}`),
    '',
    dim('It is for more cores, not for fault tolerance: all brokers end together. Ctrl-C stops it.'),
    '',
  ].join('\n')
}
