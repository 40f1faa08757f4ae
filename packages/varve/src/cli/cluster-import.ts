import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import {
  directoriesOfSeveral,
  importIntoCluster,
  type ImportIntoClusterOptions,
  openLocalMetadataStore,
} from '@varve/broker'
import { count } from './counted.js'
import { Failure } from './failure.js'
import { clusterFailure, clusterOf, type ServeClusterOptions, withoutCredentials } from './serve-cluster.js'
import { printJson } from './table.js'

export interface ImportOptions extends ServeClusterOptions {
  data: readonly string[]
  /** Whether the cluster is to be that of brokers of one process. */
  brokers?: true
  json?: boolean
}

/** Takes what a broker that is alone knows of its topics into the store of a cluster that there is to be. */
export async function importBroker(options: ImportOptions): Promise<void> {
  const { data, json } = options
  const { cluster, args } = options.brokers === true ? inOneProcess(data) : overEtcd(options)
  const imported = await importIntoCluster({
    data,
    cluster,
    log: (level, message) => {
      if (level === 'warn' || level === 'error') process.stderr.write(`${level}: ${message}\n`)
    },
  }).catch((error: unknown) => {
    throw importFailure(error, options)
  })
  if (json) return printJson(imported)
  const { clusterId, brokerId, topics, partitions, metadataAside } = imported
  process.stdout.write(
    `The broker is in the store of the cluster ${clusterId} now, as broker ${brokerId}: ${count(topics, 'topic')}, ${count(partitions, 'partition')}.
What it knew of itself is kept in ${metadataAside}, which nobody reads any more.

Start it with:
  varve serve ${args(brokerId)}
`,
  )
}

/** Where the broker is taken, and how it is started there. */
interface Destination {
  readonly cluster: ImportIntoClusterOptions['cluster']
  readonly args: (brokerId: number) => string
}

function overEtcd(options: ImportOptions): Destination {
  const { cluster, data } = options
  if (cluster === undefined)
    throw new Failure('say where the cluster is to be: --cluster etcd://host:port/prefix, or --brokers', {
      exitCode: 2,
    })
  const { url, etcd } = clusterOf(options)!
  return {
    cluster: { url: url!, ...(etcd !== undefined && { etcd }) },
    args: (brokerId) =>
      `--cluster ${withoutCredentials(cluster)} --broker-id ${brokerId} --data ${data.join(' ')}`,
  }
}

function inOneProcess(data: readonly string[]): Destination {
  const paths = data.map((path) => resolve(path))
  const roots = paths.map((path) => dirname(path))
  const id = brokerIdIn(paths[0]!)
  const { metadata, brokers } = directoriesOfSeveral(roots, [id])
  for (const [place, expected] of brokers.get(id)!.entries()) {
    if (paths[place] === expected) continue
    throw new Failure(
      `brokers of one process are looked for by their ids. Move ${paths[place]} to ${expected}, or to broker-${id} in any other directory, and import it from there`,
    )
  }
  return {
    cluster: { openStore: ({ log }) => openLocalMetadataStore(metadata, { log }) },
    args: (brokerId) => `--brokers 2 --broker-id ${brokerId} --data ${roots.join(' ')}`,
  }
}

/** The id of the broker whose directory this is. */
function brokerIdIn(path: string): number {
  let text = ''
  try {
    text = readFileSync(join(path, 'meta.properties'), 'utf8')
  } catch (error) {
    throw new Failure(`${path} is not the data of a broker: ${(error as Error).message}. Check --data`, {
      cause: error,
    })
  }
  return Number(/^(?:node|broker)\.id=(\d+)$/m.exec(text)?.[1] ?? 0)
}

function importFailure(error: unknown, options: ImportOptions): unknown {
  if ((error as { code?: unknown } | null)?.code !== 'VARVE_LOCKED') return clusterFailure(error, options)
  return new Failure(`the broker in ${options.data.join(', ')} runs. Stop it, and import it then`, {
    cause: error,
  })
}
