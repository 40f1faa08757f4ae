/**
 * A setting that is ignored is found out in an outage. So whoever mistypes one is told at the start, with the place where it
 * stands; and which of two places counts is no accident.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Admin, Consumer } from '@varve/client'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { Authority } from '../../../test/support/certificates.js'
import { etcdHost, etcdMissing, EtcdProcess } from '../../../test/support/etcd.js'
import { program } from '../src/cli/main.js'
import { keyOf, serveSettings, variableOf, variablesOf } from '../src/cli/serve-settings.js'
import { applySources } from '../src/cli/serve-sources.js'

const bin = fileURLToPath(new URL('../bin/varve.mjs', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'varve-settings-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

interface Outcome {
  readonly options: Record<string, unknown>
  readonly configs: Record<string, unknown>
}

async function resolve(args: string[], environment: NodeJS.ProcessEnv, file?: string): Promise<Outcome> {
  const path = join(directory, 'varve.yaml')
  if (file !== undefined) writeFileSync(path, file)
  const all = program()
  const command = all.commands.find((each) => each.name() === 'serve')!
  command.action(() => {})
  all.parse(['serve', ...args, ...(file === undefined ? [] : ['--config-file', path])], { from: 'user' })
  const configs = await applySources(command, environment)
  return { options: command.opts(), configs }
}

test('a flag counts above the environment, that above the file, and that above the default', async () => {
  const file = 'port: 3\nnode-id: 3\npartitions: 3\n'
  const { options } = await resolve(['--port', '1'], { VARVE_PORT: '2', VARVE_NODE_ID: '2' }, file)
  expect(options).toMatchObject({ port: 1, nodeId: 2, partitions: 3, host: '127.0.0.1' })
})

test("a broker's id is called as its flags are, in the environment and in a file", async () => {
  expect((await resolve([], { VARVE_BROKER_ID: '2' })).options).toMatchObject({ nodeId: 2 })
  expect((await resolve([], {}, 'broker-id: 3\n')).options).toMatchObject({ nodeId: 3 })
  await expect(resolve([], {}, 'broker-id: 3\nnode-id: 3\n')).rejects.toThrow(
    'give either broker-id or node-id, not both',
  )
})

test('lists, truths and texts', async () => {
  expect((await resolve([], { VARVE_DATA: '/a, /b', VARVE_AUTO_CREATE: 'false' })).options).toMatchObject({
    data: ['/a', '/b'],
    autoCreate: false,
  })
  const file = 'data: [/c, /d]\nauto-create: false\nlisteners: SSL://:9093\n'
  expect((await resolve([], {}, file)).options).toMatchObject({
    data: ['/c', '/d'],
    autoCreate: false,
    listeners: 'SSL://:9093',
  })
  expect((await resolve(['--no-auto-create'], { VARVE_AUTO_CREATE: 'true' })).options['autoCreate']).toBe(
    false,
  )
})

test('configurations of Kafka have dots and go to the broker as they are; JSON is YAML too', async () => {
  const file = '{ "log.retention.hours": 24, "compression.type": "zstd", "port": 0 }'
  const { configs, options } = await resolve([], {}, file)
  expect(configs).toEqual({ 'log.retention.hours': 24, 'compression.type': 'zstd' })
  expect(options['port']).toBe(0)
})

test('a configuration of Kafka that is a setting under another name is that setting', async () => {
  const file = 'log.dirs: /a,/b\nadvertised.listeners: SSL://x:1\nnode.id: 3\nssl.client.auth: required\n'
  const { options, configs } = await resolve(
    ['--config', 'broker.id=4', '--config', 'log.retention.hours=1'],
    {},
    `${file}log.retention.hours: 2\n`,
  )
  expect(options).toMatchObject({
    data: ['/a', '/b'],
    advertisedListeners: 'SSL://x:1',
    nodeId: 4,
    sslClientAuth: 'required',
  })
  expect(configs).toEqual({ 'log.retention.hours': '1' })
  await expect(resolve(['--node-id', '1', '--config', 'node.id=2'], {})).rejects.toThrow(
    'give either --node-id or node.id, not both',
  )
})

test.each([
  ['partitions', 'num.partitions', '6', 3, 6],
  ['auto-create', 'auto.create.topics.enable', 'FALSE', true, false],
  ['max-connections', 'max.connections', '5', 3, 5],
  ['max-connections-per-ip', 'max.connections.per.ip', '5', 3, 5],
  ['request-memory-bytes', 'queued.max.request.bytes', '5000000', 3000000, 5000000],
  ['listeners', 'listeners', 'PLAINTEXT://:1', 'PLAINTEXT://:2', 'PLAINTEXT://:1'],
  ['listener-security-protocol-map', 'listener.security.protocol.map', 'A:SSL', 'A:PLAINTEXT', 'A:SSL'],
])(
  '%s counts above %s of a file, and may be said so by --config too',
  async (name, kafka, text, low, high) => {
    const setting = serveSettings.find((one) => one.name === name)!
    const file = `${kafka}: ${String(low)}\n`
    const key = keyOf(setting)
    expect((await resolve([], {}, file)).options[key]).toBe(low)
    const above = await resolve([], { [variableOf(setting)]: text }, file)
    expect(above.options[key]).toBe(high)
    const flagged = await resolve(['--config', `${kafka}=${text}`], {}, file)
    expect(flagged.options[key]).toBe(high)
    // What is left there would be given to the broker twice.
    expect([above.configs, flagged.configs]).toEqual([{}, {}])
  },
)

test("Kafka's way of leaving queued.max.request.bytes open leaves it open", async () => {
  const { options, configs } = await resolve([], {}, 'queued.max.request.bytes: -1\n')
  expect([options['requestMemoryBytes'], configs]).toEqual([undefined, {}])
})

test('a keystore of Kafka, versions of TLS and cipher suites', async () => {
  const file = `ssl.keystore.location: /k.p12
ssl.keystore.type: PKCS12
ssl.truststore.location: /ca.pem
ssl.keystore.password: secret
ssl.enabled.protocols: TLSv1.2, TLSv1.3
ssl.cipher.suites: TLS_AES_128_GCM_SHA256
`
  const { options, configs } = await resolve([], {}, file)
  expect(configs).toEqual({ 'ssl.keystore.type': 'PKCS12' })
  expect(options).toMatchObject({
    sslPfx: '/k.p12',
    sslCa: '/ca.pem',
    sslKeyPassword: 'secret',
    sslProtocols: ['TLSv1.2', 'TLSv1.3'],
    sslCiphers: ['TLS_AES_128_GCM_SHA256'],
  })
  await expect(resolve(['--ssl-cert', 'c'], {}, file)).rejects.toThrow('give either ssl-pfx or ssl-cert')
})

test('what says how a broker is one of a cluster needs one, over an etcd or in the process', async () => {
  const timeout = ['--session-timeout', '5']
  await expect(resolve(timeout, {})).rejects.toThrow(
    'session-timeout is of use beside cluster or brokers only; give that as well, or leave it out',
  )
  for (const environment of [{ VARVE_CLUSTER: 'etcd://e' }, { VARVE_BROKERS: '2' }])
    expect((await resolve(timeout, environment)).options['sessionTimeout']).toBe(5)
  await expect(resolve(['--cluster-user', 'u'], { VARVE_BROKERS: '2' })).rejects.toThrow(
    'beside cluster only',
  )
})

test('of two names of a setting a file has one', async () => {
  await expect(resolve([], {}, 'partitions: 2\nnum.partitions: 3\n')).rejects.toThrow(
    'give either partitions or num.partitions, not both',
  )
})

test('what Kubernetes puts into the environment for a service called varve is not meant', async () => {
  expect((await resolve([], { VARVE_PORT: 'tcp://10.0.0.1:9092' })).options['port']).toBe(9092)
})

test.each([
  [{ VARVE_PORT: 'x' }, undefined, /^VARVE_PORT: 'x' is invalid\. It is a whole number from 0 to 65535\.$/],
  [{ VARVE_AUTO_CREATE: 'yes' }, undefined, /^VARVE_AUTO_CREATE: 'yes' is invalid\. It is true or false\.$/],
  [{}, 'port: many', /varve\.yaml: port: 'many' is invalid/],
  [{}, 'max-conections: 3', /varve\.yaml: there is no setting max-conections\. varve serve --help/],
  [{}, 'a: [', /varve\.yaml is not YAML/],
  [{}, '- port', /varve\.yaml must hold settings/],
  [{}, 'host: { a: 1 }', /varve\.yaml: host has no value that it could have/],
  [{ VARVE_LISTENERS: 'A://:1', VARVE_PORT: '1' }, undefined, /give either listeners or port, not both/],
  [
    { VARVE_CONFIG_FILE: '/nowhere/varve.yaml' },
    undefined,
    /cannot read \/nowhere\/varve\.yaml: .* Check --config-file/,
  ],
])('%j and %j are refused', async (environment, file, message) => {
  await expect(resolve([], environment as NodeJS.ProcessEnv, file)).rejects.toThrow(message)
})

test('a broker has the flag, not what the file says', async () => {
  const path = join(directory, 'three.yaml')
  writeFileSync(path, 'num.partitions: 3\nmax.connections: 3\n')
  const args = ['serve', '--partitions', '6', '--max-connections', '5', '--config-file', path]
  const child = spawn(
    process.execPath,
    [bin, ...args, '--port', '0', '--data', join(directory, 'six'), '--log-format', 'json'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr.on('data', (text) => (errors += text))
  const [, address] = await vi.waitFor(() => /protocol at ([\d.:]+),/.exec(errors) ?? expect.fail(errors), {
    timeout: 40_000,
  })
  await using admin = new Admin({ brokers: [address!] })
  const { controllerId } = await admin.describeCluster()
  const [found] = await admin.describeConfigs([{ type: 'broker', name: String(controllerId) }])
  const values = Object.fromEntries(found!.entries.map(({ name, value }) => [name, value]))
  expect(values).toMatchObject({ 'num.partitions': '6', 'max.connections': '5' })
})

test('why a group rebalances is said without being asked for', async () => {
  const args = ['serve', '--port', '0', '--data', join(directory, 'grouped'), '--durability', 'os']
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let [said, errors] = ['', '']
  child.stdout.on('data', (text) => (said += text))
  child.stderr.on('data', (text) => (errors += text))
  const [, port] = await vi.waitFor(() => /127\.0\.0\.1:(\d+)/.exec(said) ?? expect.fail(said), {
    timeout: 40_000,
  })
  const brokers = [`127.0.0.1:${port}`]
  await using admin = new Admin({ brokers })
  await admin.createTopics([{ name: 'orders', partitions: 1 }])
  await using consumer = new Consumer({ brokers, groupId: 'billing' })
  consumer.subscribe(['orders'])
  const reading = consumer[Symbol.asyncIterator]().next()
  await vi.waitFor(() => expect(errors).toMatch(/^info: group billing: .*rebalance/m), { timeout: 40_000 })
  await consumer.close()
  await reading
})

test('docs/operations.md lists all of them', () => {
  const page = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8')
  const rows = serveSettings.map(
    (setting) =>
      `| \`${setting.flags.replaceAll(/^-\w, /g, '')}\` | ${variablesOf(setting)
        .map((one) => `\`${one}\``)
        .join(', ')} | ${(setting.kafka ?? [])
        .map((name) => `\`${name}\``)
        .join(
          ', ',
        )} | ${setting.default === undefined ? '' : `\`${String(setting.default)}\``} | ${setting.description} |`,
  )
  expect(page).toContain(`${rows.join('\n')}\n`)
})

test.each([1, 2])(
  'SIGHUP has a renewed certificate read by %i, where there is one and no terminal',
  async (count) => {
    const authority = await Authority.create()
    const [cert, key, ca] = ['cert', 'key', 'ca'].map((part) => join(directory, `${part}-${count}.pem`)) as [
      string,
      string,
      string,
    ]
    writeFileSync(ca, authority.ca)
    const put = async (name: string): Promise<void> => {
      const credentials = await authority.issue(name, ['127.0.0.1'])
      writeFileSync(cert, credentials.cert)
      writeFileSync(key, credentials.key)
    }
    await put('first')
    const args = [bin, 'serve', '--listeners', 'SSL://127.0.0.1:0', '--data', join(directory, `tls-${count}`)]
    // Brokers that are several are clients of each other, and trust this authority only.
    if (count > 1) args.push('--brokers', String(count), '--ssl-ca', ca)
    const child = spawn(
      process.execPath,
      [...args, '--ssl-cert', cert, '--ssl-key', key, '--log-format', 'json', '--close-timeout-ms', '0'],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    let errors = ''
    child.stderr.on('data', (text) => (errors += text))
    const said = (what: string, times: number) =>
      vi.waitFor(() => expect(errors.split(what)).toHaveLength(times + 1), { timeout: 40_000 })
    await said('is serving', 1)
    // Looking by itself it would take ten seconds more.
    await put('second')
    child.kill('SIGHUP')
    await said('TLS uses the certificate of CN=second', count)
    child.kill('SIGTERM')
    expect(await new Promise((done) => child.once('close', done))).toBe(0)
  },
)

if (etcdMissing !== null) test('SIGHUP and an etcd with TLS', (context) => context.skip(etcdMissing!))

test.skipIf(etcdMissing !== null)(
  'SIGHUP has certificates for etcd read again, though no listener has any',
  async () => {
    const authority = await Authority.create()
    const server = await authority.issue('etcd', [etcdHost])
    const etcd = await EtcdProcess.start({ tls: { ...server, clientCa: authority.ca } })
    onTestFinished(() => etcd.close())
    const file = (part: string, text: string): string => {
      const path = join(directory, `etcd-${part}.pem`)
      writeFileSync(path, text)
      return path
    }
    const { cert, key } = await authority.issue('a broker')
    const files = ['--cluster-ca', file('ca', authority.ca), '--cluster-cert', file('cert', cert)]
    const args = [...files, '--cluster-key', file('key', key), '--data', join(directory, 'tls-etcd')]
    const child = spawn(
      process.execPath,
      [
        bin,
        'serve',
        '--port',
        '0',
        '--broker-id',
        '1',
        '--cluster',
        etcd.url,
        '--log-format',
        'json',
        ...args,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    let errors = ''
    child.stderr.on('data', (text) => (errors += text))
    const said = (what: string) => vi.waitFor(() => expect(errors).toContain(what), { timeout: 40_000 })
    await said('is serving')
    child.kill('SIGHUP')
    await said('new connections to etcd use the certificates as they are now')
    file('cert', 'no PEM')
    child.kill('SIGHUP')
    await said('what was in use for etcd stays')
    child.kill('SIGTERM')
    expect(await new Promise((done) => child.once('close', done))).toBe(0)
  },
)

test.each([
  [[], '3000', 'default'],
  [['--config', 'group.initial.rebalance.delay.ms=0'], '0', 'staticBroker'],
] as const)(
  'the first rebalance of a group waits as in Kafka unless told otherwise: %j',
  async (args, value, source) => {
    const child = spawn(
      process.execPath,
      [bin, 'serve', '--port', '0', '--data', join(directory, `delay-${value}`), ...args],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    let banner = ''
    child.stdout.on('data', (text) => (banner += text))
    await vi.waitFor(() => expect(banner).toContain('Ctrl-C'), { timeout: 40_000 })
    await using admin = new Admin({ brokers: [/address +(\S+)/.exec(banner)![1]!] })
    const { controllerId } = await admin.describeCluster()
    const keys = ['group.initial.rebalance.delay.ms']
    const [found] = await admin.describeConfigs([{ type: 'broker', name: String(controllerId), keys }])
    expect(found!.entries).toMatchObject([{ value, source }])
  },
)

test('lines of JSON tell when it serves, where, and why it stops', async () => {
  const args = [bin, 'serve', '--port', '0', '--data', join(directory, 'data'), '--log-format', 'json']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  let errors = ''
  child.stdout.on('data', (text) => (output += text))
  const serving = new Promise<void>((done) => {
    child.stderr.on('data', (text) => {
      errors += text
      if (errors.includes('is serving')) done()
    })
  })
  await serving
  const [, address] = /protocol at ([\d.:]+),/.exec(errors)!
  const admin = new Admin({ brokers: [address!] })
  await admin.createTopics([{ name: 'orders' }])
  await admin.close()
  child.kill('SIGTERM')
  const code = await new Promise((done) => child.once('close', done))
  const lines = errors
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines.find(({ topic }) => topic === 'orders')).toMatchObject({
    level: 'info',
    msg: expect.stringContaining('created topic orders'),
  })
  expect(lines.find(({ msg }) => String(msg).includes('is serving'))).toMatchObject({
    level: 'info',
    msg: expect.stringMatching(/is serving Kafka's protocol at 127\.0\.0\.1:\d+, from .*data \(fsync\)$/),
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
  })
  expect(lines.at(-1)).toMatchObject({ level: 'info', msg: 'stopping, for SIGTERM' })
  expect([code, output]).toEqual([0, ''])
})
