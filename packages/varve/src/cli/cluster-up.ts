import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { startCluster } from '@varve/broker'
import { BrokerChild, endAll } from './broker-child.js'
import { clusterBanner, type RunningBroker } from './cluster-banner.js'
import { Failure } from './failure.js'
import { invocation } from './invocation.js'
import { findEtcd, LocalEtcd } from './local-etcd.js'
import { keyOf, serveSettings, variableOf } from './serve-settings.js'
import { type ServeClusterOptions, withoutCredentials } from './serve-cluster.js'
import { version } from './version.js'

export interface UpOptions extends ServeClusterOptions {
  brokers: number
  data?: string
  port: number
  racks?: readonly string[]
}

/** What runs, and how it ends. */
interface Running {
  readonly brokers: readonly RunningBroker[]
  /** Where the metadata is. */
  readonly store: string
  stop(): Promise<void>
}

/** Runs a cluster for development until it is told to stop. */
export async function clusterUp(options: UpOptions): Promise<void> {
  const { cluster, data } = options
  if (cluster !== undefined && data === undefined) {
    throw new Failure(
      'the etcd keeps what has to go with the data of the brokers. Say where that is to be: --data DIRECTORY',
      { exitCode: 2 },
    )
  }
  // As what is there already was run before, or in processes of their own where there is an etcd.
  const etcd = cluster !== undefined || hasBeen(data, 'metadata') ? null : findEtcd(process.env)
  const isTogether = cluster === undefined && etcd === null
  if (isTogether && hasBeen(data, 'etcd')) {
    throw new Failure(
      `${data} has the data of an etcd, and none is installed here. Install it (VARVE_ETCD names one that is not in PATH), or choose another --data`,
    )
  }
  const temporary = data === undefined && !isTogether ? await mkdtemp(join(tmpdir(), 'varve-cluster-')) : null
  const clear = async (): Promise<void> => {
    if (temporary !== null) await rm(temporary, { recursive: true, force: true })
  }
  const processes = new Set<ChildProcess>()
  let running: Running | null = null
  let isStopping = false
  const stopped = new Promise<number>((resolve) => {
    for (const [signal, exitCode] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      process.on(signal, () => {
        // Who has no cluster yet has nothing to hand over.
        if (isStopping || running === null) {
          void endAll(processes, 'SIGINT')
            .then(clear)
            .finally(() => process.exit(exitCode))
          return
        }
        isStopping = true
        process.stderr.write(`${process.stderr.isTTY ? '\n' : ''}Stopping\n`)
        resolve(0)
      })
    }
  })
  try {
    running = isTogether
      ? await startTogether(options)
      : await startProcesses(options, temporary ?? resolve(data!), etcd, processes)
    process.stdout.write(
      clusterBanner({
        version: version(),
        brokers: running.brokers,
        store: running.store,
        data: data === undefined ? null : resolve(data),
        invocation: invocation({
          script: process.argv[1] ?? '',
          cwd: process.cwd(),
          path: process.env['PATH'] ?? '',
        }),
        colour: process.stdout.isTTY && !process.env['NO_COLOR'],
      }),
    )
    await stopped
    await running.stop()
  } finally {
    await endAll(processes)
    await clear()
  }
  process.exit(0)
}

/** Whether a directory is that of a cluster which was run with this in it. */
function hasBeen(data: string | undefined, name: string): boolean {
  return data !== undefined && existsSync(join(data, name))
}

/** All brokers in this process. */
async function startTogether({ brokers, data, port, racks }: UpOptions): Promise<Running> {
  const cluster = await startCluster({
    brokers,
    ...(data !== undefined && { data }),
    port,
    ...(racks !== undefined && { racks }),
    log: (brokerId, level, message) => {
      if (level === 'warn' || level === 'error')
        process.stderr.write(`broker ${brokerId}: ${level}: ${message}\n`)
    },
  })
  return {
    brokers: [...cluster.brokers].map(([brokerId, { address, rack }]) => ({
      brokerId,
      address,
      rack,
      pid: null,
    })),
    store: 'in this process, with all brokers, as no etcd is installed here',
    stop: () => cluster.close(),
  }
}

/** Each broker in a process of its own, over an etcd that is there, or one that is started for them by this command. */
async function startProcesses(
  options: UpOptions,
  root: string,
  command: string | null,
  processes: Set<ChildProcess>,
): Promise<Running> {
  const { brokers: count, port, racks = [] } = options
  const started = (child: ChildProcess): unknown => processes.add(child)
  await mkdir(root, { recursive: true })
  const etcd = command === null ? null : await LocalEtcd.start(command, join(root, 'etcd'), started)
  const url = options.cluster ?? etcd!.url
  const environment = environmentOf({ ...options, cluster: url })
  let isStopping = false
  const children = await Promise.all(
    Array.from({ length: count }, async (_, place) => {
      const brokerId = place + 1
      const rack = racks.length === 0 ? null : racks[place % racks.length]!
      const args = [
        ['--broker-id', String(brokerId), '--data', join(root, `broker-${brokerId}`)],
        ['--port', String(port === 0 ? 0 : port + place)],
        rack === null ? [] : ['--rack', rack],
        ['--log-level', 'warn', '--config', `default.replication.factor=${Math.min(3, count)}`],
      ].flat()
      const child = await BrokerChild.start(brokerId, args, environment, started)
      child.onEnd(() => {
        if (!isStopping) process.stderr.write(`broker ${brokerId} has ended ${child.end}; the others go on\n`)
      })
      return { brokerId, address: child.address, rack, pid: child.pid, process: child.process }
    }),
  )
  const where = withoutCredentials(url)
  return {
    brokers: children,
    store: etcd === null ? where : `${where}, with its data in ${join(root, 'etcd')}`,
    stop: async () => {
      isStopping = true
      // Whoever leaves tells etcd so.
      await endAll(children.map((child) => child.process))
      if (etcd !== null) await endAll([etcd.child])
    },
  }
}

/** The environment in which a broker finds its cluster: a command line shows others the password. */
function environmentOf(options: ServeClusterOptions): NodeJS.ProcessEnv {
  // Whatever is said there of one process, here each broker has its own.
  const { VARVE_BROKERS: _, ...environment } = process.env
  for (const setting of serveSettings) {
    const value = (options as Record<string, unknown>)[keyOf(setting)]
    if (setting.name.startsWith('cluster') && value !== undefined)
      environment[variableOf(setting)] = String(value)
  }
  return environment
}
