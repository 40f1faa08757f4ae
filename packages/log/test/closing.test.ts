/**
 * Code that closes a log goes on to remove its directory, to open it again, or to exit. Whatever it appended before must be
 * settled by then, whoever still waits must be told, and nothing may happen behind its back.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const closed = { code: 'VARVE_LOG_CLOSED' }

test('waits for what was appended before, refuses what comes after', async () => {
  const log = await openLog(temporaryDirectory())
  const before = Array.from({ length: 100 }, () => log.append([{ value: 'a' }]))
  const closing = log.close()
  expect(log.state).toBe('closed')
  const after = [log.append([{ value: 'b' }]), ...log.appendBatches([Buffer.alloc(80)]), log.flush()]
  for (const promise of after) await expect(promise).rejects.toMatchObject(closed)
  expect(() => log.read()).toThrow(expect.objectContaining(closed))
  expect(() => log.readBatches()).toThrow(expect.objectContaining(closed))
  await expect(log.offsetForTime(0)).rejects.toMatchObject(closed)
  await expect(log.maxTimestamp()).rejects.toMatchObject(closed)
  await closing
  expect((await Promise.all(before)).at(-1)).toEqual({ baseOffset: 99, lastOffset: 99 })
})

test('is one closing, however often it is called, also by a listener in the middle of it', async () => {
  const log = await openLog(temporaryDirectory(), { durability: 'os' })
  const closings: Array<Promise<void>> = []
  log.subscribe(() => closings.push(log.close()))
  void log.append([{ value: 'a' }])
  closings.push(log.close())
  await log.close()
  expect(closings.length).toBeGreaterThan(1)
  expect(new Set([...closings, log.close()]).size).toBe(1)
})

test('everything under os is flushed by then, and the log is clean', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir, { durability: 'os' })
  await log.append([{ value: 'a' }])
  await log.close()
  expect(existsSync(join(dir, '.kafka_cleanshutdown'))).toBe(true)
  const again = await openLog(dir)
  expect(existsSync(join(dir, '.kafka_cleanshutdown'))).toBe(false)
  expect([again.recovered, again.durableOffset]).toEqual([null, 1])
  await again.close()
})

test('tells subscribers, and readers in the middle of a reading', async () => {
  const log = await openLog(temporaryDirectory())
  await log.append([{ value: 'a' }])
  await log.append([{ value: 'b' }])
  const states: string[] = []
  log.subscribe(() => states.push(log.state))
  const reader = log.read({ maxBytes: 1 })
  await reader.next()
  await log.close()
  expect(states.at(-1)).toBe('closed')
  await expect(reader.next()).rejects.toMatchObject(closed)
})

test('await using closes at the end of the scope, also after an error', async () => {
  const dir = temporaryDirectory()
  const failing = async (): Promise<void> => {
    await using log = await openLog(dir)
    await log.append([{ value: 'a' }])
    throw new Error('in the scope')
  }
  await expect(failing()).rejects.toThrow('in the scope')
  await using log = await openLog(dir)
  expect([log.recovered, log.endOffset]).toEqual([null, 1])
})

test('subscriptions end one by one', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  let calls = 0
  const listener = (): void => void calls++
  const first = log.subscribe(listener)
  const second = log.subscribe(listener)
  await log.append([{ value: 'a' }])
  expect(calls).toBe(2)
  first()
  first()
  await log.append([{ value: 'b' }])
  expect(calls).toBe(3)
  second()
  await log.append([{ value: 'c' }])
  expect(calls).toBe(3)
})
