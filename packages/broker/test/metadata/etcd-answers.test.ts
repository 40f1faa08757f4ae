// What a real etcd cannot be made to do when a test wants it: to lose an answer, to break off in the middle of one, to answer with
// what is not its own. None of it may pass for an outcome, for an event, or for the end of the world.
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { wasNotApplied } from '../../src/metadata/metadata-store.js'
import { ManualClock } from '../support/manual-clock.js'
import { openStore } from './etcd-stores.js'
import { Followed } from './followed.js'
import { header, pair, type ScriptedCall, ScriptedEtcd } from './scripted-etcd.js'

/** The defaults. */
const times = { connectTimeoutMs: 1500, requestTimeoutMs: 3000, quietMs: 5000 }

const put = { puts: [{ key: '/a', value: '1' }] }
const caught = async (asked: Promise<unknown>): Promise<unknown> =>
  await asked.catch((error: unknown) => error)

/** Answers lists with what is there, and hands over the watches. */
function following(watch: (call: ScriptedCall, index: number) => void, revisions: readonly number[] = [10]) {
  let watches = 0
  let lists = 0
  return ScriptedEtcd.start((call) => {
    if (call.path === '/v3/watch') watch(call, watches++)
    else {
      const revision = revisions[Math.min(lists++, revisions.length - 1)]!
      call.reply({ header: header(revision), kvs: [pair('/a', 'ä', revision)], count: '1' })
    }
  })
}

const created = (revision = 10) => ({ header: header(revision), created: true })
const event = (key: string, value: string, revision: number) => ({ kv: pair(key, value, revision) })

test('a transaction whose answer got lost is sent once, and its outcome is unknown', async () => {
  const etcd = await ScriptedEtcd.start((call) => call.drop())
  const other = await ScriptedEtcd.start((call) => call.reply({ header: header(5), succeeded: true }))
  const { store } = openStore(`etcd://${etcd.address},${other.address}`)
  const error = await caught(store.txn(put))
  expect(error).toMatchObject({
    code: 'VARVE_METADATA_OUTCOME_UNKNOWN',
    message: expect.stringContaining(`${etcd.address}: broke the connection`),
  })
  expect([wasNotApplied(error), etcd.calls.length, other.calls.length]).toEqual([false, 1, 0])
  // The next one is for the other endpoint.
  expect(await store.txn(put)).toEqual({ succeeded: true, revision: 5 })
})

test.each([
  [
    'HTTP 503 of a proxy',
    (call: ScriptedCall) => call.refuse(503, '<html>busy</html>'),
    /HTTP 503: <html>busy/,
  ],
  ['garbage', (call: ScriptedCall) => call.reply([]), /no JSON of etcd/],
  ['half a message', (call: ScriptedCall) => (call.write('{"header":{"rev'), call.end()), /no JSON of etcd/],
  ['nothing', (call: ScriptedCall) => call.end(), /answered nothing/],
  ['no header', (call: ScriptedCall) => call.reply({ succeeded: true }), /what etcd never does/],
  ['no revision', (call: ScriptedCall) => call.reply({ header: { cluster_id: '1' } }), /without a revision/],
  [
    'a revision beyond all numbers',
    (call: ScriptedCall) => call.reply({ header: header('9007199254740993'), succeeded: true }),
    /9007199254740993/,
  ],
  [
    'a leader that has changed',
    (call: ScriptedCall) =>
      call.refuse(
        503,
        JSON.stringify({
          error: 'etcdserver: leader changed',
          message: 'etcdserver: leader changed',
          code: 14,
        }),
      ),
    /leader changed/,
  ],
])(
  '%s for an answer leaves the outcome of a transaction unknown, and a list to another endpoint',
  async (_what, answer, reason) => {
    const etcd = await ScriptedEtcd.start(answer)
    const other = await ScriptedEtcd.start((call) =>
      call.reply({ header: header(5), kvs: [pair('/a', '', 4)] }),
    )
    const { store } = openStore(`etcd://${etcd.address},${other.address}`)
    const listed = await store.list('/')
    expect(listed).toEqual({ entries: [{ key: '/a', value: '', revision: 4 }], revision: 5 })
    const { store: alone } = openStore(etcd.url)
    const error = await caught(alone.txn(put))
    expect([error, wasNotApplied(error)]).toEqual([
      expect.objectContaining({
        code: 'VARVE_METADATA_OUTCOME_UNKNOWN',
        message: expect.stringMatching(reason),
      }),
      false,
    ])
    expect(etcd.calls).toHaveLength(2)
    // Asked again: nobody else keeps it alive, or revokes it.
    await expect(alone.keepAlive('7')).rejects.toMatchObject({ code: 'VARVE_METADATA_OUTCOME_UNKNOWN' })
    expect(etcd.of('/v3/lease/keepalive')).toHaveLength(2)
    await expect(alone.grantLease(7)).rejects.toMatchObject({ code: 'VARVE_METADATA_OUTCOME_UNKNOWN' })
    expect(etcd.of('/v3/lease/grant')).toHaveLength(1)
  },
)

