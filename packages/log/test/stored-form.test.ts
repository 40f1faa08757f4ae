/**
 * What is promised here: a log stores batches under its own codec and with its own times where it has any, in the order of
 * the appends, however long the compression of one of them takes.
 */
import { expect, test } from 'vitest'
import { encodeBatch, type Compression } from '@varve/records'
import { openLog, type Log } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const large = (n: number): string => `${n} ${'order '.repeat(20_000)}`

async function codecs(log: Log): Promise<string[]> {
  const found: string[] = []
  for await (const batch of log.readBatches()) found.push(batch.compression)
  return found
}

test.each(['gzip', 'snappy', 'lz4', 'zstd', 'none'] as const)(
  'batches are stored as %s',
  async (compression) => {
    await using log = await openLog(temporaryDirectory(), { compression })
    const appends = [log.append([{ value: 'small' }]), log.append([{ value: large(1) }])]
    for (const other of ['none', 'gzip', 'lz4'] satisfies Compression[]) {
      const records = [{ value: large(2) }, { value: 'x' }]
      appends.push(...log.appendBatches([encodeBatch(records, { compression: other })]))
    }
    appends.push(log.append([{ value: 'last' }]))
    const offsets = (await Promise.all(appends)).map(({ baseOffset }) => baseOffset)
    expect(offsets).toEqual([0, 1, 2, 4, 6, 8])
    const values: string[] = []
    for await (const { value } of log.read()) values.push(String(value))
    expect(values.map((value) => value.slice(0, 5))).toEqual(
      ['small', '1 ord', '2 ord', 'x', '2 ord', 'x', '2 ord', 'x', 'last'].map((value) => value.slice(0, 5)),
    )
    expect(new Set(await codecs(log))).toEqual(new Set([compression]))
  },
)

test('each keeps its own codec where the log has none', async () => {
  await using log = await openLog(temporaryDirectory())
  const batches = (['none', 'zstd', 'gzip'] as const).map((compression) =>
    encodeBatch([{ value: large(1) }], { compression }),
  )
  await Promise.all(log.appendBatches(batches))
  expect(await codecs(log)).toEqual(['none', 'zstd', 'gzip'])
})

test('a synchronous append waits for the compression too', async () => {
  await using log = await openLog(temporaryDirectory(), { compression: 'zstd' })
  expect(log.appendSync([{ value: large(1) }])).toEqual({ baseOffset: 0, lastOffset: 0 })
  expect(log.appendSync([{ value: 'small' }])).toEqual({ baseOffset: 1, lastOffset: 1 })
  expect(await codecs(log)).toEqual(['zstd', 'zstd'])
})

test('an append that is taken back while it is compressed is not stored', async () => {
  await using log = await openLog(temporaryDirectory(), { compression: 'gzip' })
  const controller = new AbortController()
  const first = log.append([{ value: large(1) }])
  const second = log.append([{ value: large(2) }], { signal: controller.signal })
  const third = log.append([{ value: large(3) }])
  await Promise.resolve()
  controller.abort(new Error('changed my mind'))
  await expect(second).rejects.toThrow('changed my mind')
  await Promise.all([first, third])
  const values: string[] = []
  for await (const { value } of log.read()) values.push(String(value).slice(0, 1))
  expect(values).toEqual(['1', '3'])
})

test('records have the time of their append where the log says so', async () => {
  await using log = await openLog(temporaryDirectory(), { timestampType: 'LogAppendTime' })
  const before = Date.now()
  await log.append([{ value: 'of long ago', timestamp: 1000 }])
  await Promise.all(log.appendBatches([encodeBatch([{ value: 'x', timestamp: 5 }], { compression: 'gzip' })]))
  for await (const { timestamp } of log.read()) {
    expect(timestamp).toBeGreaterThanOrEqual(before)
    expect(timestamp).toBeLessThanOrEqual(Date.now())
  }
  for await (const batch of log.readBatches()) expect(batch.timestampType).toBe('LogAppendTime')
  expect(await log.offsetForTime(before)).toMatchObject({ offset: 0 })
})

test('options that cannot be are named', async () => {
  for (const [name, value] of [
    ['compression', 'brotli'],
    ['timestampType', 'MyTime'],
  ] as const) {
    await expect(openLog(temporaryDirectory(), { [name]: value as never })).rejects.toMatchObject({
      code: 'VARVE_INVALID_OPTION',
      message: expect.stringContaining(name),
    })
  }
})
