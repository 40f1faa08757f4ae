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
import { ManualClock } from './support/manual-clock.js'
import { commit, join, sync } from './support/group-requests.js'
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
const brokerState = 'kafka_server_kafkaserver_brokerstate'

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

async function freePort(): Promise<number> {
  const before = createServer().listen(0, '127.0.0.1')
  await once(before, 'listening')
  const { port } = before.address() as { port: number }
  await new Promise((resolve) => before.close(resolve))
  return port
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
  const port = await freePort()
  const opening = openBroker(resolveOptions({ data: await temporaryDirectory(), admin: { port } }), {
    openDataDirectory: async (...args: Parameters<MemoryDisk['openDataDirectory']>) => {
      await held
      return disk.openDataDirectory(...args)
    },
  })
  await expect
    .poll(() => health({ port }).catch(() => null))
    .toMatchObject({ httpStatus: 503, status: 'starting' })
  expect(await valueOf({ port }, brokerState)).toBe(2)
  proceed()
  const broker = await opening
  onTestFinished(() => broker.close())
  expect((await health({ port })).status).toBe('serving')
  expect(await valueOf({ port }, brokerState)).toBe(3)
})

test('it tells how many logs are opened, and so does the log of a start that takes long', async () => {
  const disk = new MemoryDisk()
  const data = await temporaryDirectory()
  const before = await startTestBroker({ disk, data })
  await before.createTopic('orders', 3)
  await before.broker.close()
  const releases: (() => void)[] = []
  const clock = new ManualClock()
  const lines: string[] = []
  const held = (log: unknown) => new Promise((resolve) => releases.push(() => resolve(log)))
  const options = resolveOptions({
    data,
    clock,
    admin,
    log: (level, message) => lines.push(`${level} ${message}`),
  })
  const port = await freePort()
  const opening = openBroker(
    { ...options, admin: { port, host: '127.0.0.1' } },
    {
      openDataDirectory: async (...args: Parameters<MemoryDisk['openDataDirectory']>) => {
        const directory = await disk.openDataDirectory(...args)
        const openLog: typeof directory.openLog = async (name, given) => {
          const log = await directory.openLog(name, given)
          return name.startsWith('orders-') ? ((await held(log)) as typeof log) : log
        }
        return { ...directory, dir: directory.dir, openLog }
      },
    },
  )
  await expect.poll(() => releases.length).toBe(3)
  releases.pop()!()
  await expect
    .poll(() => health({ port }))
    .toEqual({ httpStatus: 503, status: 'starting', problems: [], logs: { opened: 1, all: 3 } })
  clock.advance(5000)
  expect(lines).toContain('info opened 1 of 3 logs so far')
  for (const release of releases) release()
  const broker = await opening
  onTestFinished(() => broker.close())
  expect(lines).toContain('info opened 3 of 3 logs in 5 s')
  expect(await health({ port })).toEqual({ httpStatus: 200, status: 'serving', problems: [] })
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
  expect(await valueOf(at, brokerState)).toBe(7)
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

test('errors, times and traffic are told by request and topic, and by no name that is no topic', async () => {
  const { broker, connect, createTopic } = await startTestBroker({ admin, engine: true })
  await createTopic('orders')
  const client = await connect()
  await produceTo(client, 'orders', 'a')
  await client.request(produce, 9, produceBody('none', batchOf('x')))
  await client.request(produce, 9, produceBody('orders', Buffer.alloc(61)))
  const { responses } = await client.request(fetchRecords, 12, fetchBody('orders'))
  const stored = responses[0]!.partitions[0]!.records!.length
  const at = broker.admin
  const requests = 'kafka_network_requestmetrics_'
  expect(await valueOf(at, `${requests}errors_total{request="Produce",error="NONE"}`)).toBe(1)
  expect(
    await valueOf(at, `${requests}errors_total{request="Produce",error="UNKNOWN_TOPIC_OR_PARTITION"}`),
  ).toBe(1)
  // The response's own error, and its partition's.
  expect(await valueOf(at, `${requests}errors_total{request="Fetch",error="NONE"}`)).toBe(2)
  expect(await valueOf(at, `${requests}totaltimems_count{request="Produce"}`)).toBe(3)
  const quantile = (label: string): Promise<number> =>
    valueOf(at, `${requests}totaltimems{request="Produce",quantile="${label}"}`)
  const [median, last] = [await quantile('0.50'), await quantile('0.999')]
  expect(median).toBeGreaterThan(0)
  expect(last).toBeGreaterThanOrEqual(median)
  const topics = 'kafka_server_brokertopicmetrics_'
  const waiting = 'kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation="Produce"}'
  expect(await valueOf(at, waiting)).toBe(0)
  expect(await valueOf(at, `${topics}totalproducerequests_total`)).toBe(3)
  expect(await valueOf(at, `${topics}totalproducerequests_total{topic="orders"}`)).toBe(2)
  expect(await valueOf(at, `${topics}totalfetchrequests_total{topic="orders"}`)).toBe(1)
  expect(await valueOf(at, `${topics}failedfetchrequests_total{topic="orders"}`)).toBe(0)
  expect(await valueOf(at, `${topics}bytesout_total{topic="orders"}`)).toBe(stored)
  expect((await get(at, '/metrics')).text).not.toContain('topic="none"')

  await client.request(deleteTopics, 5, { topicNames: ['orders'], timeoutMs: 5000 })
  const { text } = await get(at, '/metrics')
  expect(text).not.toContain('topic="orders"')
  expect(await valueOf(at, `${topics}bytesout_total`)).toBe(stored)
  expect(await valueOf(at, `${topics}messagesin_total`)).toBe(1)
})

test('what Kafka counts as failed counts, and what it takes for the affair of a client does not', async () => {
  const { broker, connect, createTopic } = await startTestBroker({ admin })
  await createTopic('orders')
  const client = await connect()
  const failed = 'kafka_server_brokertopicmetrics_failedproducerequests_total{topic="orders"}'
  const damaged = batchOf('x')
  damaged.writeUInt8(damaged.readUInt8(damaged.length - 1) ^ 1, damaged.length - 1)
  const codeOf = async (records: Buffer | null): Promise<number> => {
    const { responses } = await client.request(produce, 9, produceBody('orders', records))
    return responses[0]!.partitionResponses[0]!.errorCode
  }
  // CORRUPT_MESSAGE
  expect(await codeOf(damaged)).toBe(2)
  expect(await valueOf(broker.admin, failed)).toBe(0)
  // INVALID_RECORD
  expect(await codeOf(null)).toBe(87)
  expect(await valueOf(broker.admin, failed)).toBe(1)
})

test('who waits, sessions, groups and the state of the broker are told', async () => {
  const { broker, connect, createTopic, clock } = await startTestBroker({ admin })
  for (const topic of ['orders', 't']) await createTopic(topic)
  const [client, member] = [await connect(), await connect()]
  const at = broker.admin
  const waiting = 'kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation="Fetch"}'
  const wait = client.request(fetchRecords, 12, {
    ...fetchBody('orders'),
    maxWaitMs: 5000,
    minBytes: 1,
    sessionEpoch: 0,
  })
  await expect.poll(() => valueOf(at, waiting)).toBe(1)
  clock.advance(5000)
  await wait
  expect(await valueOf(at, waiting)).toBe(0)
  const cache = 'kafka_server_fetchsessioncache_numincrementalfetch'
  expect(await valueOf(at, `${cache}sessions`)).toBe(1)
  expect(await valueOf(at, `${cache}partitionscached`)).toBe(1)

  const groups = 'kafka_coordinator_group_groupmetadatamanager_'
  expect(await valueOf(at, `${groups}numgroups`)).toBe(0)
  const joining = join(member, 5)
  // The first rebalance waits for further members.
  await settle()
  clock.advance(3000)
  const joined = await joining
  await sync(member, 5, joined)
  expect(await valueOf(at, `${groups}numgroupsstable`)).toBe(1)
  expect(await valueOf(at, `${groups}numgroups`)).toBe(1)
  expect(await valueOf(at, 'kafka_server_group_coordinator_metrics_group_completed_rebalance_count')).toBe(1)
  const { memberId, generationId } = joined
  await commit(member, 7, 3, { memberId, generationIdOrMemberEpoch: generationId })
  expect(await valueOf(at, `${groups}numoffsets`)).toBe(1)
  const replicas = 'kafka_server_replicamanager_'
  expect(await valueOf(at, `${replicas}leadercount`)).toBe(await valueOf(at, `${replicas}partitioncount`))
  expect(await valueOf(at, `${replicas}underreplicatedpartitions`)).toBe(0)
  expect(await valueOf(at, 'kafka_controller_kafkacontroller_offlinepartitionscount')).toBe(0)
  expect(await valueOf(at, 'kafka_controller_kafkacontroller_globaltopiccount')).toBe(3)
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
