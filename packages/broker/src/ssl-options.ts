import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls'
import { VarveError } from '@varve/records'

/** PEM text, as a string or bytes, or the path of a file with it; a string that has no PEM in it is taken for a path. */
export type Pem = string | Buffer

/**
 * What the SSL listeners prove themselves with, and what they ask of clients. Files are read again when they change: new
 * connections then use what is in them.
 */
export interface SslOptions {
  /** The certificate, followed by those between it and its authority: Kafka's `ssl.keystore.certificate.chain`. */
  cert: Pem
  /** Its private key: Kafka's `ssl.keystore.key`. */
  key: Pem
  /** What an encrypted key is decrypted with: Kafka's `ssl.key.password`. */
  passphrase?: string
  /** Who signs the certificates of clients: Kafka's `ssl.truststore.certificates`. Default: the authorities of Node. */
  ca?: Pem
  /**
   * Kafka's `ssl.client.auth`. `'requested'`: a client may come without a certificate, not with a wrong one. `'required'`:
   * none comes without. Default `'none'`.
   */
  clientAuth?: 'none' | 'requested' | 'required'
}

/** What a listener proves itself with, read and checked. */
export interface SslIdentity {
  readonly tls: TlsOptions
  /** The broker's own certificate. */
  readonly certificate: X509Certificate
  /** That one and those between it and its authority. */
  readonly chain: readonly X509Certificate[]
}

type Part = 'cert' | 'key' | 'ca'

/** The files that are read, of what is not given as PEM itself. */
export function sslFiles(ssl: SslOptions): string[] {
  return (['cert', 'key', 'ca'] as const).flatMap((part) => {
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
  const [cert, key] = [await pem(ssl, 'cert'), await pem(ssl, 'key')]
  const ca = ssl.ca === undefined ? undefined : await pem(ssl, 'ca')
  const chain = parsed(ssl, 'cert', 'certificates', () => certificatesIn(cert))
  const certificate = chain[0]!
  const privateKey = parsed(ssl, 'key', 'a private key', () => createPrivateKey({ key, passphrase }))
  if (ca !== undefined) parsed(ssl, 'ca', 'certificates', () => certificatesIn(ca))
  if (!certificate.checkPrivateKey(privateKey)) {
    throw invalid(
      `${named(ssl, 'key')} is not the key of the certificate in ${named(ssl, 'cert')}: give the one that it was made for`,
    )
  }
  const context: SecureContextOptions = {
    cert,
    key,
    ...(passphrase !== undefined && { passphrase }),
    ...(ca !== undefined && { ca }),
  }
  try {
    createSecureContext(context)
  } catch (error) {
    throw invalid(
      `${named(ssl, 'cert')} and ${named(ssl, 'key')} cannot be used: ${(error as Error).message}`,
      error,
    )
  }
  const tls = {
    ...context,
    requestCert: clientAuth !== 'none',
    // Whoever sends none is turned away by Node only where one is required; see TlsHandshakes for 'requested'.
    rejectUnauthorized: clientAuth === 'required',
  }
  return { tls, certificate, chain }
}

/** @throws VarveError `VARVE_INVALID_OPTION` for a certificate that is not valid at `now` (ms), or one behind it */
export function checkValidity(ssl: SslOptions, { chain }: SslIdentity, now: number): void {
  for (const { validFrom, validTo, subject } of chain) {
    const which = `${named(ssl, 'cert')}: the certificate of ${subject.replaceAll('\n', ', ')}`
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

function isPath(given: Pem): given is string {
  return typeof given === 'string' && given !== '' && !given.includes('-----BEGIN')
}

/** The option, and the file that it names. */
function named(ssl: SslOptions, part: Part): string {
  const given = ssl[part]!
  return isPath(given) ? `${part} (${given})` : part
}

async function pem(ssl: SslOptions, part: Part): Promise<string | Buffer> {
  const given = ssl[part]
  if (given === undefined || given.length === 0) {
    throw invalid(
      `${part} is missing; an SSL listener needs a certificate and its key, as PEM or as paths of PEM files`,
    )
  }
  if (!isPath(given)) return given
  try {
    return await readFile(given)
  } catch (error) {
    throw invalid(`cannot read ${part} from ${given}: ${(error as Error).message}`, error)
  }
}

function parsed<T>(ssl: SslOptions, part: Part, what: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw invalid(`${named(ssl, part)} does not hold ${what} as PEM: ${(error as Error).message}`, error)
  }
}

function invalid(problem: string, cause?: unknown): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', `ssl: ${problem}`, { cause })
}
