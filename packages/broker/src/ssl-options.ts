import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls'
import { VarveError } from '@varve/records'

/** PEM text, as a string or bytes, or the path of a file with it; a string that has no PEM in it is taken for a path. */
export type Pem = string | Buffer

/** What the SSL listeners prove themselves with, and what they ask of clients. */
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

/**
 * Reads the files and makes sure that key and certificate fit.
 *
 * @throws VarveError `VARVE_INVALID_OPTION`
 */
export function tlsOptions(ssl: SslOptions): TlsOptions {
  const { clientAuth = 'none', passphrase } = ssl
  if (!['none', 'requested', 'required'].includes(clientAuth)) {
    throw invalid(`clientAuth must be 'none', 'requested' or 'required', not ${JSON.stringify(clientAuth)}`)
  }
  const context: SecureContextOptions = {
    cert: pem(ssl, 'cert'),
    key: pem(ssl, 'key'),
    ...(passphrase !== undefined && { passphrase }),
    ...(ssl.ca !== undefined && { ca: pem(ssl, 'ca') }),
  }
  try {
    createSecureContext(context)
  } catch (error) {
    throw invalid(`certificate and key cannot be used: ${(error as Error).message}`, error)
  }
  return {
    ...context,
    requestCert: clientAuth !== 'none',
    // Whoever sends none is turned away by Node only where one is required; see TlsHandshakes for 'requested'.
    rejectUnauthorized: clientAuth === 'required',
  }
}

function pem(ssl: SslOptions, part: 'cert' | 'key' | 'ca'): string | Buffer {
  const given = ssl[part]
  if (given === undefined || given.length === 0) {
    throw invalid(
      `${part} is missing; an SSL listener needs a certificate and its key, as PEM or as paths of PEM files`,
    )
  }
  if (typeof given !== 'string' || given.includes('-----BEGIN')) return given
  try {
    return readFileSync(given)
  } catch (error) {
    throw invalid(`cannot read ${part} from ${given}: ${(error as Error).message}`, error)
  }
}

function invalid(problem: string, cause?: unknown): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', `ssl: ${problem}`, { cause })
}
