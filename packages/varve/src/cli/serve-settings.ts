import { InvalidArgumentError, Option } from 'commander'
import { integer } from './values.js'

/**
 * What `varve serve` can be told: by a flag, by a variable of the environment and by a key of a file, which are all named
 * alike: `--max-connections`, `VARVE_MAX_CONNECTIONS` and `max-connections`.
 */
export interface Setting {
  readonly name: string
  /** Is called so as well: as a variable and as a key, and among its flags. */
  readonly alias?: string
  /** As commander writes them. */
  readonly flags: string
  readonly description: string
  readonly default?: unknown
  /** Makes a value of a text; throws InvalidArgumentError. Default: the text itself. */
  readonly parse?: (text: string) => unknown
  /** Takes several: as arguments of the flag, separated by commas in the environment, as a list in a file. */
  readonly list?: true | undefined
  /** Kafka's configurations that say the same, in a file or by `--config`. */
  readonly kafka?: readonly string[]
  /** Other settings that say the same in another way. */
  readonly conflicts?: readonly string[]
  /** The settings without any of which it says nothing. */
  readonly needs?: readonly string[]
}

const most = 2_147_483_647

function oneOf(...choices: string[]) {
  return (text: string): string => {
    if (choices.includes(text)) return text
    throw new InvalidArgumentError(`Allowed choices are ${choices.join(', ')}.`)
  }
}

function boolean(text: string): boolean {
  const value = text.trim().toLowerCase()
  if (value === 'true' || value === 'false') return value === 'true'
  throw new InvalidArgumentError('It is true or false.')
}

