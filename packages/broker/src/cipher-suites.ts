import { getCiphers } from 'node:tls'

/**
 * The name that OpenSSL has for a cipher suite of TLS, or null of one that it does not have: Kafka's configurations call
 * suites as the protocol's registry does, `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`, OpenSSL those before TLS 1.3 otherwise,
 * `ECDHE-RSA-AES128-GCM-SHA256`. Either is taken.
 */
export function opensslCipher(name: string): string | null {
  const openssl = name.includes('_WITH_')
    ? name
        .replace(/^TLS_/, '')
        .replace(/^RSA_WITH_/, '')
        .replace('_WITH_', '_')
        .replace(/AES_(\d+)/, 'AES$1')
        .replace('_CBC_', '_')
        .replace(/(CHACHA20_POLY1305)_SHA256$/, '$1')
        .replaceAll('_', '-')
    : name
  return getCiphers().includes(openssl.toLowerCase()) ? openssl : null
}
