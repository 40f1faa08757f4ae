// Somebody starts a second broker by mistake, in a new directory and on the port of the first. What that leaves behind
// should be one line on a terminal, not a directory with a cluster in it that never was.
import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { MemoryDisk } from './memory-log.js'
import { RawClient } from './support/raw-client.js'
import { startTestBroker, temporaryDirectory } from './support/test-broker.js'

test('a port in use is noticed before anything is created', async () => {
  const parent = await temporaryDirectory()
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  const disk = new MemoryDisk()
  const starting = startTestBroker({ data: join(parent, 'data'), port, disk })
  await expect(starting).rejects.toMatchObject({ code: 'VARVE_PORT_IN_USE' })
  expect(existsSync(join(parent, 'data'))).toBe(false)
  expect(disk.logs.size).toBe(0)
})

test('two listeners on one port are noticed then, too', async () => {
  const parent = await temporaryDirectory()
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  const listeners = `A://127.0.0.1:${port},B://127.0.0.1:${port}`
  await expect(startTestBroker({ data: join(parent, 'data'), listeners })).rejects.toMatchObject({
    code: 'VARVE_PORT_IN_USE',
  })
  expect(readdirSync(parent)).toEqual([])
})

test('nobody can connect before the broker is ready', async () => {
  const { broker: first } = await startTestBroker()
  const { port } = first
  await first.close()
  const disk = new MemoryDisk()
  const { openDataDirectory } = disk
  let refused = ''
  Object.assign(disk, {
    openDataDirectory: async (...args: Parameters<typeof openDataDirectory>) => {
      await RawClient.connect(port).catch((error: Error) => (refused = error.message))
      return await openDataDirectory(...args)
    },
  })
  await startTestBroker({ port, disk })
  expect(refused).toContain('ECONNREFUSED')
})
