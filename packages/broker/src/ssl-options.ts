import { createPrivateKey, X509Certificate } from 'node:crypto'
import { Duplex } from 'node:stream'
import {
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type TlsOptions,
  TLSSocket,
} from 'node:tls'
import { VarveError } from '@varve/records'
import { opensslCipher } from './cipher-suites.js'
import { isPath, type Pem, pemContent } from './pem.js'

/**
 * What the SSL listeners prove themselves with, and what they ask of clients. Files are read again when they change: new
 * connections then use what is in them.
 */
export interface SslOptions {
  /**
   * Certificate and key in one, as PKCS12 or the path of such a file, instead of `cert` and `key`: a keystore of Kafka's with
   * `ssl.keystore.type=PKCS12`. Its `passphrase` is Kafka's `ssl.keystore.password`.
   */
  pfx?: string | Buffer
  /** The certificate, followed by those between it and its authority: Kafka's `ssl.keystore.certificate.chain`. */
  cert?: Pem
  /** Its private key: Kafka's `ssl.keystore.key`. */
  key?: Pem
  /** What an encrypted key is decrypted with: Kafka's `ssl.key.password`. */
  passphrase?: string
  /**
   * Who signs the certificates of clients, and of the other brokers of a cluster: Kafka's `ssl.truststore.certificates`. Default:
   * the authorities of Node.
   */
  ca?: Pem
  /**
   * Kafka's `ssl.client.auth`. `'requested'`: a client may come without a certificate, not with a wrong one. `'required'`:
   * none comes without. Default `'none'`.
   */
  clientAuth?: 'none' | 'requested' | 'required'
  /** Versions of TLS that are spoken: Kafka's `ssl.enabled.protocols`. Default both. */
  protocols?: readonly TlsVersion[]
  /**
   * Cipher suites that may be agreed on: Kafka's `ssl.cipher.suites`, by the names of the protocol
   * (`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`) or OpenSSL's. Default those of Node.
   */
  ciphers?: readonly string[]
}

/** A version of TLS that a listener may speak. */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

/** What a listener proves itself with, read and checked. */
export interface SslIdentity {
  readonly tls: TlsOptions
  /** That without what only who is called has to decide: the broker proves itself with it to others of its cluster. */
  readonly context: SecureContextOptions
  /** The broker's own certificate. */
  readonly certificate: X509Certificate
  /** That one and, where they are PEM, those between it and its authority. */
  readonly chain: readonly X509Certificate[]
}

type Part = 'cert' | 'key' | 'ca' | 'pfx'

/** The files that are read, of what is not given as PEM itself. */
export function sslFiles(ssl: SslOptions): string[] {
  return (['pfx', 'cert', 'key', 'ca'] as const).flatMap((part) => {
    const given = ssl[part]
    return given !== undefined && isPath(given) ? [given] : []
  })
}

/**
 * Reads the files and makes sure that certificate, key and authorities are some, and that the first two fit.
 *
 * @throws VarveError `VARVE_INVALID_OPTION`, which names the file
 */
export async function readSsl(ssl: SslOptions): Promise<SslIdentity> {
  const { clientAuth = 'none', passphrase } = ssl
  if (!['none', 'requested', 'required'].includes(clientAuth)) {
    throw invalid(`clientAuth must be 'none', 'requested' or 'required', not ${JSON.stringify(clientAuth)}`)
  }
  const { context: keystore, chain } = ssl.pfx === undefined ? await readPem(ssl) : await readPfx(ssl)
  const ca = ssl.ca === undefined ? undefined : await content(ssl, 'ca')
  if (ca !== undefined) parsed(ssl, 'ca', 'certificates as PEM', () => certificatesIn(ca))
  const context: SecureContextOptions = {
    ...keystore,
    ...versions(ssl),
    ...ciphers(ssl),
    ...(passphrase !== undefined && { passphrase }),
    ...(ca !== undefined && { ca }),
  }
  try {
    createSecureContext(context)
  } catch (error) {
    const used = keystoreParts(ssl).map((part) => named(ssl, part))
    throw invalid(`${used.join(' and ')} cannot be used: ${(error as Error).message}`, error)
  }
  const tls = {
    ...context,
    requestCert: clientAuth !== 'none',
    // Whoever sends none is turned away by Node only where one is required; see TlsHandshakes for 'requested'.
    rejectUnauthorized: clientAuth === 'required',
  }
  return { tls, context, certificate: chain[0]!, chain }
}

interface Keystore {
  readonly context: SecureContextOptions
  readonly chain: readonly X509Certificate[]
}

