import { tryItOut } from './banner.js'
import type { Invocation } from './invocation.js'

/** A broker of a cluster that runs here. */
export interface RunningBroker {
  readonly brokerId: number
  readonly address: string
  readonly rack: string | null
  /** Null where all run in one process. */
  readonly pid: number | null
}

export interface ClusterBannerFacts {
  readonly version: string
  readonly brokers: readonly RunningBroker[]
  readonly store: string
  /** Null: in a temporary directory. */
  readonly data: string | null
  readonly invocation: Invocation
  readonly colour: boolean
}

/** What `varve cluster up` prints when all brokers serve. */
export function clusterBanner({
  version,
  brokers,
  store,
  data,
  invocation,
  colour,
}: ClusterBannerFacts): string {
  const bold = (text: string): string => (colour ? `\x1b[1m${text}\x1b[22m` : text)
  const dim = (text: string): string => (colour ? `\x1b[2m${text}\x1b[22m` : text)
  const where = invocation.directory === null ? '' : ` (in ${invocation.directory})`
  const all = brokers.map(({ address }) => address).join(',')
  const { command } = invocation
  const lines = brokers.map(({ brokerId, address, rack, pid }) => {
    const more = [...(rack === null ? [] : [`rack ${rack}`]), ...(pid === null ? [] : [`process ${pid}`])]
    return `  broker ${brokerId}    ${bold(address)}${more.length === 0 ? '' : `  ${more.join(', ')}`}`
  })
  return [
    `${bold(`varve ${version}`)} is serving Kafka's protocol from a cluster on this machine`,
    '',
    ...lines,
    `  metadata    ${store}`,
    `  data        ${data ?? 'in a temporary directory, which is removed at the end'}`,
    '',
    `Try it from another shell${where}:`,
    ...tryItOut(all, command).map((line) => `  ${line}`),
    `  ${command} cluster status --broker ${all}`,
    ...(brokers.some(({ pid }) => pid !== null) ? [`  kill -9 ${brokers[0]!.pid}   # the others go on`] : []),
    '',
    dim('It is for development: one machine has it all. Ctrl-C stops it.'),
    '',
  ].join('\n')
}
