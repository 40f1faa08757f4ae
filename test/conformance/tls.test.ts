/**
 * TLS between two ends of one library proves little. Here librdkafka, kafkajs and our own clients meet the broker,
 * each with a certificate of its own, because the broker asks for one.
 */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Broker, startBroker } from '@varve/broker'
import { Connection, Producer, type TlsOptions } from '@varve/client'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority, type Credentials } from '../support/certificates.js'
import { mustRun, runChild, startChild } from '../support/children.js'
import { kcat, needs } from '../support/clients.js'
import { temporaryDirectory, varve } from '../support/tree.js'

const directory = temporaryDirectory()
const file = (name: string, text: string): string => {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

let authority: Authority
let client: Credentials
let broker: Broker
let files: { ca: string; cert: string; key: string }

beforeAll(async () => {
  authority = await Authority.create()
  client = await authority.issue('client')
  files = {
    ca: file('ca.pem', authority.ca),
    cert: file('client.pem', client.cert),
    key: file('client.key', client.key),
  }
  broker = await startBroker({
    listeners: 'SSL://127.0.0.1:0',
    ssl: { ...(await authority.issue('broker', ['127.0.0.1'])), ca: authority.ca, clientAuth: 'required' },
  })
})
afterAll(() => broker.close())

const tls = (): TlsOptions => ({ ca: authority.ca, ...client })
const flags = (): string[] => [
  '--broker',
  broker.address,
  '--ca',
  files.ca,
  '--cert',
  files.cert,
  '--key',
  files.key,
]
const kcatFlags = (): string[] =>
  ['-b', broker.address].concat(
    ...[
      'security.protocol=SSL',
      `ssl.ca.location=${files.ca}`,
      `ssl.certificate.location=${files.cert}`,
      `ssl.key.location=${files.key}`,
    ].map((setting) => ['-X', setting]),
  )

test('kcat reads what the command line writes, and the other way round', async (context) => {
  needs(context, kcat)
  const input = Array.from({ length: 5_000 }, (_, index) => `line ${index}\n`).join('')
  await mustRun(process.execPath, [varve, 'produce', 'lines', ...flags()], { input })
  const { stdout } = await mustRun('kcat', ['-C', ...kcatFlags(), '-t', 'lines', '-p', '0', '-e', '-q'])
  expect(stdout.toString()).toBe(input)
  await mustRun('kcat', ['-P', ...kcatFlags(), '-t', 'from-kcat', '-p', '0'], { input })
  const read = await mustRun(process.execPath, [varve, 'consume', 'from-kcat', ...flags(), '--quiet'])
  expect(read.stdout.toString()).toBe(input)
})

test('varve serve takes certificates from files, and the rest from the environment', async () => {
  const credentials = await authority.issue('broker', ['127.0.0.1'])
  const cert = file('broker.pem', credentials.cert)
  const key = file('broker.key', credentials.key)
  const args = [
    'serve',
    '--data',
    join(directory, 'served'),
    '--listeners',
    'SSL://127.0.0.1:0',
    '--ssl-cert',
    cert,
  ]
  const child = startChild(process.execPath, [varve, ...args], {
    env: { ...process.env, VARVE_SSL_KEY: key, VARVE_ADMIN_PORT: '0' },
  })
  let banner = ''
  await new Promise<void>((done) => {
    child.stdout!.on('data', (text) => {
      banner += text
      if (banner.includes('Ctrl-C')) done()
    })
  })
  const address = /address +(\S+)/.exec(banner)![1]!
  const admin = /admin +(\S+)/.exec(banner)![1]!
  const common = ['--broker', address, '--ca', files.ca]
  await mustRun(process.execPath, [varve, 'produce', 'demo', ...common], { input: 'hello\n' })
  const { stdout } = await mustRun(process.execPath, [varve, 'consume', 'demo', ...common, '--quiet'])
  expect(stdout.toString()).toBe('hello\n')
  expect(await (await fetch(admin)).text()).toContain(
    'kafka_server_brokertopicmetrics_messagesin_total{topic="demo"} 1\n',
  )
  child.kill('SIGTERM')
  expect((await once(child, 'exit'))[0]).toBe(0)
})

test('kafkajs writes', async () => {
  const kafka = new Kafka({
    brokers: [broker.address],
    ssl: { ca: [authority.ca], ...client },
    logLevel: logLevel.NOTHING,
  })
  const producer = kafka.producer()
  await producer.connect()
  const [sent] = await producer.send({ topic: 'from-kafkajs', messages: [{ value: 'hello' }] })
  await producer.disconnect()
  expect(sent).toMatchObject({ errorCode: 0, baseOffset: '0' })
})

test('a client learns what is wrong, and whether waiting helps', async () => {
  const [host, port] = [broker.host, broker.port]
  const dial = (options: false | TlsOptions): Promise<Connection> =>
    Connection.dial(host, port, { tls: options })
  await expect(dial(false)).rejects.toMatchObject({
    code: 'VARVE_CONNECTION_CLOSED',
    message: expect.stringContaining('If that listener speaks TLS, connect with tls'),
  })
  await expect(dial({ ...client })).rejects.toMatchObject({
    code: 'VARVE_TLS_FAILED',
    retriable: false,
    message: expect.stringMatching(/^No TLS connection to 127\.0\.0\.1:\d+: .*certificate/),
  })
  await expect(dial({ ca: authority.ca })).rejects.toMatchObject({ code: 'VARVE_TLS_FAILED' })
  const elsewhere = await authority.issue('broker', ['elsewhere.example'])
  const other = await startBroker({ listeners: 'SSL://127.0.0.1:0', ssl: elsewhere })
  await expect(Connection.dial('127.0.0.1', other.port, { tls: tls() })).rejects.toMatchObject({
    code: 'VARVE_TLS_FAILED',
    message: expect.stringContaining('127.0.0.1'),
  })
  const named = await Connection.dial('127.0.0.1', other.port, {
    tls: { ...tls(), servername: 'elsewhere.example' },
  })
  named.close()
  await other.close()
  const producer = new Producer({ brokers: [broker.address], tls: { ca: authority.ca } })
  await expect(producer.send('orders', { value: 'x' })).rejects.toMatchObject({
    message: expect.stringContaining('certificate'),
  })
  await producer.close()
})

test('the command line says which flag to look at', async () => {
  const run = (...args: string[]) =>
    runChild(process.execPath, [varve, 'topic', 'list', '--broker', broker.address, ...args])
  expect((await run()).stderr.toString()).toMatch(/If that listener speaks TLS, connect with --tls\.\n$/)
  expect((await run('--tls')).stderr.toString()).toMatch(/^varve: No TLS connection to .* Check --ca/)
  expect((await run('--ca', '/nowhere.pem')).stderr.toString()).toMatch(
    /cannot read \/nowhere\.pem: .* Check --ca/,
  )
  const half = await run('--cert', files.cert)
  expect([half.code, half.stderr.toString()]).toEqual([
    2,
    'varve: --cert and --key belong together; give both\n',
  ])
})
