/**
 * A line is bytes. A command line that decodes its input turns what is not UTF-8 into question marks, and one that trims
 * loses carriage returns; both look right on every text that its author tried.
 */
import { once } from 'node:events'
import { beforeAll, expect, test } from 'vitest'
import { mustRun, runChild, startChild } from '../support/children.js'
import { kcat, needs } from '../support/clients.js'
import { random } from '../support/random.js'
import { varve } from '../support/tree.js'
import { BrokersUnderTest } from './brokers-under-test.js'

let brokers: BrokersUnderTest

beforeAll(async () => {
  brokers = await BrokersUnderTest.start()
})

const produce = (topic: string, input: string | Buffer, ...args: string[]) =>
  mustRun(process.execPath, [varve, 'produce', topic, '--broker', brokers.bootstrapServers, ...args], {
    input,
  })
const consume = async (topic: string, ...args: string[]) =>
  (
    await mustRun(process.execPath, [
      varve,
      'consume',
      topic,
      '--broker',
      brokers.bootstrapServers,
      '--quiet',
      ...args,
    ])
  ).stdout

test('every byte but the newline survives', async () => {
  const next = random(5)
  const noise = Buffer.from(Array.from({ length: 300_000 }, () => Math.floor(next() * 256)))
  const input = Buffer.concat([noise, Buffer.from('\r\n\0\xff\xfe\n', 'latin1')])
  await produce('noise', input)
  expect((await consume('noise')).equals(input)).toBe(true)
})

test('a last line without a newline is a line', async () => {
  await produce('unended', 'one\ntwo')
  expect((await consume('unended')).toString()).toBe('one\ntwo\n')
})

test('no input is no record', async () => {
  const { stderr } = await produce('nothing', '')
  expect(stderr).toContain('0 records')
})

test('a key is everything before the first separator', async () => {
  await produce('keys', 'a\t1\n\tempty key\nno key\nb\t2\t3\n', '--key-separator', '\\t')
  expect((await consume('keys', '--key-separator', '=')).toString()).toBe('a=1\n=empty key\nno key\nb=2\t3\n')
})

test('kcat sees a missing key as missing and an empty one as empty', async (context) => {
  needs(context, kcat)
  await produce('kinds', ':empty\nnone\n', '--key-separator', ':')
  const { stdout } = await mustRun('kcat', [
    '-C',
    '-b',
    brokers.bootstrapServers,
    '-t',
    'kinds',
    '-e',
    '-q',
    '-f',
    '%K %S %s\n',
  ])
  expect(stdout.toString()).toBe('0 5 empty\n-1 4 none\n')
})

test('consume begins and ends where it is told to', async () => {
  await produce('ends', Array.from({ length: 10 }, (_, index) => `${index}\n`).join(''))
  expect((await consume('ends', '--from', '7')).toString()).toBe('7\n8\n9\n')
  expect((await consume('ends', '--from', '2', '--max', '3')).toString()).toBe('2\n3\n4\n')
  expect((await consume('ends', '--from', 'latest')).toString()).toBe('')
  expect((await consume('ends', '--from', '1999-01-01')).toString()).toBe('0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n')
})

test('follow shows what arrives later', { timeout: 60_000 }, async () => {
  await produce('later', 'before\n')
  const child = startChild(process.execPath, [
    varve,
    'consume',
    'later',
    '--follow',
    '--broker',
    brokers.bootstrapServers,
  ])
  const seen = await new Promise<string>((resolve, reject) => {
    let text = ''
    let sent = false
    child.once('error', reject)
    child.stdout!.setEncoding('utf8').on('data', (more: string) => {
      text += more
      if (text.includes('before\n') && !sent) {
        sent = true
        produce('later', 'after\n').catch(reject)
      }
      if (text.includes('after\n')) resolve(text)
    })
  })
  expect(seen).toBe('before\nafter\n')
  child.kill('SIGINT')
  expect(await once(child, 'exit')).toEqual([0, null])
})

test('an interrupted producer says how far it came', { timeout: 60_000 }, async () => {
  const producer = startChild(process.execPath, [
    varve,
    'produce',
    'stopped',
    '--broker',
    brokers.bootstrapServers,
  ])
  let summary = ''
  producer.stderr!.setEncoding('utf8').on('data', (text: string) => (summary += text))
  await mustRun(process.execPath, [varve, 'topic', 'create', 'stopped', '--broker', brokers.bootstrapServers])
  producer.stdin!.write('whole line\npart of a li')
  const reader = startChild(process.execPath, [
    varve,
    'consume',
    'stopped',
    '--follow',
    '--broker',
    brokers.bootstrapServers,
  ])
  expect((await once(reader.stdout!, 'data')).toString()).toBe('whole line\n')
  producer.kill('SIGINT')
  expect(await once(producer, 'close')).toEqual([130, null])
  expect(summary).toMatch(/^Produced to stopped: 1 record \(10 bytes\)/)
})

test('a reader that has enough ends consume quietly', async () => {
  await produce('enough', `${'x'.repeat(1000)}\n`.repeat(5000))
  const command = `'${process.execPath}' '${varve}' consume enough --broker ${brokers.bootstrapServers} | head -n 1 | wc -c`
  const { stdout, stderr } = await runChild('sh', ['-c', command])
  expect(stdout.toString().trim()).toBe('1001')
  expect(stderr).toBe('')
})
