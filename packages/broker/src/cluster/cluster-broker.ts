import { randomUUID } from 'node:crypto'
import { VarveError } from '@varve/records'
import { errorFields, messageOf } from '../broker-log.js'
import type { Closer } from '../broker.js'
import { BrokerConfigs } from '../configs/broker-configs.js'
import { staticConfigs } from '../configs/static-configs.js'
import { DataDirectories, refuseLoneDirectories } from '../data-directories.js'
import type { Foundation, FoundationOptions } from '../foundation.js'
import { formatAddress } from '../listener-address.js'
import type { Membership } from '../membership.js'
import { type ReplicationEnd, ReplicationQuota } from '../replication-quota.js'
import { BrokerPeers } from './broker-peers.js'
import { clusterIdOf } from './cluster-id.js'
import { ClusterMember } from './cluster-member.js'
import { ClusterTopics } from './cluster-topics.js'
import { ControllerForwarding } from './controller-forwarding.js'
import { InSyncChanges } from './in-sync-changes.js'
import { PeerWatch } from './peer-watch.js'
import { RegisteredBrokers } from './registered-brokers.js'
import { readIdentity } from './directory-identity.js'
import { ReplicaFetchers } from './replica-fetchers.js'
import { untilReachable } from './store-patience.js'
import { UncleanRestarts } from './unclean-restarts.js'

/**
 * What a broker of a cluster stands on: data directories of its own, the metadata store that all share, and the others. It
 * is registered, and begins to lead and to follow, once it has joined.
 */
export async function openClusterBroker(
  { options, paths, temporary, openDataDirectory, opening, identity }: FoundationOptions,
  opened: Closer[],
): Promise<Foundation> {
  const { clock, log, durability, lowDiskBytes, rack } = options
  const cluster = options.cluster!
  refuseLoneDirectories(paths)
  const former = await readIdentity(paths)
  if (former === null && options.nodeId === undefined) {
    throw new VarveError(
      'VARVE_NO_BROKER_ID',
      'a broker of a cluster needs an id that no other one has; give it a nodeId',
    )
  }
  const metadata = await cluster.openStore({ clock, log })
  opened.push(() => metadata.close())
  const patiently = <T>(work: () => Promise<T>): Promise<T> => untilReachable(work, { clock, log })
  const expected = { clusterId: options.clusterId, ofDirectory: former?.clusterId ?? null }
  const clusterId = await patiently(() => clusterIdOf(metadata, expected))
  const directories = await DataDirectories.open(
    paths,
    { clusterId, ...(options.nodeId !== undefined && { nodeId: options.nodeId }) },
    openDataDirectory,
    false,
  )
  opened.push(() => directories.close())
  const brokerId = directories.first.nodeId
  const configs = await patiently(() =>
    BrokerConfigs.load(metadata, brokerId, staticConfigs(options, brokerId, directories.paths), true),
  )
  const following = configs.follow()
  opened.push(async () => following.close())
  const member = await patiently(() =>
    ClusterMember.open({
      store: metadata,
      brokerId,
      clock,
      log,
      controllerConfig: () => ({
        defaultMinInsyncReplicas: configs.number('min.insync.replicas'),
        uncleanLeaderElection: configs.boolean('unclean.leader.election.enable'),
        leaderImbalanceCheckIntervalMs: configs.boolean('auto.leader.rebalance.enable')
          ? configs.number('leader.imbalance.check.interval.seconds') * 1000
          : null,
      }),
    }),
  )
  opened.push(async () => member.close())
  configs.onChange(() => member.reconfigureController())
  const brokers = (id: number) => member.image.brokers.get(id)
  const membership: Membership = {
    brokerId,
    isSole: false,
    brokerEpoch: () => member.brokerEpoch,
    brokers,
    replicaLagTimeMaxMs: cluster.replicaLagTimeMaxMs,
    now: () => clock.now(),
  }
  const isSecure = options.protocolOf(cluster.interBrokerListenerName) === 'SSL'
  const peers = new BrokerPeers({
    brokerId,
    brokers,
    listener: cluster.interBrokerListenerName,
    tls: () => (isSecure && identity()) || false,
    onRefused: (id) => member.connectionRefused(id),
  })
  opened.push(async () => peers.close())
  const restarts = await UncleanRestarts.open(directories, durability)
  const topics = await ClusterTopics.open({
    member,
    membership,
    directories,
    restarts,
    peers,
    configs,
    durability,
    lowDiskBytes,
    durable: !temporary,
    clock,
    log,
    opening,
  })
  opened.push(() => topics.detach())
  await restarts.recovered()
  const quotaOf = (end: ReplicationEnd): ReplicationQuota =>
    new ReplicationQuota({ end, brokerId, configs, clock })
  const fetchers = new ReplicaFetchers({
    brokerId,
    quota: quotaOf('follower'),
    limits: {
      waitMaxMs: configs.number('replica.fetch.wait.max.ms'),
      responseMaxBytes: configs.number('replica.fetch.response.max.bytes'),
      partitionMaxBytes: configs.number('replica.fetch.max.bytes'),
    },
    dial: (id) => peers.dial(id),
    clock,
    log,
  })
  opened.push(async () => fetchers.close())
  const inSyncChanges = new InSyncChanges({
    clock,
    replicaLagTimeMaxMs: cluster.replicaLagTimeMaxMs,
    log,
    transact: (transaction) => member.transact(transaction),
  })
  opened.push(async () => inSyncChanges.close())
  topics.onOutOfSyncFetch = (partition) => inSyncChanges.look(partition)
  topics.onRole((partition) => {
    fetchers.follow(partition, topics.logOf(partition))
    inSyncChanges.follow(partition)
  })
  for (const topic of topics.all())
    for (const partition of topic.partitions) fetchers.follow(partition, topics.logOf(partition))
  const watch = new PeerWatch({ brokerId, member, peers, clock })
  opened.push(async () => watch.close())
  let { brokerEpoch } = member
  member.onChange(() => {
    if (brokerEpoch === member.brokerEpoch) return
    brokerEpoch = member.brokerEpoch
    fetchers.brokerEpochChanged()
  })
  let isNoted = false
  member.onChange(() => {
    if (isNoted || !member.hasBeenUnfenced) return
    isNoted = true
    restarts.noted().catch((error: unknown) => {
      log('warn', `could not forget that records may be lost: ${messageOf(error)}`, errorFields(error))
    })
  })
  const vanish = (): void => {
    fetchers.close()
    inSyncChanges.close()
    watch.close()
    peers.close()
    member.close()
    following.close()
  }
  return {
    directories,
    metadata,
    configs,
    topics,
    cluster: new RegisteredBrokers(brokerId, member),
    controller: new ControllerForwarding(member, peers),
    leaderQuota: quotaOf('leader'),
    join: async (endpoints) => {
      member.register({
        incarnationId: randomUUID(),
        directoryId: directories.first.directoryId,
        rack,
        endpoints: Object.fromEntries(
          endpoints.map(({ listener, host, port }) => [listener, formatAddress(host, port)]),
        ),
        mayHaveLostRecords: restarts.mayHaveLostRecords,
        leaseTtlSeconds: cluster.sessionTimeoutSeconds,
      })
      await member.untilRegistered()
    },
    onTakenOver: (listener) => member.onTakenOver(listener),
    problems: () => member.problems(),
    leave: async (timeoutMs) => {
      fetchers.leave()
      if (configs.boolean('controlled.shutdown.enable')) await member.shutDown(timeoutMs)
      vanish()
    },
    vanish,
  }
}
