// A certificate that expires takes the whole broker down, at night. So a renewed one is taken over while it runs, and what is
// half written, does not fit or has expired never takes the place of one that works.
import { once } from 'node:events'
import { rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { metadata } from '@varve/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { Authority, type Credentials, type Lifetime } from '../../../test/support/certificates.js'
import { resolveOptions } from '../src/broker-options.js'
import { openBroker } from '../src/broker.js'
import type { SslOptions } from '../src/ssl-options.js'
import { MemoryDisk } from './memory-log.js'
import { ManualClock } from './support/manual-clock.js'
import { RawClient } from './support/raw-client.js'
import { temporaryDirectory, until } from './support/test-broker.js'

const dayMs = 24 * 3_600_000
const authority = await Authority.create()
const issue = (name: string, days: number, from = -1): Promise<Credentials> =>
  authority.issue(name, ['127.0.0.1'], lifetime(from, days))

function lifetime(from: number, to: number): Lifetime {
  // Certificates know no milliseconds.
  const now = Math.floor(Date.now() / 1000) * 1000
  return { notBefore: new Date(now + from * dayMs), notAfter: new Date(now + to * dayMs) }
}

/** Counts how often the broker has made up its mind when to look next. */
class WatchClock extends ManualClock {
  looksAhead = 0

  override setTimeout(callback: () => void, delayMs: number) {
    if (delayMs === 10_000) this.looksAhead++
    return super.setTimeout(callback, delayMs)
  }
}

/** A broker whose certificate and key are files, under a clock that stands still. */
async function started(first: Credentials, more: Partial<SslOptions> = {}) {
  const directory = await temporaryDirectory()
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') }
  const write = async ({ cert, key }: Partial<Credentials>): Promise<void> => {
    if (cert !== undefined) await writeFile(files.cert, cert)
    if (key !== undefined) await writeFile(files.key, key)
  }
  await write(first)
  const clock = new WatchClock(Date.now())
  const lines: string[] = []
  const options = resolveOptions({
    listeners: 'SSL://127.0.0.1:0',
    ssl: { ...files, ...more },
    admin: { port: 0 },
    clock,
    log: (level, message) => void lines.push(`${level} ${message}`),
  })
  const broker = await openBroker(options, new MemoryDisk())
  onTestFinished(async () => {
    await broker.close()
    expect(clock.pending).toBe(0)
  })
  /** Lets the broker look at the files once. */
  const look = async (afterMs = 10_000): Promise<void> => {
    const { looksAhead } = clock
    await clock.advance(afterMs)
    await until(() => clock.looksAhead > looksAhead, 'the broker has looked')
  }
  const from = (count: number): string[] => lines.slice(count)
  return { broker, lines, from, files, directory, write, look }
}

async function connect(port: number, options: object = {}): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port, ca: authority.ca, ...options })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

/** Whose certificate a new connection is shown. */
async function nameAt(port: number): Promise<string> {
  const socket = await connect(port)
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return String(CN)
}

test('a renewed certificate is for new connections, while open ones go on', async () => {
  const { broker, lines, write, look } = await started(await issue('first', 90))
  const old = new RawClient(await connect(broker.port))
  expect(lines[0]).toMatch(/^info TLS uses the certificate of CN=first \(serial number \w+, valid until 20/)
  const second = await issue('second', 60)
  await write(second)
  expect(await nameAt(broker.port)).toBe('first')
  await look()
  expect(await nameAt(broker.port)).toBe('second')
  const serial = /serial number (\w+), valid until (\S+)\)/.exec(lines.at(-1)!)!
  expect(lines.at(-1)).toMatch(/^info TLS uses the certificate of CN=second .* for new connections$/)
  expect(serial[2]).toBe(lifetime(0, 60).notAfter.toISOString().slice(0, 11) + serial[2]!.slice(11))
  expect((await old.request(metadata, 12, { topics: [] })).brokers).toHaveLength(1)
  const told = lines.length
  await look()
  expect(lines).toHaveLength(told)
})

test('files that are renamed into place, and links that are turned, are noticed', async () => {
  const { broker, files, directory, write, look } = await started(await issue('first', 90))
  const put = async (name: string): Promise<void> => {
    const { cert, key } = await issue(name, 90)
    await writeFile(join(directory, `${name}.cert`), cert)
    await writeFile(join(directory, `${name}.key`), key)
  }
  await put('renamed')
  await rename(join(directory, 'renamed.cert'), files.cert)
  await rename(join(directory, 'renamed.key'), files.key)
  await look()
  expect(await nameAt(broker.port)).toBe('renamed')
  for (const name of ['one', 'two']) {
    await put(name)
    await Promise.all([rm(files.cert), rm(files.key)])
    await symlink(join(directory, `${name}.cert`), files.cert)
    await symlink(join(directory, `${name}.key`), files.key)
    await look()
    expect(await nameAt(broker.port)).toBe(name)
  }
  const same = await issue('again', 90)
  await write(same)
  const past = new Date(0)
  await Promise.all([utimes(files.cert, past, past), utimes(files.key, past, past)])
  await look()
  expect(await nameAt(broker.port)).toBe('again')
})

test('a certificate whose key is still to come is waited for without a word', async () => {
  const { broker, lines, write, look } = await started(await issue('first', 90))
  const { cert, key } = await issue('second', 90)
  const told = lines.length
  await write({ cert })
  await look()
  expect(lines).toHaveLength(told)
  expect(await nameAt(broker.port)).toBe('first')
  await write({ key })
  await look()
  expect(await nameAt(broker.port)).toBe('second')
})