async function readPem(ssl: SslOptions): Promise<Keystore> {
  const [cert, key] = [await content(ssl, 'cert'), await content(ssl, 'key')]
  const chain = parsed(ssl, 'cert', 'certificates as PEM', () => certificatesIn(cert))
  const { passphrase } = ssl
  const privateKey = parsed(ssl, 'key', 'a private key as PEM', () => createPrivateKey({ key, passphrase }))
  if (!chain[0]!.checkPrivateKey(privateKey)) {
    throw invalid(
      `${named(ssl, 'key')} is not the key of the certificate in ${named(ssl, 'cert')}: give the one that it was made for`,
    )
  }
  return { context: { cert, key }, chain }
}

async function readPfx(ssl: SslOptions): Promise<Keystore> {
  if (ssl.cert !== undefined || ssl.key !== undefined)
    throw invalid('give either pfx or cert and key, not both')
  const pfx = await content(ssl, 'pfx')
  const what = 'a certificate and its key as PKCS12 with this passphrase'
  const certificate = parsed(ssl, 'pfx', what, () => {
    const found = certificateOf(createSecureContext({ pfx, passphrase: ssl.passphrase }))
    if (found === undefined) throw new Error('there is no certificate in it')
    return found
  })
  return { context: { pfx }, chain: [certificate] }
}

/** Node tells what is in a PKCS12 by a connection that would use it. */
function certificateOf(secureContext: SecureContext): X509Certificate | undefined {
  const socket = new TLSSocket(new Duplex({ read() {} }), { isServer: true, secureContext })
  const certificate = socket.getX509Certificate()
  socket.destroy()
  return certificate
}

function versions({ protocols }: SslOptions): SecureContextOptions {
  if (protocols === undefined) return {}
  const spoken = (['TLSv1.2', 'TLSv1.3'] as const).filter((version) => protocols.includes(version))
  if (spoken.length === 0 || spoken.length < new Set(protocols).size) {
    throw invalid(`protocols must be TLSv1.2, TLSv1.3 or both, not ${protocols.join(', ') || 'none'}`)
  }
  return { minVersion: spoken[0], maxVersion: spoken.at(-1) }
}

function ciphers({ ciphers: names }: SslOptions): SecureContextOptions {
  if (names === undefined || names.length === 0) return {}
  const unknown = names.filter((name) => opensslCipher(name) === null)
  if (unknown.length > 0) {
    throw invalid(
      `ciphers names ${unknown.join(', ')}, which this Node does not have; tls.getCiphers() lists those that it has`,
    )
  }
  return { ciphers: names.map(opensslCipher).join(':') }
}

/** What certificate and key are in. */
function keystoreParts(ssl: SslOptions): Part[] {
  return ssl.pfx === undefined ? ['cert', 'key'] : ['pfx']
}

/** @throws VarveError `VARVE_INVALID_OPTION` for a certificate that is not valid at `now` (ms), or one behind it */
export function checkValidity(ssl: SslOptions, { chain }: SslIdentity, now: number): void {
  for (const { validFrom, validTo, subject } of chain) {
    const which = `${named(ssl, keystoreParts(ssl)[0]!)}: the certificate of ${subject.replaceAll('\n', ', ')}`
    if (now >= Date.parse(validTo)) throw invalid(`${which} expired at ${validTo}; put a renewed one there`)
    if (now < Date.parse(validFrom)) {
      throw invalid(`${which} is not valid before ${validFrom}; wait, or set the clock of this machine`)
    }
  }
}

function certificatesIn(given: string | Buffer): X509Certificate[] {
  const found = given
    .toString('latin1')
    .match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END [^-]*-----/g)
  if (found === null) throw new Error('there is no certificate in it')
  return found.map((one) => new X509Certificate(one))
}

/** The option, and the file that it names. */
function named(ssl: SslOptions, part: Part): string {
  const given = ssl[part]!
  return isPath(given) ? `${part} (${given})` : part
}

async function content(ssl: SslOptions, part: Part): Promise<string | Buffer> {
  const given = ssl[part]
  if (given === undefined || given.length === 0) {
    throw invalid(
      `${part} is missing; an SSL listener needs a certificate and its key, as PEM or as paths of PEM files, or both as pfx`,
    )
  }
  try {
    return await pemContent(given)
  } catch (error) {
    throw invalid(`cannot read ${part} from ${given.toString()}: ${(error as Error).message}`, error)
  }
}

function parsed<T>(ssl: SslOptions, part: Part, what: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw invalid(`${named(ssl, part)} does not hold ${what}: ${(error as Error).message}`, error)
  }
}

function invalid(problem: string, cause?: unknown): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', `ssl: ${problem}`, { cause })
}
