import { VarveError } from '@varve/records'

/** Where a member of an etcd cluster serves its clients. */
export interface EtcdEndpoint {
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
}

/** How an etcd is reached by TLS; PEM text or bytes each. */
export interface EtcdTls {
  /** Who signs the certificates of etcd's members. Default: the authorities of Node. */
  readonly ca?: string | Buffer
  /** The certificate for an etcd with `--client-cert-auth`, and those between it and its authority. */
  readonly cert?: string | Buffer
  /** Its private key. */
  readonly key?: string | Buffer
  /** The name that the members' certificates have to be for. Default: the host of each endpoint. */
  readonly serverName?: string
}

/** Who speaks to an etcd whose authentication is enabled. */
export interface EtcdUser {
  readonly name: string
  readonly password: string
}

/** Which etcd is meant, and how it is spoken to. */
export interface EtcdConnection {
  /** At least one; they are tried in this order. */
  readonly endpoints: readonly EtcdEndpoint[]
  /** What all keys begin with: `''`, or `/` and a name, without a slash at its end. */
  readonly keyPrefix: string
  /** Null: without TLS. */
  readonly tls: EtcdTls | null
  /** Null: etcd asks nobody who he is. */
  readonly user: EtcdUser | null
}

/** What an etcd URL does not say, or had better not, because others see command lines. */
export interface EtcdUrlOptions extends EtcdTls {
  readonly user?: string
  readonly password?: string
}

const form = 'etcd://[user[:password]@]host:port[,host:port…][/prefix], or etcds:// for TLS'
const defaultPort = 2379

/**
 * Parses `etcd://[user[:password]@]host:port[,host:port…][/prefix]`, or `etcds://…` for TLS. User and password are
 * percent-encoded where they have to be. Without a port it is 2379. Each cluster that shares an etcd needs a prefix of its own.
 *
 * etcd's JSON gateway, which varve speaks to, takes no client certificate's common name for a user: where etcd
 * has users, a name and a password are needed, beside a certificate or without.
 *
 * @param options what stands beside the URL: user and password, and for `etcds://` the parts of {@link EtcdTls}
 * @throws VarveError `VARVE_INVALID_OPTION`, whose message never has the password in it
 * @example
 * ```ts
 * import { parseEtcdUrl } from '@varve/broker'
 *
 * const { endpoints, keyPrefix } = parseEtcdUrl('etcd://10.0.0.1:2379,10.0.0.2:2379/varve')
 * console.log(endpoints.length, keyPrefix) // 2 /varve
 * ```
 */
export function parseEtcdUrl(url: string, options: EtcdUrlOptions = {}): EtcdConnection {
  const match = /^(etcds?):\/\/(?:([^@/]*)@)?([^@/]*)(\/.*)?$/i.exec(url)
  if (match === null) throw invalid(`the URL of an etcd is of the form ${form}`)
  const [, scheme, credentials, hosts, path = ''] = match
  const isSecure = scheme!.toLowerCase() === 'etcds'
  const endpoints = hosts!.split(',').map(parseEndpoint)
  const addresses = new Set(endpoints.map(({ host, port }) => `${host} ${port}`))
  if (addresses.size < endpoints.length)
    throw invalid('the URL of an etcd names an endpoint twice; name each once')
  if (/[\s?#]/.test(path)) throw invalid(`the key prefix '${path}' of an etcd has a space, a ? or a # in it`)
  return {
    endpoints,
    keyPrefix: path.replace(/\/+$/, ''),
    tls: tlsOf(isSecure, options),
    user: userOf(credentials, options),
  }
}

function parseEndpoint(text: string): EtcdEndpoint {
  const match = /^(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text)
  if (match === null) throw invalid(`'${text}' is no endpoint of an etcd; the form is ${form}`)
  const port = match[3] === undefined ? defaultPort : Number(match[3])
  if (port < 1 || port > 65535) throw invalid(`the endpoint '${text}' has no port from 1 to 65535`)
  return { host: match[1] ?? match[2]!, port }
}

function userOf(credentials: string | undefined, options: EtcdUrlOptions): EtcdUser | null {
  const [inUrl, ...rest] = credentials?.split(':') ?? []
  const passwordInUrl = rest.length > 0 ? rest.join(':') : undefined
  if (inUrl !== undefined && options.user !== undefined)
    throw invalid('the user for etcd is given in the URL and beside it; give it once')
  if (passwordInUrl !== undefined && options.password !== undefined)
    throw invalid('the password for etcd is given in the URL and beside it; give it once')
  const name = options.user ?? decoded(inUrl)
  const password = options.password ?? decoded(passwordInUrl)
  if (name === undefined && password === undefined) return null
  if (name === undefined || name === '') throw invalid('there is a password for etcd, but no user; name one')
  if (password === undefined)
    throw invalid(`the user '${name}' of etcd has no password; give one, in the URL or beside it`)
  return { name, password }
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text)
  } catch {
    throw invalid('the user or the password in the URL of an etcd is not percent-encoded; write % as %25')
  }
}

function tlsOf(isSecure: boolean, { ca, cert, key, serverName }: EtcdUrlOptions): EtcdTls | null {
  const given = Object.entries({ ca, cert, key, serverName }).filter(([, value]) => value !== undefined)
  if (!isSecure && given.length > 0) {
    throw invalid(`the option ${given[0]![0]} is of use for TLS only; write etcds:// in the URL of the etcd`)
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw invalid('a certificate for etcd and its key go together; give both or neither')
  }
  return isSecure ? (Object.fromEntries(given) as EtcdTls) : null
}

function invalid(message: string): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', message)
}
