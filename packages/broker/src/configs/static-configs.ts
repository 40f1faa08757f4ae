import { VarveError } from '@varve/records'
import type { BrokerOptions, ResolvedOptions } from '../broker-options.js'
import type { ClusterOptions } from '../cluster-options.js'
import { writtenOverrides } from '../connection-limits.js'
import { formatAddress, type ListenerAddress } from '../listener-address.js'
import type { SslOptions } from '../ssl-options.js'
import { brokerConfigs } from './config-tables.js'
import { InvalidConfig, normalizeValue } from './config-value.js'
import type { ConfigValues } from './stored-configs.js'

/** Configurations of the broker as an option has them: names and values as in Kafka's `server.properties`. */
export type GivenConfigs = Readonly<Record<string, string | number | boolean>>

/** Options of their own that say what a configuration of Kafka says. */
const optionNames = {
  'auto.create.topics.enable': 'autoCreateTopics',
  'num.partitions': 'defaultPartitions',
  'socket.request.max.bytes': 'maxRequestBytes',
  'message.max.bytes': 'maxBatchBytes',
  'queued.max.request.bytes': 'requestMemoryBytes',
  'max.connections': 'maxConnections',
  'max.connections.per.ip': 'maxConnectionsPerIp',
  'producer.id.expiration.ms': 'producerIdExpirationMs',
  'max.incremental.fetch.session.cache.slots': 'maxFetchSessions',
} as const

/** The same for those whose value is a text. */
const textOptionNames = {
  'broker.rack': 'rack',
  'listener.security.protocol.map': 'listenerSecurityProtocolMap',
  'max.connections.per.ip.overrides': 'maxConnectionsPerIpOverrides',
} as const

/** The same for the options of groups. */
const groupOptionNames = {
  'group.initial.rebalance.delay.ms': 'initialRebalanceDelayMs',
  'group.min.session.timeout.ms': 'minSessionTimeoutMs',
  'group.max.session.timeout.ms': 'maxSessionTimeoutMs',
  'group.max.size': 'maxSize',
  'offset.metadata.max.bytes': 'offsetMetadataMaxBytes',
  'offsets.retention.minutes': 'offsetsRetentionMinutes',
  'offsets.retention.check.interval.ms': 'offsetsRetentionCheckIntervalMs',
  'offsets.topic.num.partitions': 'offsetsTopicPartitions',
  'offsets.topic.segment.bytes': 'offsetsTopicSegmentBytes',
  'offsets.topic.compression.codec': 'offsetsTopicCompressionCodec',
  'offsets.commit.timeout.ms': 'offsetsCommitTimeoutMs',
} as const

/** The same for those of a cluster. */
const clusterOptionNames = {
  'inter.broker.listener.name': 'interBrokerListenerName',
  'replica.lag.time.max.ms': 'replicaLagTimeMaxMs',
} as const

const sessionTimeout = 'broker.session.timeout.ms'

/** What other options say, in more words than a configuration has. */
const optionsInstead: Readonly<Record<string, string>> = {
  'log.dirs': 'data',
  listeners: 'listeners',
  'advertised.listeners': 'advertisedListeners',
  'node.id': 'nodeId',
  'broker.id': 'nodeId',
  'ssl.cipher.suites': 'ssl',
  'ssl.client.auth': 'ssl',
  'ssl.enabled.protocols': 'ssl',
  'ssl.key.password': 'ssl',
  'ssl.keystore.certificate.chain': 'ssl',
  'ssl.keystore.key': 'ssl',
  'ssl.keystore.location': 'ssl',
  'ssl.keystore.password': 'ssl',
  'ssl.truststore.certificates': 'ssl',
  'ssl.truststore.location': 'ssl',
}

/** Forms of files that are read, which Kafka's configurations name beside the files. */
const formsOfFiles: Readonly<Record<string, readonly string[]>> = {
  'ssl.keystore.type': ['PEM', 'PKCS12'],
  'ssl.truststore.type': ['PEM'],
}

/**
 * Checks configurations that a broker is given when it starts.
 *
 * @throws VarveError `VARVE_INVALID_OPTION` for one that Kafka does not know, that cannot have this value or that does not
 * act here
 */
export function checkGiven(given: GivenConfigs, isOfCluster: boolean): ConfigValues {
  const values = new Map<string, string>()
  for (const [name, raw] of Object.entries(given)) {
    const definition = brokerConfigs.get(name)
    if (name.startsWith('listener.name.')) {
      throw refused(
        `${name} is for one listener, and here all have the same; the option ssl says how they speak TLS`,
      )
    }
    if (definition === undefined)
      throw refused(`there is no configuration ${name}; docs/configuration.md lists them`)
    const option = optionsInstead[name]
    if (option !== undefined) throw refused(`${name} is what the option ${option} says; give that one`)
    if (definition.service === 'fixed' || name === 'process.roles') {
      throw refused(`the configuration ${name} does not act in this broker; leave it out`)
    }
    if (!isOfCluster && definition.service.endsWith('in a cluster')) {
      throw refused(`the configuration ${name} acts in a cluster only; leave it out`)
    }
    if (definition.service === 'altered in a cluster') {
      throw refused(`the configuration ${name} is altered while the broker runs; leave it out`)
    }
    const forms = formsOfFiles[name]
    if (forms !== undefined && !forms.includes(String(raw))) {
      throw refused(`${name} ${raw} is not read: convert the file to ${forms.join(' or ')}, and say so here`)
    }
    try {
      values.set(name, normalizeValue(definition, String(raw)))
    } catch (error) {
      if (error instanceof InvalidConfig) throw refused(error.message)
      throw error
    }
  }
  return values
}