test('what a member refuses because it has no leader is asked of the next one, once', async () => {
  const status = { error: 'etcdserver: no leader', message: 'etcdserver: no leader', code: 14 }
  const etcd = await ScriptedEtcd.start((call) => call.refuse(503, JSON.stringify(status)))
  const other = await ScriptedEtcd.start((call) => call.reply({ header: header(5), succeeded: true }))
  const { store } = openStore(`etcd://${etcd.address},${other.address}`)
  expect(await store.txn(put)).toEqual({ succeeded: true, revision: 5 })
  expect([etcd.calls.length, other.calls.length]).toEqual([1, 1])
  expect(etcd.calls[0]!.headers['grpc-metadata-hasleader']).toBe('true')
})

test('something that is no etcd is named for what it is', async () => {
  const server = await ScriptedEtcd.start((call) => call.refuse(404, 'Not Found'))
  await expect(openStore(server.url).store.list('/')).rejects.toMatchObject({
    code: 'VARVE_METADATA_UNAVAILABLE',
    message: expect.stringContaining('etcd 3.4 or later, with --enable-grpc-gateway'),
  })
})

test('what is full, and what has no room, says what to do', async () => {
  const message = 'etcdserver: mvcc: database space exceeded'
  const etcd = await ScriptedEtcd.start((call) =>
    call.refuse(429, JSON.stringify({ error: message, message, code: 8 })),
  )
  const error = await caught(openStore(etcd.url).store.txn(put))
  expect([error, wasNotApplied(error)]).toEqual([
    expect.objectContaining({
      code: 'VARVE_METADATA_REFUSED',
      message: expect.stringContaining('alarm disarm'),
    }),
    true,
  ])
})

test('errors are understood as later lines of etcd write them', async () => {
  const message = 'etcdserver: requested lease not found'
  const etcd = await ScriptedEtcd.start((call) =>
    call.refuse(404, JSON.stringify({ code: 5, message, details: [] })),
  )
  const { store } = openStore(etcd.url)
  const puts = [{ key: '/a', value: '', lease: '77' }]
  await expect(store.txn({ puts })).rejects.toMatchObject({ code: 'VARVE_LEASE_GONE' })
  await store.revokeLease('77')
})

test('requests share connections, and each has a time', async () => {
  const clock = new ManualClock()
  let answers = true
  const etcd = await ScriptedEtcd.start(
    (call) => answers && call.reply({ header: header(5), succeeded: true }),
  )
  const { store } = openStore(etcd.url, { clock, ...times })
  for (let i = 0; i < 5; i++) await store.txn(put)
  expect([etcd.connections, clock.pending]).toEqual([1, 0])
  answers = false
  const asked = caught(store.txn(put))
  await expect.poll(() => etcd.calls.length).toBe(6)
  await clock.advance(2999)
  await clock.advance(1)
  expect(await asked).toMatchObject({
    code: 'VARVE_METADATA_OUTCOME_UNKNOWN',
    message: expect.stringContaining('did not answer within 3000 ms'),
  })
  expect(clock.pending).toBe(0)
})

