import type { Invocation } from './invocation.js'

export interface BannerFacts {
  readonly version: string
  readonly address: string
  /** Whether clients have to speak TLS there. */
  readonly tls?: boolean
  readonly admin?: { readonly host: string; readonly port: number } | null
  readonly dataDirectories: readonly string[]
  readonly durability: 'os' | 'fsync'
  /** What is wrong with single partitions, one line each. */
  readonly problems: readonly string[]
  readonly invocation: Invocation
  readonly colour: boolean
}

/** What each durability promises for a record that was acknowledged. */
const PROMISES = {
  fsync: 'what is acknowledged is on disk',
  os: 'survives a crash of varve, not of the machine',
} as const

const isDefaultAddress = (address: string): boolean => ['127.0.0.1:9092', 'localhost:9092'].includes(address)

/** The two commands that try the broker out, to be pasted into another shell. */
export function tryItOut(address: string, command: string, tls = false): [produce: string, consume: string] {
  const broker = (isDefaultAddress(address) ? '' : ` --broker ${address}`) + (tls ? ' --tls' : '')
  return [`echo hello | ${command} produce demo${broker}`, `${command} consume demo${broker}`]
}

/** The one thing that `varve serve` prints when it is ready. */
export function banner({
  version,
  address,
  tls = false,
  admin = null,
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
    `  data        ${dataDirectories.join('\n              ')}`,
    `  durability  ${durability}: ${PROMISES[durability]}`,
    ...problems.map((problem) => `  problem     ${problem}`),
    '',
    `Try it from another shell${where}:`,
    ...tryItOut(address, invocation.command, tls).map((line) => `  ${line}`),
    '',
    dim('Ctrl-C stops it.'),
    '',
  ].join('\n')
}
