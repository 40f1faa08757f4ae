import { readFileSync } from 'node:fs'
import type { Broker, ClusterOptions } from '@varve/broker'
import type { ClusterFacts } from './banner.js'
import { Failure } from './failure.js'

/** What `varve serve` is told of the cluster that the broker is to be one of. */
export interface ServeClusterOptions {
  cluster?: string
  clusterUser?: string
  clusterPassword?: string
  clusterPasswordFile?: string
  clusterCa?: string
  clusterCert?: string
  clusterKey?: string
  sessionTimeout?: number
  interBrokerListener?: string
  replicaLagTimeMaxMs?: number
}

/** How the broker is one of a cluster; undefined where it is alone. */
export function clusterOf(options: ServeClusterOptions): ClusterOptions | undefined {
  if (options.cluster === undefined) return undefined
  return {
    url: options.cluster,
    etcd: given({
      user: options.clusterUser,
      password: passwordOf(options),
      ca: options.clusterCa,
      cert: options.clusterCert,
      key: options.clusterKey,
    }),
    ...membershipOf(options),
  }
}

/** What is said of a broker's part in its cluster, whatever the metadata store is. */
export function membershipOf(options: ServeClusterOptions): ClusterOptions {
  return given({
    sessionTimeoutSeconds: options.sessionTimeout,
    interBrokerListenerName: options.interBrokerListener,
    replicaLagTimeMaxMs: options.replicaLagTimeMaxMs,
  })
}

function passwordOf({ clusterPassword, clusterPasswordFile: file }: ServeClusterOptions): string | undefined {
  if (file === undefined) return clusterPassword
  try {
    // Editors, and echo, end a file with a line break.
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new Failure(
      `cannot read the password for etcd from ${file}: ${(error as Error).message}. Check --cluster-password-file`,
      { cause: error },
    )
  }
}

/** What keeps a broker from becoming one of its cluster, in terms of this command's options. */
export function clusterFailure(
  error: unknown,
  options: ServeClusterOptions & { data: readonly string[] },
): unknown {
  const { cluster, data } = options
  if (cluster === undefined || !(error instanceof Error)) return error
  const fail = (remedy: string): Failure =>
    new Failure(`${error.message.replace(/;[^;]*$/, '')}. ${remedy}`, { cause: error })
  switch ((error as { code?: unknown }).code) {
    case 'VARVE_NO_BROKER_ID':
      return fail('Give it one with --broker-id')
    case 'VARVE_METADATA_AUTH':
      return fail(
        'Check --cluster-user and --cluster-password-file, and that this user has a role that may read and write under the prefix',
      )
    case 'VARVE_FOREIGN_DIRECTORY':
      return new Failure(
        `${data.join(', ')} is the data of a broker that is alone. Take it into a cluster that is new with: varve cluster import --data ${data.join(' ')} --cluster ${withoutCredentials(cluster)}, start it without --cluster, or choose another --data`,
        { cause: error },
      )
    default:
      return error
  }
}

/** The URL of an etcd as others may see it. */
export const withoutCredentials = (url: string): string => url.replace(/\/\/[^@/]*@/, '//')

/** What the banner says of it; null for a broker that is alone. */
export function clusterFacts({ cluster, clusterId, nodeId, rack }: Broker): ClusterFacts | null {
  if (cluster === null) return null
  const { store, brokerIds } = cluster
  return { clusterId, brokerId: nodeId, rack, store: store ?? 'a store of its own', brokerIds }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>
}