test('who takes no connection was not asked anything', async () => {
  // The handshake of TLS is never answered.
  const sockets: Socket[] = []
  const server = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const clock = new ManualClock()
  const { port } = server.address() as { port: number }
  const { store } = openStore(`etcds://127.0.0.1:${port}`, { clock, ...times })
  const asked = caught(store.txn(put))
  for (let tries = 1; tries <= 2; tries++) {
    await expect.poll(() => sockets.length).toBe(tries)
    await clock.advance(1500)
  }
  const error = await asked
  expect([error, wasNotApplied(error)]).toEqual([
    expect.objectContaining({
      code: 'VARVE_METADATA_UNAVAILABLE',
      message: expect.stringContaining('took no connection within 1500 ms'),
    }),
    true,
  ])
})

test('messages of a watch are put together from whatever parts they come in', async () => {
  const value = 'ä'.repeat(3_000_000)
  const text = Buffer.from(
    [
      created(),
      { header: header(11), events: [event('/ä', 'ö', 11)] },
      { header: header(13), events: [event('/b', value, 12), event('/c', '', 13)] },
    ]
      .map((message) => `${JSON.stringify({ result: message })}\n`)
      .join(''),
  )
  const etcd = await following((call) => {
    for (let at = 0; at < 600; at += 7) call.write(text.subarray(at, Math.min(at + 7, 600)))
    call.write(text.subarray(600))
  })
  const followed = Followed.on(openStore(etcd.url).store)
  await followed.until(13)
  expect(followed.calls).toHaveLength(3)
  expect(followed.values).toEqual({ '/a': 'ä', '/ä': 'ö', '/b': value, '/c': '' })
})

test('what etcd parts for its size is told as a whole', async () => {
  const etcd = await following((call) => {
    call.send(created())
    call.send({ header: header(12), fragment: true, events: [event('/b', '1', 11), event('/c', '1', 12)] })
    call.send({ header: header(12), fragment: true, events: [event('/d', '1', 12)] })
    call.send({ header: header(12), events: [event('/e', '1', 12)] })
  })
  const followed = Followed.on(openStore(etcd.url).store)
  await followed.until(12)
  expect(followed.calls).toHaveLength(2)
  expect(followed.events.map(({ key, revision }) => `${key}@${revision}`)).toEqual([
    '/b@11',
    '/c@12',
    '/d@12',
    '/e@12',
  ])
})

test('a watch that breaks is taken up behind what was told, and half a message is none', async () => {
  const etcd = await following((call, index) => {
    call.send(created())
    if (index === 0) {
      call.send({ header: header(12), events: [event('/b', '1', 12)] })
      call.send({ header: header(13), fragment: true, events: [event('/c', '1', 13)] })
      call.write('{"result":{"header":{"revision":"14"},"events":[{"kv":{"key":"L2Q=","mod_rev')
      setImmediate(() => call.drop())
    } else if (index === 1) {
      call.send({ header: header(13), events: [event('/c', '1', 13), event('/d', '1', 13)] })
      call.end()
    } else call.send({ header: header(20), events: [event('/b', '2', 20)] })
  })
  const followed = Followed.on(openStore(etcd.url).store)
  await followed.until(20)
  expect(etcd.of('/v3/watch').map((call) => call.startRevision)).toEqual(['11', '13', '14'])
  expect(followed.calls.map((call) => (call === 'reset' ? call : call.map(({ key }) => key)))).toEqual([
    'reset',
    ['/b'],
    ['/c', '/d'],
    ['/b'],
  ])
  expect(followed.failures).toEqual(['VARVE_METADATA_UNAVAILABLE', 'VARVE_METADATA_UNAVAILABLE'])
})

