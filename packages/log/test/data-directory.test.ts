/**
 * A data directory that is mounted in the wrong place, or started under the wrong id, would serve another cluster's records
 * as its own. And one log that is open, badly named or broken must not keep the others from closing cleanly.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDataDirectory } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const ID = /^[A-Za-z0-9_][\w-]{21}$/

test('gets ids when it is new, and keeps them', async () => {
  const dir = join(temporaryDirectory(), 'new', 'deeper')
  const first = await openDataDirectory(dir)
  const { clusterId, directoryId, nodeId } = first
  expect(clusterId).toMatch(ID)
  expect(directoryId).toMatch(ID)
  expect([nodeId, first.cleanShutdown, first.dir]).toEqual([0, false, dir])
  await first.close()
  expect(readFileSync(join(dir, 'meta.properties'), 'utf8').split('\n').toSorted()).toEqual(
    ['', `cluster.id=${clusterId}`, `directory.id=${directoryId}`, 'node.id=0', 'version=1'].toSorted(),
  )
  const second = await openDataDirectory(dir)
  expect(second).toMatchObject({ clusterId, directoryId, nodeId, cleanShutdown: true })
  await second.close()
})

test('belongs to one cluster and one node', async () => {
  const dir = temporaryDirectory()
  await (await openDataDirectory(dir, { clusterId: 'ours', nodeId: 3 })).close()
  await expect(openDataDirectory(dir, { clusterId: 'theirs' })).rejects.toMatchObject({
    code: 'VARVE_META_MISMATCH',
    message: expect.stringMatching(/meta\.properties.*cluster ours, not to theirs/),
  })
  await expect(openDataDirectory(dir, { nodeId: 0 })).rejects.toMatchObject({
    code: 'VARVE_META_MISMATCH',
    message: expect.stringContaining('node 3, not to node 0'),
  })
  const directory = await openDataDirectory(dir)
  expect(directory).toMatchObject({ clusterId: 'ours', nodeId: 3 })
  await directory.close()
  writeFileSync(join(dir, 'meta.properties'), 'version=2\ncluster.id=ours\n')
  await expect(openDataDirectory(dir)).rejects.toMatchObject({ code: 'VARVE_META_MISMATCH' })
})

test('ids that meta.properties cannot hold, and numbers that are none, are errors', async () => {
  const dir = temporaryDirectory()
  for (const clusterId of ['', 'two words', 'a\nnode.id=5', 'ü']) {
    await expect(openDataDirectory(dir, { clusterId })).rejects.toMatchObject({
      code: 'VARVE_INVALID_OPTION',
    })
  }
  for (const nodeId of [-1, 1.5, NaN, 2 ** 31, '1' as never]) {
    await expect(openDataDirectory(dir, { nodeId })).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  }
  expect(existsSync(join(dir, 'meta.properties'))).toBe(false)
})

test('holds logs by name, and names them', async () => {
  const dir = temporaryDirectory()
  const directory = await openDataDirectory(dir)
  const orders = await directory.openLog('orders-0')
  expect(orders.dir).toBe(join(dir, 'orders-0'))
  await Promise.all([directory.openLog('orders-1'), directory.openLog('plain name')])
  expect((await directory.logs()).toSorted()).toEqual(['orders-0', 'orders-1', 'plain name'])
  await orders.append([{ value: 'a' }])
  await orders.close()
  const again = await directory.openLog('orders-0')
  expect([again.endOffset, again.recovered]).toEqual([1, null])
  await directory.close()
})

test('a name is a plain one', async () => {
  const dir = temporaryDirectory()
  await using directory = await openDataDirectory(dir)
  for (const name of ['', '.', '..', 'a/b', '../a', 'a\\b', 'a\0', 'a\nb']) {
    await expect(directory.openLog(name), JSON.stringify(name)).rejects.toMatchObject({
      code: 'VARVE_INVALID_OPTION',
    })
  }
  expect(await directory.logs()).toEqual([])
})

test('options that cannot be are refused by name', async () => {
  await using directory = await openDataDirectory(temporaryDirectory())
  for (const options of [
    { segmentBytes: 10 },
    { segmentBytes: 2 ** 31 },
    { segmentBytes: NaN },
    { indexIntervalBytes: -1 },
    { maxBatchBytes: 60 },
    { maxBatchBytes: '1000' as never },
    { durability: 'maybe' as never },
    { gather: 'never' as never },
  ]) {
    const [name] = Object.keys(options)
    await expect(directory.openLog('a', options)).rejects.toMatchObject({
      code: 'VARVE_INVALID_OPTION',
      message: expect.stringContaining(name!),
    })
  }
})

test('logs do not share recovery points, however their names look', async () => {
  const dir = temporaryDirectory()
  const names = ['orders', 'orders-0', 'orders-00', 'orders-+0']
  const directory = await openDataDirectory(dir)
  for (const [n, name] of names.entries()) {
    const log = await directory.openLog(name)
    await log.append(Array.from({ length: n + 1 }, () => ({ value: name })))
  }
  await directory.close()
  await using again = await openDataDirectory(dir)
  for (const [n, name] of names.entries()) {
    const log = await again.openLog(name)
    expect([name, log.state, log.recovered, log.endOffset]).toEqual([name, 'open', null, n + 1])
  }
})

test('closing it closes its logs, and nothing can be opened then', async () => {
  const dir = temporaryDirectory()
  const directory = await openDataDirectory(dir)
  const log = await directory.openLog('a')
  const appended = log.append([{ value: 'a' }])
  const opening = directory.openLog('b')
  await directory.close()
  expect(await appended).toEqual({ baseOffset: 0, lastOffset: 0 })
  expect(log.state).toBe('closed')
  expect((await opening).state).toBe('closed')
  await expect(directory.openLog('c')).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
  await expect(directory.logs()).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
  await directory.close()
  await using again = await openDataDirectory(dir)
  expect(again.cleanShutdown).toBe(true)
})
