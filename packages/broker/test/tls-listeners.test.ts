// TLS that looks as if it worked is worse than none: a certificate nobody asked for, a client let in without one, a
// listener that is plaintext after all. And a broker that hangs because somebody began a handshake is down.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { fetch, metadata } from '@varve/protocol'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { Authority, type Credentials } from '../../../test/support/certificates.js'
import { resolveOptions } from '../src/broker-options.js'
import { opensslCipher } from '../src/cipher-suites.js'
import type { SslOptions } from '../src/ssl-options.js'
import { startBroker } from '../src/start-broker.js'
import { BROKER, described } from './support/configs.js'
import { RawClient } from './support/raw-client.js'
import { fetchBody, produceTo, settle, startTestBroker, until } from './support/test-broker.js'
import { recordsIn } from './memory-log.js'

let authority: Authority
let server: Credentials
let directory: string
beforeAll(async () => {
  authority = await Authority.create()
  server = await authority.issue('broker', ['127.0.0.1', 'localhost'])
  directory = await mkdtemp(join(tmpdir(), 'varve-tls-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** Connects when the handshake is over, and with it what the broker thinks of the certificate. */
async function connectSecurely(port: number, options: ConnectionOptions = {}): Promise<RawClient> {
  const socket = connectTls({ host: '127.0.0.1', port, ca: authority.ca, ...options })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  return new RawClient(socket)
}

const hostOf = async (client: RawClient): Promise<string> => {
  const { brokers } = await client.request(metadata, 12, { topics: [] })
  return `${brokers[0]!.host}:${brokers[0]!.port}`
}

test('a listener called SSL speaks TLS, beside one that does not, each with its advertised address', async () => {
  const { broker, lines } = await startTestBroker({
    listeners: 'SSL://127.0.0.1:0,PLAINTEXT://127.0.0.2:0',
    advertisedListeners: 'SSL://broker.example:9093,PLAINTEXT://inside.example:9092',
    ssl: server,
  })
  expect(broker.address).toBe('broker.example:9093')
  expect(broker.listeners).toMatchObject([
    { name: 'SSL', protocol: 'SSL', host: '127.0.0.1', port: broker.port },
    { name: 'PLAINTEXT', protocol: 'PLAINTEXT', host: '127.0.0.2', port: expect.any(Number) },
  ])
  expect(await hostOf(await connectSecurely(broker.port))).toBe('broker.example:9093')
  // A client that speaks no TLS is told so by the end of its connection, and the operator by a line.
  const plain = await RawClient.connect(broker.port)
  plain.send(metadata, 12, { topics: [] })
  await plain.closed
  await until(
    () => lines.some((line) => /no TLS connection with 127\.0\.0\.1:\d+ on SSL: /.test(line)),
    'a line',
  )
})

test('the protocol map gives a listener of any name its protocol', async () => {
  const { broker } = await startTestBroker({
    listeners: 'OUTSIDE://127.0.0.1:0',
    listenerSecurityProtocolMap: 'OUTSIDE:SSL,INSIDE:PLAINTEXT',
    ssl: server,
  })
  expect(await hostOf(await connectSecurely(broker.port))).toBe(broker.address)
})

test('certificate and key may be files', async () => {
  await writeFile(join(directory, 'cert.pem'), server.cert)
  await writeFile(join(directory, 'key.pem'), server.key)
  const ssl = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') }
  const { broker } = await startTestBroker({ listeners: 'SSL://127.0.0.1:0', ssl })
  expect(await hostOf(await connectSecurely(broker.port))).toBe(broker.address)
})

test.each([
  [{ listeners: 'SSL://:0' }, /the listener SSL speaks TLS and needs a certificate/],
  [{ listeners: 'A://:0', listenerSecurityProtocolMap: 'B:SSL' }, /names no protocol for the listener A/],
  [{ listeners: 'A://:0', listenerSecurityProtocolMap: 'A' }, /'A' is not of the form NAME:PROTOCOL/],
  [{ listeners: 'A://:0', listenerSecurityProtocolMap: 'A:TLS' }, /A cannot speak 'TLS'/],
  [{ configs: { 'listener.name.inside.ssl.client.auth': 'required' } }, /for one listener, .* option ssl/],
  [{ configs: { 'ssl.enabled.protocols': 'TLSv1.3' } }, /is what the option ssl says/],
  [{ listeners: 'SASL_SSL://:0' }, /security protocol that this broker does not speak/],
  [{ listeners: 'A://:0', listenerSecurityProtocolMap: { A: 'SASL_SSL' } }, /does not speak/],
])('%j is refused', (options, message) => {
  expect(() => resolveOptions(options)).toThrow(message)
})

test('files that cannot be used are named before anything is bound', async () => {
  const other = await authority.issue('other')
  const listeners = 'SSL://127.0.0.1:0'
  const refused = (ssl: object, message: RegExp): Promise<void> =>
    expect(startBroker({ listeners, ssl: { ...server, ...ssl } })).rejects.toMatchObject({
      code: 'VARVE_INVALID_OPTION',
      message: expect.stringMatching(message),
    })
  await refused({ cert: '/nowhere/cert.pem' }, /^ssl: cannot read cert from \/nowhere\/cert\.pem: ENOENT/)
  await refused({ key: other.key }, /^ssl: key is not the key of the certificate in cert/)
  await refused({ key: server.cert }, /^ssl: key does not hold a private key as PEM/)
  await refused({ ca: 'no certificate -----BEGIN' }, /^ssl: ca does not hold certificates as PEM/)
  await refused({ key: '' }, /^ssl: key is missing/)
  await refused({ clientAuth: 'always' }, /^ssl: clientAuth must be/)
  await refused(
    { protocols: ['TLSv1.1', 'TLSv1.2'] },
    /^ssl: protocols must be TLSv1\.2, TLSv1\.3 or both, not/,
  )
  await refused({ ciphers: ['TLS_X'] }, /^ssl: ciphers names TLS_X, which this Node does not have/)
  await refused({ pfx: keystore }, /^ssl: give either pfx or cert and key/)
  const pfx = { cert: undefined, key: undefined, pfx: keystore }
  await refused(
    pfx,
    /^ssl: pfx \(.*keystore\.p12\) does not hold a certificate and its key as PKCS12 with this/,
  )
  await refused({ ...pfx, pfx: '/nowhere.p12' }, /^ssl: cannot read pfx from \/nowhere\.p12/)
})

const keystore = fileURLToPath(new URL('./fixtures/keystore.p12', import.meta.url))

test('certificate and key may be a keystore of PKCS12, and DescribeConfigs says so', async () => {
  for (const pfx of [keystore, readFileSync(keystore)]) {
    const { broker } = await startTestBroker({
      listeners: 'SSL://127.0.0.1:0',
      ssl: { pfx, passphrase: 'secret' },
    })
    // The certificate signs itself.
    const client = await connectSecurely(broker.port, { rejectUnauthorized: false })
    expect((client.socket as TLSSocket).getPeerX509Certificate()!.subject).toBe('CN=keystore')
    const found = await described(client, BROKER, '0')
    expect(found.get('ssl.keystore.type')).toMatchObject({ value: 'PKCS12', readOnly: true })
  }
})

test('a configuration may say which form the files have, and has to be right', async () => {
  const started = (ssl: SslOptions, configs: Record<string, string>) =>
    startTestBroker({ listeners: 'SSL://127.0.0.1:0', ssl, configs })
  const pfx = { pfx: keystore, passphrase: 'secret' }
  const { broker } = await started(pfx, { 'ssl.keystore.type': 'PKCS12', 'ssl.truststore.type': 'PEM' })
  const client = await connectSecurely(broker.port, { rejectUnauthorized: false })
  expect((await described(client, BROKER, '0')).get('ssl.keystore.type')!.value).toBe('PKCS12')
  await started(server, { 'ssl.keystore.type': 'PEM' })
  await expect(started(server, { 'ssl.keystore.type': 'PKCS12' })).rejects.toThrow(/PKCS12, but ssl has PEM/)
  await expect(started(pfx, { 'ssl.keystore.type': 'PEM' })).rejects.toThrow(/PEM, but ssl has PKCS12/)
  await expect(started(pfx, { 'ssl.keystore.type': 'JKS' })).rejects.toThrow(/JKS is not read: convert/)
  await expect(started(pfx, { 'ssl.truststore.type': 'PKCS12' })).rejects.toThrow(/PKCS12 is not read/)
})

test('versions and cipher suites are those that were given, and DescribeConfigs tells them', async () => {
  const { broker } = await startTestBroker({
    listeners: 'SSL://127.0.0.1:0',
    ssl: {
      ...server,
      ca: authority.ca,
      clientAuth: 'requested',
      protocols: ['TLSv1.2'],
      ciphers: ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
    },
  })
  await expect(connectSecurely(broker.port, { minVersion: 'TLSv1.3' })).rejects.toThrow(/version/)
  const other = 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256'
  await expect(connectSecurely(broker.port, { ciphers: other })).rejects.toThrow(/handshake failure/)
  const client = await connectSecurely(broker.port)
  expect((client.socket as TLSSocket).getCipher()).toMatchObject({
    standardName: expect.stringMatching(/^TLS_ECDHE_(ECDSA|RSA)_WITH_AES_256_GCM_SHA384$/),
    version: expect.stringMatching(/TLSv1[./]2/),
  })
  const found = await described(client, BROKER, '0')
  const valueOf = (name: string) => found.get(`ssl.${name}`)!.value
  expect(valueOf('enabled.protocols')).toBe('TLSv1.2')
  expect(valueOf('cipher.suites')).toBe('TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,ECDHE-RSA-AES256-GCM-SHA384')
  expect([valueOf('client.auth'), valueOf('keystore.type'), valueOf('truststore.type')]).toEqual([
    'requested',
    'PEM',
    'PEM',
  ])
})

test('only TLS 1.3 is spoken where only that is to be', async () => {
  const ssl = { ...server, protocols: ['TLSv1.3'] as const }
  const { broker } = await startTestBroker({ listeners: 'SSL://127.0.0.1:0', ssl })
  await expect(connectSecurely(broker.port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/version/)
  expect(await hostOf(await connectSecurely(broker.port))).toBe(broker.address)
})

test.each([
  ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'],
  ['TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256', 'ECDHE-RSA-AES128-SHA256'],
  ['TLS_RSA_WITH_AES_256_GCM_SHA384', 'AES256-GCM-SHA384'],
  ['TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ['TLS_RSA_WITH_NULL_MD5', null],
])('OpenSSL calls %s %s', (name, openssl) => {
  expect(opensslCipher(name)).toBe(openssl)
})

test.each(['none', 'requested', 'required'] as const)('ssl.client.auth=%s', async (clientAuth) => {
  const known = await authority.issue('client')
  const stranger = await (await Authority.create('somebody else')).issue('client')
  const { broker, clock, lines } = await startTestBroker({
    listeners: 'SSL://127.0.0.1:0',
    ssl: { ...server, ca: authority.ca, clientAuth },
  })
  const outcomeOf = async (credentials: object): Promise<string> => {
    // With TLS 1.3 the client is done before the server has seen its certificate.
    const client = await connectSecurely(broker.port, credentials)
    const outcome = await hostOf(client).then(
      () => 'served',
      () => 'refused',
    )
    await settle()
    // A line is written now and then only.
    clock.advance(10_000)
    return outcome
  }
  const [anonymous, trusted, untrusted] = [
    await outcomeOf({}),
    await outcomeOf(known),
    await outcomeOf(stranger),
  ]
  expect({ anonymous, trusted, untrusted }).toEqual({
    anonymous: clientAuth === 'required' ? 'refused' : 'served',
    trusted: 'served',
    untrusted: clientAuth === 'none' ? 'served' : 'refused',
  })
  const complaints = lines
    .filter((line) => line.startsWith('warn'))
    .map((line) => line.replace(/^.* on SSL: /, ''))
  expect(complaints).toEqual(
    {
      none: [],
      requested: [expect.stringMatching(/^the client's certificate is not trusted: [A-Z_]+$/)],
      required: [
        'peer did not return a certificate',
        expect.stringMatching(/^the client's certificate is not trusted: [A-Z_]+$/),
      ],
    }[clientAuth],
  )
})

test('a handshake that does not go on is given up, and one under way does not keep the broker from closing', async () => {
  const { broker, clock, lines } = await startTestBroker({ listeners: 'SSL://127.0.0.1:0', ssl: server })
  const silent = await RawClient.connect(broker.port)
  await settle()
  clock.advance(9_999)
  expect(silent.socket.destroyed).toBe(false)
  clock.advance(1)
  await silent.closed
  expect(lines.at(-1)).toMatch(/no TLS handshake within 10 s$/)
  const late = await RawClient.connect(broker.port)
  await settle()
  await broker.close()
  await late.closed
  expect(clock.pending).toBe(0)
})

test('handshakes count as connections', async () => {
  const { broker } = await startTestBroker({ listeners: 'SSL://127.0.0.1:0', ssl: server, maxConnections: 1 })
  const silent = await RawClient.connect(broker.port)
  await settle()
  await expect(connectSecurely(broker.port)).rejects.toThrow()
  await silent.close()
  // Until the broker has noticed.
  const next = await vi.waitFor(() => connectSecurely(broker.port), { timeout: 30_000 })
  expect(await hostOf(next)).toBe(broker.address)
})

test('records come whole through TLS, large ones and with the log on a real disk', async () => {
  const { broker, lines } = await startTestBroker({
    listeners: 'SSL://127.0.0.1:0',
    ssl: server,
    engine: true,
  })
  const client = await connectSecurely(broker.port)
  await client.request(metadata, 12, { topics: [{ name: 'orders' }], allowAutoTopicCreation: true })
  const values = Array.from({ length: 8 }, (_, index) => String(index).repeat(900_000))
  for (const value of values) expect((await produceTo(client, 'orders', value)).errorCode).toBe(0)
  const got: string[] = []
  while (got.length < values.length) {
    const body = fetchBody('orders', {
      offset: got.length,
      maxBytes: 4_000_000,
      partitionMaxBytes: 4_000_000,
    })
    const { responses } = await client.request(fetch, 12, body)
    for (const { value } of recordsIn(responses[0]!.partitions[0]!.records)) got.push(String(value))
  }
  expect(got).toEqual(values)
  expect(lines.filter((line) => line.startsWith('warn'))).toEqual([])
})