/** The only place that lists them: the flags, the help and the table in docs/operations.md come from here. */
export const serveSettings: readonly Setting[] = [
  {
    name: 'port',
    flags: '-p, --port <port>',
    description: 'port to listen on; 0 lets the system choose',
    default: 9092,
    parse: integer(0, 65_535),
  },
  { name: 'host', flags: '--host <host>', description: 'address to listen on', default: '127.0.0.1' },
  {
    name: 'data',
    flags: '-d, --data <directory...>',
    kafka: ['log.dirs', 'log.dir'],
    description: 'where the logs are kept, or several places to spread them over; made if missing',
    default: ['./varve-data'],
    list: true,
  },
  {
    name: 'durability',
    flags: '--durability <policy>',
    description:
      'when a record is acknowledged: fsync (on disk) or os (in the page cache); fsync if not given, in a cluster os',
    parse: oneOf('fsync', 'os'),
  },
  {
    name: 'listeners',
    flags: '--listeners <list>',
    kafka: ['listeners'],
    description: 'listeners as in Kafka, such as PLAINTEXT://0.0.0.0:9092; instead of --host and --port',
    conflicts: ['port', 'host'],
  },
  {
    name: 'advertised-listeners',
    flags: '--advertised-listeners <list>',
    kafka: ['advertised.listeners'],
    description: 'what clients are told to connect to, where that differs',
  },
  {
    name: 'listener-security-protocol-map',
    flags: '--listener-security-protocol-map <list>',
    kafka: ['listener.security.protocol.map'],
    description: 'what listeners speak that are not called PLAINTEXT or SSL, such as OUTSIDE:SSL',
  },
  {
    name: 'ssl-cert',
    flags: '--ssl-cert <file>',
    kafka: ['ssl.keystore.certificate.chain'],
    description: 'PEM file of the certificate of SSL listeners, those between it and its authority behind it',
  },
  {
    name: 'ssl-key',
    flags: '--ssl-key <file>',
    kafka: ['ssl.keystore.key'],
    description: 'PEM file of its private key',
  },
  {
    name: 'ssl-pfx',
    flags: '--ssl-pfx <file>',
    kafka: ['ssl.keystore.location'],
    description: 'PKCS12 file of both, instead of --ssl-cert and --ssl-key',
    conflicts: ['ssl-cert', 'ssl-key'],
  },
  {
    name: 'ssl-key-password',
    flags: '--ssl-key-password <text>',
    kafka: ['ssl.key.password', 'ssl.keystore.password'],
    description:
      'what the key is decrypted with; a flag is seen by all users of the machine, a variable is not',
  },
  {
    name: 'ssl-ca',
    flags: '--ssl-ca <file>',
    kafka: ['ssl.truststore.certificates', 'ssl.truststore.location'],
    description: 'PEM file of who signs the certificates of clients',
  },
  {
    name: 'ssl-client-auth',
    flags: '--ssl-client-auth <policy>',
    kafka: ['ssl.client.auth'],
    description: 'whether clients have to show a certificate: none, requested or required',
    parse: oneOf('none', 'requested', 'required'),
  },
  {
    name: 'ssl-protocols',
    flags: '--ssl-protocols <version...>',
    kafka: ['ssl.enabled.protocols'],
    description: 'versions of TLS that are spoken: TLSv1.2, TLSv1.3 or, if not given, both',
    list: true,
  },
  {
    name: 'ssl-ciphers',
    flags: '--ssl-ciphers <suite...>',
    kafka: ['ssl.cipher.suites'],
    description: 'cipher suites that may be agreed on; those of Node if not given',
    list: true,
  },
  {
    name: 'node-id',
    alias: 'broker-id',
    flags: '--broker-id, --node-id <id>',
    kafka: ['node.id', 'broker.id'],
    description: "this broker's number, which no other one of its cluster has",
    parse: integer(0, most),
  },
  {
    name: 'brokers',
    flags: '--brokers <count>',
    description:
      'runs so many brokers on threads of this process, for more cores, not for fault tolerance; ids and ports follow each other',
    parse: integer(1, 100),
  },
  {
    name: 'rack',
    flags: '--rack <name>',
    kafka: ['broker.rack'],
    description: 'where this broker stands, which clients are told, and over which replicas are spread',
  },
  {
    name: 'cluster',
    flags: '--cluster <url>',
    description:
      'makes the broker one of a cluster: the etcd that all of them share, as etcd://host:port[,host:port][/prefix], or etcds:// for TLS',
  },
  {
    name: 'cluster-user',
    flags: '--cluster-user <name>',
    description: 'user of the etcd, where it has users',
    needs: ['cluster'],
  },
  {
    name: 'cluster-password',
    flags: '--cluster-password <text>',
    description: 'their password; a flag is seen by all users of the machine, a variable or a file is not',
    needs: ['cluster'],
  },
  {
    name: 'cluster-password-file',
    flags: '--cluster-password-file <file>',
    description: 'file with that password',
    conflicts: ['cluster-password'],
    needs: ['cluster'],
  },
  {
    name: 'cluster-ca',
    flags: '--cluster-ca <file>',
    description: "PEM file of who signs the certificates of the etcd; Node's authorities if not given",
    needs: ['cluster'],
  },
  {
    name: 'cluster-cert',
    flags: '--cluster-cert <file>',
    description: 'PEM file of the certificate that the etcd asks for',
    needs: ['cluster'],
  },
  {
    name: 'cluster-key',
    flags: '--cluster-key <file>',
    description: 'PEM file of its private key',
    needs: ['cluster'],
  },
  {
    name: 'session-timeout',
    flags: '--session-timeout <seconds>',
    description: 'how long the others wait for a broker of which they hear nothing; 9 if not given',
    parse: integer(1, 86_400),
    needs: ['cluster', 'brokers'],
  },
  {
    name: 'inter-broker-listener',
    flags: '--inter-broker-listener <name>',
    kafka: ['inter.broker.listener.name'],
    description: 'the listener by which brokers of a cluster reach each other; the first if not given',
    needs: ['cluster', 'brokers'],
  },
  {
    name: 'replica-lag-time-max-ms',
    flags: '--replica-lag-time-max-ms <ms>',
    kafka: ['replica.lag.time.max.ms'],
    description: 'how long a replica may lag behind its leader and count as in sync; 30000 if not given',
    parse: integer(1, most),
    needs: ['cluster', 'brokers'],
  },
  {
    name: 'partitions',
    flags: '--partitions <count>',
    kafka: ['num.partitions'],
    description: 'partitions of a topic that is created by its first use',
    default: 1,
    parse: integer(1, 10_000),
  },
  {
    name: 'auto-create',
    flags: '--no-auto-create',
    kafka: ['auto.create.topics.enable'],
    description: 'do not create topics by their first use',
    default: true,
    parse: boolean,
  },
  {
    name: 'max-connections',
    flags: '--max-connections <count>',
    kafka: ['max.connections'],
    description: 'further connections are refused; if not given, half of the files that the process may open',
    parse: integer(1, most),
  },
  {
    name: 'max-connections-per-ip',
    flags: '--max-connections-per-ip <count>',
    kafka: ['max.connections.per.ip'],
    description: 'further connections of the same address are refused; no limit if not given',
    parse: integer(0, most),
  },
  {
    name: 'request-memory-bytes',
    flags: '--request-memory-bytes <bytes>',
    kafka: ['queued.max.request.bytes'],
    description: 'what all connections together may hold; 256 MiB if not given',
    // Kafka's default of queued.max.request.bytes.
    parse: (text) => (text === '-1' ? undefined : integer(1024 * 1024)(text)),
  },
  {
    name: 'low-disk-bytes',
    flags: '--low-disk-bytes <bytes>',
    description: 'appends are refused while a disk has fewer free; 0 for never',
    default: 64 * 1024 * 1024,
    parse: integer(0),
  },
  {
    name: 'close-timeout-ms',
    flags: '--close-timeout-ms <ms>',
    description: 'how long requests get to finish when the broker is stopped; 5000 if not given',
    parse: integer(0, most),
  },
  {
    name: 'log-format',
    flags: '--log-format <format>',
    description: 'how log lines are written to standard error: plain or json',
    default: 'plain',
    parse: oneOf('plain', 'json'),
  },
  {
    name: 'log-level',
    flags: '--log-level <level>',
    description: 'which lines: debug, info, warn or error; info if not given',
    parse: oneOf('debug', 'info', 'warn', 'error'),
  },
  {
    name: 'admin-port',
    flags: '--admin-port <port>',
    description: 'port for /metrics and /healthz; none if not given, 0 lets the system choose',
    parse: integer(0, 65_535),
  },
  {
    name: 'admin-host',
    flags: '--admin-host <host>',
    description: 'address that the admin port is on',
    default: '127.0.0.1',
  },
]

/** The variable of a setting. */
export function variableOf({ name }: Pick<Setting, 'name'>): string {
  return `VARVE_${name.toUpperCase().replaceAll('-', '_')}`
}

/** All its variables, of which the first counts above the others. */
export function variablesOf({ name, alias }: Setting): string[] {
  return [name, alias].filter((one) => one !== undefined).map((one) => variableOf({ name: one }))
}

/** Where commander keeps its value. */
export function keyOf({ name }: Setting): string {
  return name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

/** The flag as it is called after the setting, for messages. */
export function flagOf({ flags }: Setting): string {
  return flags.match(/--[\w-]+/g)!.at(-1)!
}

/** For those who look for it under Kafka's name. */
function helpOf({ description, kafka }: Setting): string {
  return kafka === undefined ? description : `${description}; Kafka's ${kafka[0]}`
}

export function optionOf(setting: Setting): Option {
  const option = new Option(setting.flags, helpOf(setting))
  if (setting.default !== undefined && setting.parse !== boolean) option.default(setting.default)
  if (setting.parse !== undefined && setting.parse !== boolean) option.argParser(setting.parse)
  if (setting.conflicts !== undefined) option.conflicts(setting.conflicts.slice())
  return option
}
