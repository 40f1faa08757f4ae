import { startBroker, type Broker, type BrokerLog, type LogLevel, type SslOptions } from '@varve/broker'
import type { Command } from 'commander'
import { banner, clusterLines } from './banner.js'
import { Failure } from './failure.js'
import { invocation } from './invocation.js'
import { clusterFacts, clusterFailure, clusterOf, type ServeClusterOptions } from './serve-cluster.js'
import { type LogFormat, serveLog } from './serve-log.js'
import { applySources } from './serve-sources.js'
import { version } from './version.js'

export interface ServeOptions extends ServeClusterOptions {
  port: number
  host: string
  data: readonly string[]
  durability?: 'os' | 'fsync'
  listeners?: string
  advertisedListeners?: string
  listenerSecurityProtocolMap?: string
  sslCert?: string
  sslKey?: string
  sslPfx?: string
  sslKeyPassword?: string
  sslCa?: string
  sslClientAuth?: SslOptions['clientAuth']
  sslProtocols?: SslOptions['protocols']
  sslCiphers?: readonly string[]
  nodeId?: number
  rack?: string
  partitions: number
  autoCreate: boolean
  maxConnections?: number
  maxConnectionsPerIp?: number
  requestMemoryBytes?: number
  lowDiskBytes: number
  closeTimeoutMs?: number
  adminPort?: number
  adminHost: string
  logFormat: LogFormat
  logLevel?: LogLevel
  config?: Readonly<Record<string, string>>
}

/** What TLS needs, where any part of it is given; the broker says what is missing. */
function sslOf(options: ServeOptions): SslOptions | undefined {
  const ssl: Record<keyof SslOptions, unknown> = {
    cert: options.sslCert,
    key: options.sslKey,
    pfx: options.sslPfx,
    passphrase: options.sslKeyPassword,
    ca: options.sslCa,
    clientAuth: options.sslClientAuth,
    protocols: options.sslProtocols,
    ciphers: options.sslCiphers,
  }
  const given = Object.entries(ssl).filter(([, value]) => value !== undefined)
  return given.length === 0 ? undefined : Object.fromEntries(given)
}

/** The broker says what is wrong; here it is said in terms of this command's options. */
function startFailure(error: unknown, options: ServeOptions): unknown {
  const admin = `${options.adminHost}:${options.adminPort}`
  // What the broker says of the admin port needs no other words.
  if (error instanceof Error && error.message.startsWith(`${admin} `)) return error
  const at = options.listeners ?? `${options.host}:${options.port}`
  switch ((error as { code?: unknown } | null)?.code) {
    case 'VARVE_PORT_IN_USE':
      return new Failure(
        `${at} is in use by another process. Stop that one, or choose another port: --port ${options.port < 65_000 ? options.port + 100 : 9092}`,
        {
          cause: error,
        },
      )
    case 'VARVE_PORT_NOT_PERMITTED':
      return new Failure(`this user may not listen on ${at}. Choose a port from 1024 on: --port 9092`, {
        cause: error,
      })
    case 'VARVE_ADDRESS_NOT_AVAILABLE':
      return new Failure(
        `${at} is not an address of this machine. Choose one with --host, such as 127.0.0.1 or 0.0.0.0`,
        {
          cause: error,
        },
      )
    default:
      return clusterFailure(error, options)
  }
}

function adminText({ admin }: Broker): string {
  return admin === null ? '' : `, with metrics at http://${admin.host}:${admin.port}/metrics`
}

/** What SIGHUP is for services; for what has a terminal it says that this is gone. */
function reloadsOnHangup(broker: Broker): boolean {
  const hasTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  return (
    !hasTerminal &&
    process.platform !== 'win32' &&
    broker.listeners.some(({ protocol }) => protocol === 'SSL')
  )
}

/** Kafka's default, which `startBroker` does not have: members of a test are all there, those of a deployment come one by one. */
const INITIAL_REBALANCE_DELAY_MS = 3_000

