/**
 * What somebody meets in the first five minutes: two lines to paste that must work as they stand, and the things that go
 * wrong on a strange machine, each of which should cost one line of reading and not a stack trace.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BrokerProcess } from './support/broker-process.js'
import { mustRun, runChild, startChild } from './support/children.js'
import { root, temporaryDirectory, varve } from './support/tree.js'

const serve = (...args: string[]) => runChild(process.execPath, [varve, 'serve', ...args])

/** Expects one line on standard error that holds the given words, and nothing that looks like a stack. */
function expectOneLine(
  { code, stdout, stderr }: Awaited<ReturnType<typeof serve>>,
  ...words: string[]
): void {
  expect(stderr.trimEnd().split('\n'), stderr).toHaveLength(1)
  for (const word of words) expect(stderr).toContain(word)
  expect(stderr).not.toMatch(/^\s+at /m)
  expect(stdout.toString()).toBe('')
  expect(code).toBe(1)
}

describe('the banner', () => {
  test('its two lines work when pasted, whatever the port', { timeout: 120_000 }, async () => {
    const broker = await BrokerProcess.start(join(temporaryDirectory(), 'data'))
    const [, pasted] = broker.banner.split(/^Try it from another shell.*:$/m)
    const lines = pasted!.split('\n').filter((line) => line.startsWith('  '))
    expect(lines).toHaveLength(2)
    await mustRun('sh', ['-c', lines[0]!], { cwd: root })
    const { stdout } = await mustRun('sh', ['-c', lines[1]!], { cwd: root })
    expect(stdout.toString()).toBe('hello\n')
    expect(await broker.stop()).toBe(0)
  })

  test('names address, data directory and durability, without colours where there is no terminal', async () => {
    const data = join(temporaryDirectory(), 'data')
    const broker = await BrokerProcess.start(data, ['--durability', 'os'])
    expect(broker.banner).toContain(`  address     127.0.0.1:${broker.port}\n`)
    expect(broker.banner).toContain(`  data        ${data}\n`)
    expect(broker.banner).toContain('  durability  os: ')
    expect(broker.banner).not.toContain('\x1b')
    await broker.stop()
  })

  test('a named data directory means fsync', async () => {
    const broker = await BrokerProcess.start(join(temporaryDirectory(), 'data'))
    expect(broker.banner).toContain('  durability  fsync: ')
    await broker.stop()
  })
})

describe('stopping', () => {
  test.for(['SIGINT', 'SIGTERM'] as const)(
    '%s ends the broker cleanly, and the directory can be opened again',
    { timeout: 60_000 },
    async (signal) => {
      const data = join(temporaryDirectory(), 'data')
      const first = await BrokerProcess.start(data)
      await mustRun(process.execPath, [varve, 'produce', 'kept', '--broker', first.address], {
        input: 'kept\n',
      })
      expect(await first.stop(signal)).toBe(0)
      const second = await BrokerProcess.start(data)
      const { stdout } = await mustRun(process.execPath, [
        varve,
        'consume',
        'kept',
        '--broker',
        second.address,
      ])
      expect(stdout.toString()).toBe('kept\n')
      await second.stop()
    },
  )

  test('does not wait for a consumer that waits for more', { timeout: 120_000 }, async () => {
    const broker = await BrokerProcess.start(join(temporaryDirectory(), 'data'))
    await mustRun(process.execPath, [varve, 'produce', 'quiet', '--broker', broker.address], {
      input: 'first\n',
    })
    const follower = startChild(process.execPath, [
      varve,
      'consume',
      'quiet',
      '--follow',
      '--broker',
      broker.address,
    ])
    await once(follower.stdout!, 'data')
    expect(await broker.stop()).toBe(0)
  })
})

describe('what goes wrong is one line with a remedy', () => {
  test('the port is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const data = join(temporaryDirectory(), 'data')
    expectOneLine(await serve('--port', String(port), '--data', data), `127.0.0.1:${port}`, '--port')
    server.close()
  })

  test('another process has the data directory', async () => {
    const data = join(temporaryDirectory(), 'data')
    const broker = await BrokerProcess.start(data)
    expectOneLine(await serve('--port', '0', '--data', data), data)
    await broker.stop()
  })

  test('kill -9 does not leave the directory locked', async () => {
    const data = join(temporaryDirectory(), 'data')
    const broker = await BrokerProcess.start(data)
    await broker.stop('SIGKILL')
    expect(await (await BrokerProcess.start(data)).stop()).toBe(0)
  })

  test('the data directory cannot be made', async () => {
    // Below a regular file, because permissions do not stop root.
    const file = join(temporaryDirectory(), 'file')
    writeFileSync(file, '')
    expectOneLine(await serve('--port', '0', '--data', join(file, 'data')), file)
  })

  test('the data directory is a file', async () => {
    const file = join(temporaryDirectory(), 'file')
    writeFileSync(file, '')
    expectOneLine(await serve('--port', '0', '--data', file), file)
  })

  test('the data directory belongs to another node', async () => {
    const data = join(temporaryDirectory(), 'data')
    await (await BrokerProcess.start(data, ['--node-id', '1'])).stop()
    expectOneLine(await serve('--port', '0', '--data', data, '--node-id', '2'), data)
  })

  test('no broker answers', async () => {
    const nobody = '127.0.0.1:1'
    for (const command of [
      ['produce', 'x'],
      ['consume', 'x'],
      ['topic', 'list'],
      ['topic', 'create', 'x'],
    ]) {
      const finished = await runChild(process.execPath, [varve, ...command, '--broker', nobody], {
        input: 'line\n',
      })
      expectOneLine(finished, nobody, '--broker')
    }
  })

  test('there is no such topic, file or offset', async () => {
    const broker = await BrokerProcess.start(join(temporaryDirectory(), 'data'))
    const run = (...args: string[]) =>
      runChild(process.execPath, [varve, ...args, '--broker', broker.address])
    expectOneLine(await run('consume', 'absent'), 'absent')
    expectOneLine(await run('produce', 'x', '--file', '/nowhere/at/all'), '/nowhere/at/all')
    expectOneLine(await run('topic', 'create', 'not/a/name'), 'not/a/name')
    await mustRun(process.execPath, [varve, 'topic', 'create', 'twice', '--broker', broker.address])
    expectOneLine(await run('topic', 'create', 'twice'), 'twice')
    expectOneLine(await run('consume', 'twice', '--from', '5'), 'twice', '5')
    expectOneLine(await run('consume', 'twice', '--partition', '9'), 'twice', '9')
    await broker.stop()
  })

  test('a wrong option says which, with exit code 2', async () => {
    for (const args of [
      ['serve', '--port', '99999'],
      ['serve', '--no-such-option'],
      ['produce'],
      ['consume', 'x', '--from', 'yesterday'],
      ['nonsense'],
    ]) {
      const { code, stderr } = await runChild(process.execPath, [varve, ...args])
      expect(code, args.join(' ')).toBe(2)
      expect(stderr).toMatch(/^error: /)
    }
  })
})

test('a directory that fails to open is left as it was', async () => {
  const data = join(temporaryDirectory(), 'data')
  mkdirSync(data)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  expectOneLine(await serve('--port', String(port), '--data', data), 'in use')
  server.close()
  const broker = await BrokerProcess.start(data)
  expect(broker.banner).not.toContain('problem')
  expect(readdirSync(data).filter((name) => name.endsWith('-stray'))).toEqual([])
  await broker.stop()
})
