/**
 * A follower that waits for its leader's fsync adds one disk to another in every acknowledgement; a consumer that does not wait
 * sees what a power loss takes back. Each must see its own end of the log, and be told in time.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog, openTopic, type Log } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const gate = join(temporaryDirectory(), 'gate')
// No fsync of a segment ends while the gate is there; read when the first directory is opened.
process.env['VARVE_TEST_FAULT'] = `sync_data@.log:while=${gate}`

const written = { visibility: 'written' } as const

async function valuesOf(records: AsyncIterable<{ value: Buffer | null }>): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of records) values.push(String(value))
  return values
}

/** Holds the flushes back meanwhile. */
async function unflushed(run: () => Promise<void>): Promise<void> {
  writeFileSync(gate, '')
  try {
    await run()
  } finally {
    rmSync(gate, { force: true })
  }
}

function untilWritten(log: Log, count: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = log.subscribe(() => {
      if (log.endOffset < count) return
      stop()
      resolve()
    }, written)
  })
}

test("'written' reads, slices and follows what waits for its fsync, and nobody else does", async () => {
  await using log = await openLog(temporaryDirectory())
  await log.append([{ value: 'durable' }])
  await unflushed(async () => {
    const following = log.read({ from: 1, follow: true, ...written })
    const next = following.next()
    const told = untilWritten(log, 2)
    const append = log.append([{ value: 'waits' }])
    await told
    expect([log.durableOffset, log.endOffset]).toEqual([1, 2])
    expect(String((await next).value!.value)).toBe('waits')
    expect(await valuesOf(log.read(written))).toEqual(['durable', 'waits'])
    expect(await valuesOf(log.read({ from: 'end', ...written }))).toEqual([])
    expect(await valuesOf(log.read())).toEqual(['durable'])
    const batches: number[] = []
    for await (const { baseOffset } of log.readBatches(written)) batches.push(baseOffset)
    expect(batches).toEqual([0, 1])
    expect((await log.slice({ from: 0, ...written })).nextOffset).toBe(2)
    expect((await log.slice({ from: 0 })).nextOffset).toBe(1)
    expect(() => log.slice({ from: 2 })).toThrow(
      expect.objectContaining({ code: 'VARVE_OFFSET_OUT_OF_RANGE' }),
    )
    rmSync(gate)
    await append
    await following.return!()
  })
})

test('a topic is read, and followed, as far as it is written', async () => {
  await using topic = await openTopic(temporaryDirectory(), 'orders', { partitions: 2 })
  await topic.append([{ value: 'a' }], { partition: 0 })
  await unflushed(async () => {
    const following = topic.read({ from: 'end', follow: true, ...written })
    const next = following.next()
    const told = untilWritten(topic.partition(1), 1)
    const append = topic.append([{ value: 'b' }], { partition: 1 })
    await told
    expect(String((await next).value!.value)).toBe('b')
    expect(await valuesOf(topic.read())).toEqual(['a'])
    expect(await valuesOf(topic.read(written))).toEqual(['a', 'b'])
    rmSync(gate)
    await append
    await following.return!()
  })
})

test('what may be lost is not committed, and no other words are taken', async () => {
  await using log = await openLog(temporaryDirectory())
  const invalid = expect.objectContaining({ code: 'VARVE_INVALID_OPTION' })
  expect(() => log.read({ isolation: 'readCommitted', ...written })).toThrow(invalid)
  const wrong = { visibility: 'all' as 'written' }
  expect(() => log.read(wrong)).toThrow(invalid)
  expect(() => log.slice({ from: 0, ...wrong })).toThrow(invalid)
  expect(() => log.subscribe(() => {}, wrong)).toThrow(invalid)
})
