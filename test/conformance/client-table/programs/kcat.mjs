/** Every cell of the table that kcat can do, with its default settings but for what a cell is about. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Admin } from '@varve/client'
import { bootstrapServers, brokers, largeValue, run, until } from './cells.mjs'
import { ended, start, temporaryDirectory } from './processes.mjs'

const admin = new Admin({ brokers })

/** It creates no topics itself. */
async function create(name, partitions = 1, configs = {}) {
  const topic = `kcat-${name}`
  await admin.createTopics([{ name: topic, partitions, configs }])
  return topic
}

async function kcat(args, input) {
  const { output, errors, code } = await ended('kcat', args, input)
  assert.equal(code, 0, errors)
  return output
}

const produce = (topic, lines, ...settings) =>
  kcat(['-P', '-b', bootstrapServers, '-t', topic, ...settings], lines.map((line) => `${line}\n`).join(''))

const consume = (topic, ...format) =>
  kcat(['-C', '-b', bootstrapServers, '-t', topic, '-p', '0', '-o', 'beginning', '-e', '-q', ...format])

const linesOf = (output) => output.toString().trim().split('\n')

/** A member of a group, what it says that it has been assigned, and the values that it has read. */
function member(group, topic, ...settings) {
  const child = start('kcat', ['-b', bootstrapServers, '-u', ...settings, '-G', group, topic])
  const joined = { partitions: 0, values: [] }
  const eachLine = (stream, take) => {
    let rest = ''
    stream.setEncoding('utf8').on('data', (more) => {
      const lines = (rest + more).split('\n')
      rest = lines.pop()
      lines.forEach(take)
    })
  }
  eachLine(child.stdout, (line) => joined.values.push(line))
  eachLine(child.stderr, (line) => {
    const [, which, partitions] = /rebalanced \(.*?\): (assigned|revoked):(.*)/.exec(line) ?? []
    if (which !== undefined) joined.partitions = which === 'assigned' ? partitions.split(',').length : 0
  })
  joined.leave = async () => {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  return joined
}

const fromStart = ['-X', 'auto.offset.reset=earliest']

async function codec(name) {
  const topic = await create(name)
  const records = Array.from({ length: 50 }, (_, i) => ({
    key: `k${i}`,
    payload: i % 5 === 4 ? null : `value ${i} `.repeat(20),
    headers: ['h', '1', 'none', null],
  }))
  const lines = records.map(({ key, payload }) => `${key}:${payload ?? ''}`)
  await produce(topic, lines, '-p', '0', '-z', name, '-K', ':', '-Z', '-H', 'h=1', '-H', 'none')
  const read = linesOf(await consume(topic, '-J')).map((line) => JSON.parse(line))
  assert.deepEqual(
    read.map(({ key, payload, headers }) => ({ key, payload, headers })),
    records,
  )
}

async function large() {
  const topic = await create('large')
  const file = join(temporaryDirectory(), 'large')
  writeFileSync(file, largeValue)
  await kcat(['-P', '-b', bootstrapServers, '-t', topic, file])
  assert.ok((await consume(topic, '-f', '%s')).equals(largeValue))
  const small = await create('small', 1, { 'max.message.bytes': '10000' })
  const refused = await ended('kcat', ['-P', '-b', bootstrapServers, '-t', small], 'x'.repeat(20_000))
  assert.match(refused.errors, /Message size too large/)
  await produce(small, ['small'])
  assert.deepEqual(linesOf(await consume(small)), ['small'])
}

async function idempotent() {
  const topic = await create('idempotent')
  const lines = Array.from({ length: 500 }, (_, i) => String(i))
  await produce(topic, lines, '-X', 'enable.idempotence=true')
  assert.deepEqual(linesOf(await consume(topic)), lines)
}

async function group() {
  const topic = await create('group', 6)
  const members = []
  const share = (each) => () => members.every(({ partitions }) => partitions === each)
  for (const each of [6, 3, 2]) {
    members.push(member('kcat-three', topic, ...fromStart))
    await until(share(each), `${each} partitions for each`)
  }
  const values = Array.from({ length: 60 }, (_, i) => String(i))
  for (let partition = 0; partition < 6; partition++)
    await produce(
      topic,
      values.filter((value) => value % 6 === partition),
      '-p',
      String(partition),
    )
  const read = () => members.flatMap((each) => each.values)
  await until(() => read().length >= 60, 'all records')
  assert.deepEqual(
    read().sort((a, b) => a - b),
    values,
  )
  await members.pop().leave()
  await until(share(3), '3 partitions for each')
  for (const { leave } of members) await leave()
  await produce(topic, ['after'], '-p', '0')
  const late = member('kcat-three', topic, ...fromStart)
  await until(() => late.values.length > 0, 'the last record')
  assert.deepEqual(late.values, ['after'])
  await late.leave()
}

async function reset() {
  const topic = await create('reset')
  await produce(topic, ['before'])
  const earliest = member('kcat-earliest', topic, ...fromStart)
  await until(() => earliest.values.length > 0, 'a record from the start')
  assert.equal(earliest.values[0], 'before')
  await earliest.leave()
  const latest = member('kcat-latest', topic)
  // It tells of no position before its first record, so there is one more until one arrives.
  await until(async () => {
    await produce(topic, ['after'])
    return latest.values.length > 0
  }, 'a record from the end')
  assert.equal(latest.values[0], 'after')
  await latest.leave()
  // What a group has committed may be gone.
  await produce(topic, ['kept'])
  const [{ offset }] = await admin.listOffsets([{ topic, partition: 0, timestamp: 'latest' }])
  await admin.deleteRecords([{ topic, partition: 0, before: offset - 1 }])
  const late = member('kcat-earliest', topic, ...fromStart)
  await until(() => late.values.length > 0, 'what is left')
  assert.equal(late.values[0], 'kept')
  await late.leave()
}

const [, version, librdkafka] = /Version (\S+) .*librdkafka (\S+)/.exec(await kcat(['-V']))

await run(`${version} (librdkafka ${librdkafka})`, {
  ...Object.fromEntries(['none', 'gzip', 'snappy', 'lz4', 'zstd'].map((name) => [name, () => codec(name)])),
  large,
  idempotent,
  group,
  reset,
})