test('what a watch says twice is told once, and garbage ends it', async () => {
  const etcd = await following((call, index) => {
    call.send(created())
    if (index === 0) {
      call.send({ header: header(11), events: [event('/b', '1', 11)] })
      call.send({ header: header(12), events: [event('/b', '1', 11), event('/b', '2', 12)] })
      call.write('garbage\n')
    } else if (index === 1) call.send({ header: header(13), events: 'none' })
    else if (index === 2)
      call.send({ header: header(13), events: [{ kv: { ...pair('/b', '', 1), mod_revision: '1e300' } }] })
    else call.send({ header: header(13), events: [event('/b', '3', 13)] })
  })
  const followed = Followed.on(openStore(etcd.url).store)
  await followed.until(13)
  expect(followed.events.map((one) => one.kind === 'put' && one.value)).toEqual(['1', '2', '3'])
  expect(followed.failures).toHaveLength(3)
})

test('how far etcd says that nothing has happened need not be asked for again', async () => {
  const etcd = await following((call, index) => {
    call.send(created())
    if (index === 0) {
      call.send({ header: header(500) })
      setImmediate(() => call.drop())
    }
  })
  const followed = Followed.on(openStore(etcd.url).store)
  await expect.poll(() => etcd.of('/v3/watch').map((call) => call.startRevision)).toEqual(['11', '501'])
  expect(followed.calls).toEqual(['reset'])
})

test('a watch that is cancelled is taken up again, and begun anew where it is compacted', async () => {
  const etcd = await following(
    (call, index) => {
      if (index === 0)
        call.send({ ...created(), canceled: true, cancel_reason: 'etcdserver: server stopped' })
      else if (index === 1) call.send({ ...created(), canceled: true, compact_revision: '30' })
      else call.send(created(40))
    },
    [10, 40],
  )
  const { store, lines } = openStore(etcd.url)
  const followed = Followed.on(store)
  await followed.until(40)
  expect(followed.calls).toEqual(['reset', 'reset'])
  await expect.poll(() => etcd.of('/v3/watch').map((call) => call.startRevision)).toEqual(['11', '11', '41'])
  expect(lines.join('\n')).toMatch(/cancelled a watch: etcdserver: server stopped[^]*has compacted/)
})

test('an etcd that goes back in its revisions tells nobody anything', async () => {
  const etcd = await following(
    (call) => call.send({ ...created(), canceled: true, compact_revision: '30' }),
    [10, 9],
  )
  const { store, lines } = openStore(etcd.url)
  const followed = Followed.on(store)
  await expect.poll(() => followed.failures.slice(0, 2)).toEqual(Array(2).fill('VARVE_METADATA_WENT_BACK'))
  expect(followed.calls).toEqual(['reset'])
  expect(lines.join('\n')).toMatch(/warn .*etcd is at revision 9, and was at 10 before/)
})

test('a watch that is not answered in time, or hears nothing, is left', async () => {
  const clock = new ManualClock()
  const etcd = await following((call, index) => {
    if (index > 0) call.send(created())
  })
  const followed = Followed.on(openStore(etcd.url, { clock, ...times }).store)
  const watches = () => expect.poll(() => etcd.of('/v3/watch').length)
  await watches().toBe(1)
  await clock.advance(3000)
  await expect.poll(() => followed.failures).toEqual(['VARVE_METADATA_UNAVAILABLE'])
  await clock.advance(100)
  await watches().toBe(2)
  // The first message has to be there before the time begins.
  await expect.poll(() => clock.pending).toBe(1)
  await clock.advance(4999)
  await new Promise((resolve) => setImmediate(resolve))
  expect(etcd.of('/v3/watch')).toHaveLength(2)
  await clock.advance(1)
  await watches().toBe(3)
  expect([followed.calls, followed.failures.length]).toEqual([['reset'], 1])
})