test.each<[what: string, files: () => Promise<Partial<Credentials>>, said: RegExp]>([
  [
    'a key of another certificate',
    async () => ({ key: (await issue('other', 9)).key }),
    /key \(.*key\.pem\) is not the key of/,
  ],
  [
    'a certificate of another key',
    async () => ({ cert: (await issue('other', 9)).cert }),
    /certificate in cert \(.*cert\.pem\)/,
  ],
  [
    'one that has expired',
    () => issue('old', -0.5),
    /cert \(.*cert\.pem\): the certificate of CN=old expired at/,
  ],
  [
    'one that is not valid yet',
    () => issue('new', 9, 2),
    /cert\.pem\): the certificate of CN=new is not valid before/,
  ],
  ['no PEM', async () => ({ cert: 'not yet' }), /cert \(.*cert\.pem\) does not hold certificates as PEM/],
  [
    'half a key',
    async () => ({ key: '-----BEGIN PRIVATE KEY-----\nMIG' }),
    /key \(.*key\.pem\) does not hold a private key/,
  ],
])('%s is not taken over, and the log says what is wrong', async (_what, files, said) => {
  const first = await issue('first', 90)
  const { broker, lines, from, write, look } = await started(first)
  const told = lines.length
  await write(await files())
  for (let times = 0; times < 4; times++) await look()
  expect(await nameAt(broker.port)).toBe('first')
  expect(from(told)).toEqual([expect.stringMatching(said)])
  expect(lines.at(-1)).toMatch(
    /^error the certificate was not renewed, that of CN=first .* stays in use: ssl: /,
  )
  const health = async (): Promise<{ status: string; problems: string[] }> =>
    (await (await fetch(`http://127.0.0.1:${broker.admin!.port}/healthz`)).json()) as never
  expect(await health()).toMatchObject({ status: 'failing', problems: [expect.stringMatching(said)] })
  await expect(broker.reloadCertificates()).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  await write(await issue('right', 90))
  await look()
  expect(await nameAt(broker.port)).toBe('right')
  expect(await health()).toMatchObject({ status: 'serving', problems: [] })
})

test('a certificate that is put there before it is valid is taken over once it is', async () => {
  const { broker, lines, from, write, look } = await started(await issue('first', 90))
  await write(await issue('early', 90, 1))
  await look()
  await look()
  expect(lines.at(-1)).toMatch(/^error .* is not valid before/)
  const told = lines.length
  await look()
  expect(lines).toHaveLength(told)
  await look(dayMs)
  expect(from(told)).toEqual([expect.stringMatching(/^info TLS uses the certificate of CN=early/)])
  const shown = await connect(broker.port, { rejectUnauthorized: false })
  expect(shown.getPeerCertificate().subject.CN).toBe('early')
})

test('files that are gone are an error, and their return none', async () => {
  const first = await issue('first', 90)
  const { broker, lines, files, write, look } = await started(first)
  await rm(files.key)
  await look()
  await look()
  expect(lines.at(-1)).toMatch(/^error .*cannot read key from .*key\.pem: ENOENT/)
  await write(first)
  await look()
  expect(lines.at(-1)).toMatch(/^info TLS uses the certificate of CN=first/)
  expect(await nameAt(broker.port)).toBe('first')
})

test('reloadCertificates does not wait for the next look', async () => {
  const { broker, write } = await started(await issue('first', 90))
  await write(await issue('second', 90))
  await broker.reloadCertificates()
  expect(await nameAt(broker.port)).toBe('second')
})

test('a new authority decides which clients come in', async () => {
  const other = await Authority.create('another')
  const ca = join(await temporaryDirectory(), 'ca.pem')
  await writeFile(ca, authority.ca)
  const { broker, look } = await started(await issue('first', 90), { ca, clientAuth: 'required' })
  const [ours, theirs] = [await authority.issue('ours'), await other.issue('theirs')]
  const served = async (credentials: Credentials): Promise<boolean> => {
    const client = new RawClient(await connect(broker.port, credentials))
    return client.request(metadata, 12, { topics: [] }).then(
      () => true,
      () => false,
    )
  }
  expect([await served(ours), await served(theirs)]).toEqual([true, false])
  await writeFile(ca, other.ca)
  await look()
  expect([await served(ours), await served(theirs)]).toEqual([false, true])
})

test('the end of a certificate is announced each day from 14 days before, and is a metric', async () => {
  const { broker, lines, write, look } = await started(await issue('first', 16))
  const metric = async (): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${broker.admin!.port}/metrics`)).text()
    return Number(/^varve_ssl_certificate_expiry_timestamp_seconds (\S+)$/m.exec(text)![1])
  }
  const { notAfter } = lifetime(0, 16)
  expect(Math.abs((await metric()) - notAfter.getTime() / 1000)).toBeLessThan(60)
  const told = lines.length
  await look()
  expect(lines).toHaveLength(told)
  const dayByDay = async (days: number): Promise<string[]> => {
    const before = lines.length
    for (let day = 0; day < days; day++) {
      await look(dayMs - 10_000)
      await look()
    }
    return lines.slice(before)
  }
  const warnings = await dayByDay(4)
  expect(warnings.map((line) => /^warn .*CN=first .* has (\d+) days left/.exec(line)?.[1])).toEqual([
    '13',
    '12',
    '11',
  ])
  const last = await dayByDay(12)
  expect(last.at(-1)).toMatch(/^error the certificate of CN=first .* has expired/)
  expect(lines.filter((line) => line.startsWith('error'))).toHaveLength(1)
  const from = lines.length
  await write(await authority.issue('second', ['127.0.0.1'], lifetime(-1, 90)))
  await look()
  expect(lines.slice(from)).toEqual([expect.stringMatching(/^info TLS uses the certificate of CN=second/)])
  expect((await metric()) - notAfter.getTime() / 1000).toBeGreaterThan(70 * 24 * 3600)
})
