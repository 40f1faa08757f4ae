/** Certificates of an authority of the test's own, made when a test asks for them. */
import { webcrypto } from 'node:crypto'
// The next one needs it, and says so.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

type CryptoKeyPair = webcrypto.CryptoKeyPair

x509.cryptoProvider.set(webcrypto as never)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const hour = 3_600_000

export interface Credentials {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export interface Lifetime {
  readonly notBefore: Date
  readonly notAfter: Date
}

/** Signs certificates; `ca` is its own, in PEM. */
export class Authority {
  readonly ca: string
  readonly #certificate: x509.X509Certificate
  readonly #keys: CryptoKeyPair
  #serial = 1

  private constructor(certificate: x509.X509Certificate, keys: CryptoKeyPair) {
    this.ca = certificate.toString('pem')
    this.#certificate = certificate
    this.#keys = keys
  }

  static async create(name = 'an authority'): Promise<Authority> {
    const keys = await newKeys()
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      ...validity(),
      serialNumber: '01',
      name: `CN=${name}`,
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
    })
    return new Authority(certificate, keys)
  }

  /** A certificate for these names; addresses of this machine where they look like one. */
  async issue(
    commonName: string,
    hosts: readonly string[] = [],
    lifetime: Lifetime = validity(),
  ): Promise<Credentials> {
    const keys = await newKeys()
    const names = hosts.map((host): x509.JsonGeneralName => ({
      type: /^[\d.]+$|:/.test(host) ? 'ip' : 'dns',
      value: host,
    }))
    const certificate = await x509.X509CertificateGenerator.create({
      ...lifetime,
      serialNumber: `0${++this.#serial}`,
      subject: `CN=${commonName}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ],
    })
    const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
    return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(key, 'PRIVATE KEY') }
  }
}

function newKeys(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

function validity(): Lifetime {
  return { notBefore: new Date(Date.now() - hour), notAfter: new Date(Date.now() + 90 * 24 * hour) }
}
