// What operators look at is looked at when something is wrong: a health check that is green while the disk is full, or
// that cannot be asked while the broker recovers or stops, is what they curse. And a counter that does not count is not
// noticed until then.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { deleteTopics, fetch as fetchRecords, metadata, produce } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { expect, onTestFinished, test } from 'vitest'
import { resolveOptions } from '../src/broker-options.js'
import { openBroker } from '../src/broker.js'
import { MemoryDisk } from './memory-log.js'
import {
  fetchBody,
  produceBody,
  batchOf,
  produceTo,
  settle,
  startTestBroker,
  temporaryDirectory,
} from './support/test-broker.js'

const admin = { port: 0 }

async function get(at: { port: number } | null, path: string, method = 'GET') {
  const response = await fetch(`http://127.0.0.1:${at!.port}${path}`, { method })
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}
const health = async (at: { port: number } | null) => {
  const { status, text } = await get(at, '/healthz')
  return { httpStatus: status, ...(JSON.parse(text) as { status: string; problems: string[] }) }
}

/** The value of a series, written as Prometheus does. */
async function valueOf(at: { port: number } | null, series: string): Promise<number> {
  const { text } = await get(at, '/metrics')
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  if (line === undefined) throw new Error(`no ${series} in\n${text}`)
  return Number(line.slice(series.length + 1))
}

test('nothing listens that nobody asked for', async () => {
  const { broker } = await startTestBroker()
  expect(broker.admin).toBeNull()
  expect(() => resolveOptions({ admin: { port: 70_000 } })).toThrow(
    'admin.port must be an integer from 0 to 65535',
  )
})

test('healthy, until a partition fails, which is named', async () => {
  const { broker, createTopic, disk } = await startTestBroker({ admin })
  await createTopic('orders')
  expect(await health(broker.admin)).toEqual({ httpStatus: 200, status: 'serving', problems: [] })
  disk.log('orders-0').fail()
  const report = await health(broker.admin)
  expect(report).toMatchObject({ httpStatus: 503, status: 'failing' })
  expect(report.problems).toEqual([expect.stringMatching(/^orders-0: /)])
  for (const name of ['offlinereplicacount', 'underminisrpartitioncount']) {
    expect(await valueOf(broker.admin, `kafka_server_replicamanager_${name}`)).toBe(1)
  }
})

test('it can be asked while the broker starts, and while it stops', async () => {
  const disk = new MemoryDisk()
  let proceed = (): void => {}
  const held = new Promise<void>((resolve) => (proceed = resolve))
  const before = createServer().listen(0, '127.0.0.1')
  await once(before, 'listening')
  const { port } = before.address() as { port: number }
  await new Promise((resolve) => before.close(resolve))
  const opening = openBroker(resolveOptions({ data: await temporaryDirectory(), admin: { port } }), {
    openDataDirectory: async (...args: Parameters<MemoryDisk['openDataDirectory']>) => {
      await held
      return disk.openDataDirectory(...args)
    },
  })
  await expect
    .poll(() => health({ port }).catch(() => null))
    .toMatchObject({ httpStatus: 503, status: 'starting' })
  proceed()
  const broker = await opening
  onTestFinished(() => broker.close())
  expect((await health({ port })).status).toBe('serving')
})

test('while it drains it says so, and is gone with the broker', async () => {
  const { broker, connect, createTopic, disk } = await startTestBroker({ admin })
  await createTopic('orders')
  const log = disk.log('orders-0')
  log.holdDurability()
  const client = await connect()
  void client.request(produce, 9, produceBody('orders', batchOf('x')))
  await settle()
  const { admin: at } = broker
  const closed = broker.close()
  expect(await health(at)).toEqual({ httpStatus: 503, status: 'draining', problems: [] })
  await log.flush()
  await closed
  await expect(health(at)).rejects.toThrow()
})

test('a disk with too little room is told by the check, by one line, and to producers as Kafka does', async () => {
  const data = await temporaryDirectory()
  const { broker, connect, createTopic, lines } = await startTestBroker({
    admin,
    data,
    engine: true,
    lowDiskBytes: Number.MAX_SAFE_INTEGER,
  })
  await createTopic('orders')
  const client = await connect()
  for (let i = 0; i < 3; i++) {
    const { errorCode, errorMessage } = await produceTo(client, 'orders', 'x')
    // KAFKA_STORAGE_ERROR
    expect([errorCode, errorMessage]).toEqual([56, expect.stringContaining('free bytes')])
  }
  expect(lines.filter((line) => line.includes('free bytes'))).toEqual([
    expect.stringMatching(
      /^error appends are refused until there is room: the disk of .*orders-0 has \d+ free bytes/,
    ),
  ])
  const report = await health(broker.admin)
  expect(report.httpStatus).toBe(503)
  expect(report.problems).toEqual([
    expect.stringMatching(/^the disk of .* has \d+ free bytes, fewer than lowDiskBytes/),
  ])
})

