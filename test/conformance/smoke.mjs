/**
 * A little of everything under the Node that runs this: a broker, a topic, records through a real socket and back, and an
 * embedded log that is opened again. Prints one line of JSON about what it did.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Whoever reads a socket through `onread` listens to no 'data' events, and whoever does not has to.
let dataListeners = 0
const on = Socket.prototype.on
Socket.prototype.on = Socket.prototype.addListener = function (name, listener) {
  if (name === 'data') dataListeners++
  return on.call(this, name, listener)
}

const { startBroker } = await import('@varve/broker')
const { Admin, Consumer, Producer } = await import('@varve/client')
const { openLog, send, sendsFiles } = await import('@varve/log')
const { batchesIn, encodeBatch } = await import('@varve/records')

const COUNT = 10_000
const valueOf = (index) => `record ${index} ${'.'.repeat(index % 500)}`

async function throughBroker() {
  const broker = await startBroker()
  const brokers = [broker.address]
  const admin = new Admin({ brokers })
  await admin.createTopics([{ name: 'smoke', partitions: 1 }])
  await admin.close()
  const producer = new Producer({ brokers })
  const sent = Array.from({ length: COUNT }, (_, index) => producer.send('smoke', { value: valueOf(index) }))
  for (const [index, { offset }] of (await Promise.all(sent)).entries()) assert.equal(offset, index)
  await producer.close()
  const consumer = new Consumer({ brokers })
  consumer.assign([{ topic: 'smoke', partition: 0, offset: 'earliest', end: COUNT }])
  let read = 0
  for await (const { offset, value } of consumer) {
    assert.equal(offset, read)
    assert.equal(String(value), valueOf(read++))
  }
  await consumer.close()
  await broker.close()
  return read
}

async function throughLog(directory) {
  const values = ['a', 'b', 'c']
  const log = await openLog(directory)
  await log.append(values.slice(0, 2).map((value) => ({ value })))
  await log.append([{ value: values[2] }])
  await log.close()
  const reopened = await openLog(directory)
  const read = []
  for await (const { value } of reopened.read()) read.push(String(value))
  await reopened.close()
  assert.deepEqual(read, values)
  return read.length
}

/** Sends a slice to a socket, and tells whether it went there straight from its file. */
async function throughSocket(directory) {
  const log = await openLog(directory)
  const values = Array.from({ length: 40 }, (_, index) => ({ value: String(index).repeat(30_000) }))
  for (const value of values) await log.append([value])
  const slice = await log.slice({ from: 0, maxBytes: Infinity })
  const expected = Buffer.concat([Buffer.from('header'), await slice.read()])
  const server = createServer().listen(0)
  await once(server, 'listening')
  const far = connect(server.address().port, '127.0.0.1')
  const [near] = await once(server, 'connection')
  const fromFile = sendsFiles(near, [slice])
  send(near, [Buffer.from('header'), slice]).then(() => near.end())
  const chunks = await far.toArray()
  assert.ok(Buffer.concat(chunks).equals(expected))
  server.close()
  await log.close()
  return fromFile
}

/** Reads what Java's client compressed, and what is compressed here from it. */
async function throughCodecs() {
  const codecs = ['gzip', 'snappy', 'lz4', 'zstd']
  for (const compression of codecs) {
    const fixture = `../../packages/records/test/fixtures/java-${compression}/00000000000000000000.log`
    const [theirs] = batchesIn(await readFile(new URL(fixture, import.meta.url)))
    const records = [...theirs.records()]
    const [ours] = batchesIn(encodeBatch(records, { compression }))
    assert.equal(records.length, theirs.recordsCount)
    assert.deepEqual(Array.from(ours.records(), String), records.map(String))
    assert.throws(() => [...theirs.records({ maxDecompressedBytes: 100 })], {
      code: 'VARVE_DECOMPRESSION_LIMIT',
    })
  }
  return codecs.length
}

const directory = await mkdtemp(join(tmpdir(), 'varve-smoke-'))
try {
  const records = await throughBroker()
  const reopened = await throughLog(join(directory, 'log'))
  const listeners = dataListeners
  const fromFile = await throughSocket(join(directory, 'sent'))
  const codecs = await throughCodecs()
  const did = { node: process.version, records, reopened, fromFile, codecs, dataListeners: listeners }
  process.stdout.write(`${JSON.stringify(did)}\n`)
} finally {
  await rm(directory, { recursive: true, force: true })
}
