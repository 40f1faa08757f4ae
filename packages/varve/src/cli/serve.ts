import { startBroker, type Broker } from '@varve/broker'
import { banner } from './banner.js'
import { Failure } from './failure.js'
import { invocation } from './invocation.js'
import { version } from './version.js'

export interface ServeOptions {
  port: number
  host: string
  data: readonly string[]
  durability: 'os' | 'fsync'
  listeners?: string
  advertisedListeners?: string
  nodeId?: number
  partitions: number
  autoCreate: boolean
  config?: Readonly<Record<string, string>>
}

/** The broker says what is wrong; here it is said in terms of this command's options. */
function startFailure(error: unknown, options: ServeOptions): unknown {
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
      return error
  }
}

/** Ends the process after an orderly close; a second signal does not wait for it. */
function closeOnSignal(broker: Broker): void {
  let closing = false
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    // The terminal was closed.
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, () => {
      if (closing) process.exit(exitCode)
      closing = true
      // What the terminal shows of Ctrl-C stays on its own line.
      process.stderr.write(`${process.stderr.isTTY ? '\n' : ''}Stopping\n`)
      broker.close().then(
        () => process.exit(0),
        (error: unknown) => {
          process.stderr.write(`varve: the broker did not stop cleanly: ${(error as Error).message}\n`)
          process.exit(1)
        },
      )
    })
  }
}

export async function serve(options: ServeOptions): Promise<void> {
  const configs = options.config ?? {}
  let broker: Broker
  try {
    broker = await startBroker({
      data: options.data,
      ...(options.listeners === undefined
        ? { host: options.host, port: options.port }
        : { listeners: options.listeners }),
      advertisedListeners: options.advertisedListeners,
      durability: options.durability,
      nodeId: options.nodeId,
      ...(configs['num.partitions'] === undefined && { defaultPartitions: options.partitions }),
      ...(!options.autoCreate && { autoCreateTopics: false }),
      configs,
      log: (level, message) => {
        if (level === 'warn' || level === 'error' || process.env['VARVE_DEBUG'])
          process.stderr.write(`${level}: ${message}\n`)
      },
    })
  } catch (error) {
    throw startFailure(error, options)
  }
  closeOnSignal(broker)
  // A terminal that is gone, or a log pipe that broke, is no reason to stop serving.
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners('error').on('error', () => {})
  process.stdout.write(
    banner({
      version: version(),
      address: broker.address,
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
