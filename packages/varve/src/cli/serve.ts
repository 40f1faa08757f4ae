import { startBroker, type Broker } from '@varve/broker'
import type { Command } from 'commander'
import { banner, clusterLines } from './banner.js'
import { closeOnSignal, hasTls } from './close-on-signal.js'
import { invocation } from './invocation.js'
import { clusterFacts, clusterOf } from './serve-cluster.js'
import { serveLog } from './serve-log.js'
import { brokerOptionsOf, type ServeOptions } from './serve-options.js'
import { applySources } from './serve-sources.js'
import { startFailure } from './start-failure.js'
import { version } from './version.js'

function adminText({ admin }: Broker): string {
  return admin === null ? '' : `, with metrics at http://${admin.host}:${admin.port}/metrics`
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
  if (options.brokers !== undefined) {
    const { serveBrokers } = await import('./serve-brokers.js')
    await serveBrokers({ ...options, brokers: options.brokers }, configs, log)
    return
  }
  let broker: Broker
  try {
    broker = await startBroker(brokerOptionsOf(options, configs, clusterOf(options), log))
  } catch (error) {
    throw startFailure(error, options)
  }
  closeOnSignal(
    {
      name: 'the broker',
      hasTls: hasTls(broker.listeners, options.cluster),
      reloadCertificates: () => void broker.reloadCertificates().catch(() => {}),
      close: () => broker.close(),
    },
    log,
    isJson,
  )
  // The log says why.
  void broker.ended.then((reason) => reason !== null && process.exit(1))
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