test('a watch does not stay at an endpoint that something else was not answered by', async () => {
  const clock = new ManualClock()
  const answer = (call: ScriptedCall): void => {
    if (call.path === '/v3/watch') call.send(created())
    else if (call.path === '/v3/kv/range') call.reply({ header: header(10) })
    else call.drop()
  }
  const etcd = await ScriptedEtcd.start(answer)
  const other = await ScriptedEtcd.start(answer)
  const { store, lines } = openStore(`etcd://${etcd.address},${other.address}`, { clock, ...times })
  const followed = Followed.on(store)
  await expect.poll(() => etcd.of('/v3/watch').length).toBe(1)
  await expect.poll(() => clock.pending).toBe(1)
  await caught(store.txn(put))
  await expect.poll(() => other.of('/v3/watch').map((call) => call.startRevision)).toEqual(['11'])
  expect([followed.calls, followed.failures, lines.filter((line) => !line.startsWith('debug'))]).toEqual([
    ['reset'],
    [],
    [],
  ])
})

test('a closed store closes its connections, those that nobody uses too', async () => {
  const etcd = await ScriptedEtcd.start((call) => {
    if (call.path === '/v3/kv/range') call.reply({ header: header(10) })
    else if (call.path === '/v3/watch') call.send(created())
  })
  const { store } = openStore(etcd.url)
  await Promise.all([store.list('/'), store.list('/'), store.list('/')])
  Followed.on(store)
  await expect.poll(() => etcd.of('/v3/watch').length).toBe(1)
  const asked = caught(store.txn(put))
  await expect.poll(() => etcd.of('/v3/kv/txn').length).toBe(1)
  expect(etcd.open.size).toBeGreaterThan(2)
  await store.close()
  expect(await asked).toMatchObject({
    code: 'VARVE_METADATA_OUTCOME_UNKNOWN',
    message: expect.stringContaining('the metadata store was closed'),
  })
  await expect.poll(() => etcd.open.size).toBe(0)
})

test('who cannot follow tries again, less and less often', async () => {
  const clock = new ManualClock()
  const etcd = await following((call) => call.drop())
  const { store, lines } = openStore(etcd.url, { clock, ...times })
  const followed = Followed.on(store)
  const watches = (): number => etcd.of('/v3/watch').length
  for (const [index, ms] of [100, 200, 400, 800, 1600, 2000, 2000].entries()) {
    await expect.poll(() => followed.failures.length).toBe(index + 1)
    await expect.poll(() => clock.pending).toBe(1)
    await clock.advance(ms - 1)
    await new Promise((resolve) => setImmediate(resolve))
    expect(watches()).toBe(index + 1)
    await clock.advance(1)
    await expect.poll(watches).toBe(index + 2)
  }
  expect(lines.filter((line) => line.startsWith('warn'))).toHaveLength(1)
})

test('a user is authenticated once for all that is asked, and again when etcd does not know the token any more', async () => {
  let token = 1
  let knows = false
  const etcd = await ScriptedEtcd.start((call) => {
    if (call.path === '/v3/auth/authenticate') {
      knows = true
      return call.reply({ header: header(5), token: `token-${token}` })
    }
    if (knows && call.headers.authorization === `token-${token}`)
      return call.reply({ header: header(5), succeeded: true })
    const message = 'etcdserver: invalid auth token'
    call.refuse(401, JSON.stringify({ error: message, message, code: 16 }))
  })
  const { store } = openStore(`etcd://user:secret@${etcd.address}`)
  await Promise.all([store.txn(put), store.txn(put), store.txn(put)])
  expect(etcd.of('/v3/auth/authenticate').map(({ body }) => body)).toEqual([
    { name: 'user', password: 'secret' },
  ])
  token = 2
  await Promise.all([store.txn(put), store.txn(put), store.txn(put)])
  expect(etcd.of('/v3/auth/authenticate')).toHaveLength(2)
  expect(etcd.of('/v3/kv/txn')).toHaveLength(9)
})