test('requests, records and logs are counted', async () => {
  const { broker, connect, createTopic } = await startTestBroker({ admin, engine: true })
  await createTopic('orders', 2)
  const client = await connect()
  await produceTo(client, 'orders', 'a', 'b')
  await produceTo(client, 'orders', 'c')
  await client.request(metadata, 12, { topics: [] })
  const { responses } = await client.request(fetchRecords, 12, fetchBody('orders'))
  const at = broker.admin
  expect(
    await valueOf(at, 'kafka_network_requestmetrics_requests_total{request="Produce",version="9"}'),
  ).toBe(2)
  expect(await valueOf(at, 'varve_request_duration_seconds_count{request="Produce"}')).toBe(2)
  expect(
    await valueOf(at, 'kafka_network_requestmetrics_requests_total{request="Metadata",version="12"}'),
  ).toBe(1)
  expect(await valueOf(at, 'kafka_server_brokertopicmetrics_messagesin_total{topic="orders"}')).toBe(3)
  const stored = responses[0]!.partitions[0]!.records!.length
  expect(await valueOf(at, 'kafka_server_brokertopicmetrics_bytesin_total{topic="orders"}')).toBe(stored)
  expect(await valueOf(at, 'kafka_server_brokertopicmetrics_bytesout_total')).toBe(stored)
  expect(await valueOf(at, 'kafka_log_log_size{topic="orders",partition="0"}')).toBe(stored)
  expect(await valueOf(at, 'kafka_log_log_logendoffset{topic="orders",partition="0"}')).toBe(3)
  expect(await valueOf(at, 'kafka_log_log_logendoffset{topic="orders",partition="1"}')).toBe(0)
  expect(await valueOf(at, 'kafka_server_replicamanager_partitioncount')).toBe(2)
  expect(await valueOf(at, 'kafka_server_socket_server_metrics_connection_count')).toBe(1)
  expect(await valueOf(at, 'varve_network_received_bytes_total')).toBeGreaterThan(stored)
  expect(await valueOf(at, 'varve_network_sent_bytes_total')).toBeGreaterThan(stored)
  expect(await valueOf(at, 'process_resident_memory_bytes')).toBeGreaterThan(0)
  // Looked at again, the totals of the logs are the same.
  expect(await valueOf(at, 'kafka_server_brokertopicmetrics_messagesin_total{topic="orders"}')).toBe(3)
})

test('what all logs have done together does not fall when a topic is deleted', async () => {
  const { broker, connect, createTopic } = await startTestBroker({
    admin,
    engine: true,
    data: await temporaryDirectory(),
    durability: 'fsync',
  })
  await createTopic('kept')
  await createTopic('deleted')
  const client = await connect()
  const totals = () =>
    Promise.all(
      ['kafka_log_logflushstats_logflushrateandtimems_count', 'varve_log_flush_seconds_total'].map((series) =>
        valueOf(broker.admin, series),
      ),
    )
  for (const topic of ['kept', 'deleted', 'deleted']) await produceTo(client, topic, 'x')
  const [flushes, seconds] = await totals()
  await client.request(deleteTopics, 5, { topicNames: ['deleted'], timeoutMs: 5000 })
  const after = await totals()
  expect(after[0]).toBeGreaterThanOrEqual(flushes!)
  expect(after[1]).toBeGreaterThanOrEqual(seconds!)
  await produceTo(client, 'kept', 'x')
  expect((await totals())[0]).toBeGreaterThan(after[0]!)
})

test('other paths and methods', async () => {
  const { broker } = await startTestBroker({ admin })
  expect((await get(broker.admin, '/')).status).toBe(404)
  expect((await get(broker.admin, '/metrics', 'POST')).status).toBe(405)
  expect((await get(broker.admin, '/metrics?x=1')).type).toMatch(/^text\/plain; version=0\.0\.4/)
})

test('a port that is taken stops the start with one clear line', async () => {
  const { broker } = await startTestBroker({ admin })
  const error = await startTestBroker({ admin: { port: broker.admin!.port } }).catch(
    (failure: unknown) => failure,
  )
  expect(VarveError.is(error) && error.code).toBe('VARVE_PORT_IN_USE')
})
