/**
 * What is written by mistake must not look as if it worked: an option whose name has one letter wrong would leave a log
 * without the retention that its owner believes in, and a log that begins among partitions is found by nobody again.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openDataDirectory, openLog, openTopic, type Log } from '@varve/log'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../../../test/support/tree.js'

const invalid = (message: RegExp): object => ({
  code: 'VARVE_INVALID_OPTION',
  message: expect.stringMatching(message),
})
const untyped = (value: unknown): any => value

test('an option that does not exist is refused, and the one that was meant is named', async () => {
  const dir = temporaryDirectory()
  const [logDir, topicDir, dataDir] = ['log', 'topic', 'data'].map((name) => join(dir, name))
  const segmentByte = invalid(/^there is no option segmentByte; did you mean segmentBytes\?$/)
  await expect(openLog(logDir!, untyped({ segmentByte: 1 << 20 }))).rejects.toMatchObject(segmentByte)
  await expect(openLog(logDir!, untyped({ readonly: true }))).rejects.toMatchObject(
    invalid(/there is no option readonly/),
  )
  await expect(openTopic(topicDir!, 'orders', untyped({ partition: 3 }))).rejects.toMatchObject(
    invalid(/there is no option partition;/),
  )
  await expect(openDataDirectory(dataDir!, untyped({ node: 1 }))).rejects.toMatchObject(
    invalid(/there is no option node; did you mean nodeId\?$/),
  )
  expect(readdirSync(dir)).toEqual([])

  const log = await openLog(logDir!, { segmentMs: undefined })
  await expect(log.configure(untyped({ retentionMS: 1000 }))).rejects.toMatchObject(
    invalid(/did you mean retentionMs\?/),
  )
  expect(() => log.read(untyped({ folow: true }))).toThrow(/there is no option folow; did you mean follow\?/)
  expect(() => log.readBatches(untyped(0))).toThrow(/options are an object, not 0/)
  const record = [{ value: 'x' }]
  await expect(log.append(record, untyped({ singal: null }))).rejects.toMatchObject(
    invalid(/did you mean signal\?/),
  )
  expect(log.endOffset).toBe(0)
  await log.close()
})

test('a log does not begin among partitions, nor do partitions inside a log', async () => {
  const [data, own] = [temporaryDirectory(), temporaryDirectory()]
  const topic = await openTopic(data, 'orders', { partitions: 2 })
  await topic.close()
  const log = await openLog(own)
  await log.append([{ value: 'x' }])
  await log.close()

  const before = [readdirSync(data), readdirSync(own)]
  await expect(openLog(data)).rejects.toMatchObject(invalid(/it holds 2 partitions.*orders-0, or the topic/))
  await expect(openTopic(own, 'orders')).rejects.toMatchObject(invalid(/no data directory but a log/))
  expect([readdirSync(data), readdirSync(own)]).toEqual(before)

  const partition: Log = await openLog(join(data, 'orders-0'))
  expect(partition.endOffset).toBe(0)
  await partition.close()
})

test('a path that is a file is called one', async () => {
  const file = join(temporaryDirectory(), 'orders')
  writeFileSync(file, 'a list of orders')
  const message = `${file} is a file; a directory is wanted here: choose another path`
  await expect(openLog(file)).rejects.toMatchObject({ code: 'VARVE_NOT_WRITABLE', message })
  expect(readFileSync(file, 'utf8')).toBe('a list of orders')
})
