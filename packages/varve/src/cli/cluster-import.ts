import { importIntoCluster } from '@varve/broker'
import { count } from './counted.js'
import { Failure } from './failure.js'
import { clusterFailure, clusterOf, type ServeClusterOptions, withoutCredentials } from './serve-cluster.js'
import { printJson } from './table.js'

export interface ImportOptions extends ServeClusterOptions {
  data: readonly string[]
  json?: boolean
}

/** Takes what a broker that is alone knows of its topics into the store of a cluster that there is to be. */
export async function importBroker(options: ImportOptions): Promise<void> {
  const { cluster, data, json } = options
  if (cluster === undefined)
    throw new Failure('say where the cluster is to be: --cluster etcd://host:port/prefix', { exitCode: 2 })
  const { url, etcd } = clusterOf(options)!
  const imported = await importIntoCluster({
    data,
    cluster: { url: url!, ...(etcd !== undefined && { etcd }) },
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
  varve serve --cluster ${withoutCredentials(cluster)} --broker-id ${brokerId} --data ${data.join(' ')}
`,
  )
}

function importFailure(error: unknown, options: ImportOptions): unknown {
  if ((error as { code?: unknown } | null)?.code !== 'VARVE_LOCKED') return clusterFailure(error, options)
  return new Failure(`the broker in ${options.data.join(', ')} runs. Stop it, and import it then`, {
    cause: error,
  })
}