/** Ends the process after an orderly close; a second signal does not wait for it. */
function closeOnSignal(broker: Broker, log: BrokerLog, isJson: boolean): void {
  let closing = false
  const reloads = reloadsOnHangup(broker)
  // Whoever has started it over a channel, as `varve cluster up` does, is gone.
  if (process.channel !== undefined) process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    // The terminal was closed.
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, () => {
      if (signal === 'SIGHUP' && reloads) {
        // What is wrong with the files is in the log.
        if (!closing) broker.reloadCertificates().catch(() => {})
        return
      }
      if (closing) process.exit(exitCode)
      closing = true
      // What the terminal shows of Ctrl-C stays on its own line.
      if (isJson) log('info', `stopping, for ${signal}`)
      else process.stderr.write(`${process.stderr.isTTY ? '\n' : ''}Stopping\n`)
      broker.close().then(
        () => process.exit(0),
        (error: unknown) => {
          const failure = `the broker did not stop cleanly: ${(error as Error).message}`
          if (isJson) log('error', failure)
          else process.stderr.write(`varve: ${failure}\n`)
          process.exit(1)
        },
      )
    })
  }
}

/** @param command where the options are from; what they leave open is looked for elsewhere, see applySources */
export async function serve(given: ServeOptions, command: Command): Promise<void> {
  const configs = await applySources(command, process.env)
  const options: ServeOptions = { ...given, ...command.opts<ServeOptions>() }
  const isJson = options.logFormat === 'json'
  const log = await serveLog(
    options.logFormat,
    options.logLevel ?? (process.env['VARVE_DEBUG'] ? 'debug' : 'info'),
  )
  let broker: Broker
  try {
    broker = await startBroker({
      data: options.data,
      ...(options.listeners === undefined
        ? { host: options.host, port: options.port }
        : { listeners: options.listeners }),
      advertisedListeners: options.advertisedListeners,
      listenerSecurityProtocolMap: options.listenerSecurityProtocolMap,
      ssl: sslOf(options),
      durability: options.durability,
      maxConnections: options.maxConnections,
      maxConnectionsPerIp: options.maxConnectionsPerIp,
      ...(options.adminPort !== undefined && {
        admin: { port: options.adminPort, host: options.adminHost },
      }),
      requestMemoryBytes: options.requestMemoryBytes,
      lowDiskBytes: options.lowDiskBytes,
      closeTimeoutMs: options.closeTimeoutMs,
      nodeId: options.nodeId,
      rack: options.rack,
      cluster: clusterOf(options),
      defaultPartitions: options.partitions,
      autoCreateTopics: options.autoCreate,
      ...(configs['group.initial.rebalance.delay.ms'] === undefined && {
        groups: { initialRebalanceDelayMs: INITIAL_REBALANCE_DELAY_MS },
      }),
      configs,
      log,
    })
  } catch (error) {
    throw startFailure(error, options)
  }
  closeOnSignal(broker, log, isJson)
  // The log says why.
  void broker.ended.then((reason) => reason !== null && process.exit(1))
  // A terminal that is gone, or a log pipe that broke, is no reason to stop serving.
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners('error').on('error', () => {})
  const cluster = clusterFacts(broker)
  if (isJson) {
    const { address, dataDirectories, durability } = broker
    log(
      'info',
      `varve ${version()} is serving Kafka's protocol at ${address}, from ${dataDirectories.join(', ')} (${durability})${adminText(broker)}${cluster === null ? '' : `, as ${clusterLines(cluster).join('; ')}`}`,
    )
    return
  }
  process.stdout.write(
    banner({
      version: version(),
      address: broker.address,
      tls: broker.listeners[0]!.protocol === 'SSL',
      admin: broker.admin,
      cluster,
      dataDirectories: broker.dataDirectories,
      durability: broker.durability,
      problems: broker.problems,
      invocation: invocation({
        script: process.argv[1] ?? '',
        cwd: process.cwd(),
        path: process.env['PATH'] ?? '',
      }),
      colour: process.stdout.isTTY && !process.env['NO_COLOR'],
    }),
  )
}