/**
 * Options under which those that a configuration gives have its value.
 *
 * @throws VarveError `VARVE_INVALID_OPTION` when both are given, or files of another form than a configuration says
 */
export function withGiven(options: BrokerOptions, given: ConfigValues): BrokerOptions {
  const form = given.get('ssl.keystore.type')
  if (form !== undefined && options.ssl !== undefined && form !== keystoreType(options.ssl)) {
    throw refused(
      `ssl.keystore.type is ${form}, but ssl has ${keystoreType(options.ssl)}: pfx is PKCS12, cert and key are PEM`,
    )
  }
  const groups = merged({ ...options.groups }, given, groupOptionNames)
  const own = { ...merged({ ...options }, given, { ...optionNames, ...textOptionNames }), groups }
  return options.cluster === undefined ? own : { ...own, cluster: withGivenOfCluster(options.cluster, given) }
}

function withGivenOfCluster(cluster: string | ClusterOptions, given: ConfigValues): ClusterOptions {
  const options: ClusterOptions = typeof cluster === 'string' ? { url: cluster } : cluster
  const own = { ...options, ...merged({ ...options }, given, clusterOptionNames) }
  const timeoutMs = given.get(sessionTimeout)
  if (timeoutMs === undefined) return own
  if (options.sessionTimeoutSeconds !== undefined)
    throw refused(`give either sessionTimeoutSeconds or the configuration ${sessionTimeout}, not both`)
  if (Number(timeoutMs) < 1000 || Number(timeoutMs) % 1000 !== 0)
    throw refused(`${sessionTimeout} must be whole seconds, not ${timeoutMs} ms`)
  return { ...own, sessionTimeoutSeconds: Number(timeoutMs) / 1000 }
}

function merged(
  options: Record<string, unknown>,
  given: ConfigValues,
  names: Readonly<Record<string, string>>,
): Record<string, unknown> {
  for (const [name, option] of Object.entries(names)) {
    const value = given.get(name)
    if (value === undefined || (name === 'queued.max.request.bytes' && Number(value) < 1)) continue
    if (options[option] !== undefined)
      throw refused(`give either ${option} or the configuration ${name}, not both`)
    const { type } = brokerConfigs.get(name)!
    if (type === 'BOOLEAN') options[option] = value === 'true'
    else options[option] = type === 'STRING' ? value : Number(value)
  }
  return options
}

/**
 * What a broker of these options has for configurations of its own, so that DescribeConfigs tells how it is run. Addresses
 * are those that it was given, as in Kafka: a port of 0 stays one.
 */
export function staticConfigs(
  options: ResolvedOptions,
  nodeId: number,
  dataDirectories: readonly string[],
): ConfigValues {
  const values = new Map(options.configs)
  const taken = [
    ...Object.entries(optionNames).map(([name, option]) => [name, options[option]] as const),
    ...Object.entries(groupOptionNames).map(([name, option]) => [name, options.groups[option]] as const),
  ]
  for (const [name, option] of taken) {
    const value = String(option)
    if (value !== brokerConfigs.get(name)!.defaultValue) values.set(name, value)
  }
  const { listeners, advertised, protocolOf, ssl, rack } = options
  if (rack !== null) values.set('broker.rack', rack)
  values.set(
    'listener.security.protocol.map',
    listeners.map(({ name: listener }) => `${listener}:${protocolOf(listener)}`).join(','),
  )
  if (options.maxConnectionsPerIpOverrides.size > 0) {
    values.set('max.connections.per.ip.overrides', writtenOverrides(options.maxConnectionsPerIpOverrides))
  }
  for (const [name, value] of Object.entries(ssl === null ? {} : sslConfigs(ssl))) {
    if (value !== undefined) values.set(name, value)
  }
  values.set('node.id', String(nodeId))
  values.set('broker.id', String(nodeId))
  values.set('process.roles', 'broker,controller')
  values.set('log.dirs', dataDirectories.join(','))
  values.set('listeners', written(listeners))
  values.set('advertised.listeners', written(listeners.map((one) => advertised.get(one.name) ?? one)))
  if (options.cluster !== null) {
    const { sessionTimeoutSeconds, interBrokerListenerName, replicaLagTimeMaxMs } = options.cluster
    values.set('broker.session.timeout.ms', String(sessionTimeoutSeconds * 1000))
    values.set('inter.broker.listener.name', interBrokerListenerName)
    values.set('replica.lag.time.max.ms', String(replicaLagTimeMaxMs))
  }
  if (options.durability === 'fsync') values.set('log.flush.interval.messages', '1')
  return values
}

function keystoreType({ pfx }: SslOptions): string {
  return pfx === undefined ? 'PEM' : 'PKCS12'
}

function sslConfigs({ clientAuth, protocols, ciphers, pfx, ca }: SslOptions) {
  return {
    'ssl.client.auth': clientAuth,
    'ssl.enabled.protocols': protocols?.join(','),
    'ssl.cipher.suites': ciphers?.join(','),
    'ssl.keystore.type': keystoreType({ pfx }),
    'ssl.truststore.type': ca === undefined ? undefined : 'PEM',
  }
}

function written(addresses: readonly ListenerAddress[]): string {
  return addresses.map(({ name, host, port }) => `${name}://${formatAddress(host, port)}`).join(',')
}

function refused(message: string): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', `configs: ${message}`)
}
