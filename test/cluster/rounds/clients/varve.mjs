/**
 * Our own client on a cluster that is being broken: `work BROKERS TOPIC PARTITIONS GROUP HISTORY GAP_MS [defaults]` has an idempotent
 * producer, a member of the group and a reader without one write down what they do and see, until SIGTERM. Timeouts are short enough
 * for faults that last seconds, or those that everybody has. `read BROKERS TOPIC PARTITIONS HISTORY`
 * reads everything once nothing is written any more.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin, Consumer, Producer } from '@varve/client'
import { clientsOf } from './history-client.mjs'

const [mode, brokerList, topic, count, ...rest] = process.argv.slice(2)
const brokers = brokerList.split(',')
const all = Array.from({ length: Number(count) }, (_, partition) => partition)
const nameOf = (partition) => `${topic}-${partition}`
const mapped = (value) => Object.fromEntries(all.map((partition) => [nameOf(partition), value(partition)]))
const start = clientsOf(mode === 'work' ? rest[1] : rest[0])
const over = new AbortController()
const hasDefaults = rest[3] === 'defaults'
const requestTimeout = hasDefaults ? {} : { requestTimeoutMs: 10_000 }
const session = hasDefaults ? {} : { sessionTimeoutMs: 10_000, heartbeatIntervalMs: 1000 }

/** Writes down what a consumer was handed, as a poll; returns the offset behind it. */
function polled(client, { partition, batch, records }) {
  const operation = client.invoke('poll')
  const name = nameOf(partition)
  const read = [...records()].map(({ offset, value }) => [offset, value.toString()])
  client.ok(operation, { records: { [name]: read }, positions: { [name]: batch.nextOffset } })
  return batch.nextOffset
}

async function produce(gapMs) {
  const client = start('varve-producer', { producer: { acks: 'all', idempotent: true } })
  const producer = new Producer({ brokers, ...requestTimeout })
  let underWay = 0
  for (let n = 0; !over.signal.aborted; await sleep(gapMs)) {
    if (underWay >= 200) continue
    const partition = n % all.length
    const value = `varve-${n++}`
    const operation = client.invoke('produce', { partition: nameOf(partition), value })
    underWay++
    producer
      .send(topic, { partition, value })
      .then(
        ({ offset }) => client.ok(operation, { offset }),
        (error) => client.info(operation, error),
      )
      .finally(() => underWay--)
  }
  await producer.close()
}

async function takePart(group) {
  const client = start('varve-member', { consumer: { group, reset: 'earliest' } })
  const consumer = new Consumer({
    brokers,
    groupId: group,
    offsetReset: 'earliest',
    autoCommit: false,
    ...session,
    ...requestTimeout,
  })
  consumer.subscribe([topic], {
    onAssigned: (those) =>
      client.write('assigned', {
        positions: Object.fromEntries(those.map(({ partition }) => [nameOf(partition), null])),
      }),
    onRevoked: (those) =>
      client.write('revoked', { partitions: those.map(({ partition }) => nameOf(partition)) }),
  })
  over.signal.addEventListener('abort', () => void consumer.close())
  let committedAt = 0
  const next = new Map()
  for await (const batch of consumer.batches()) {
    next.set(batch.partition, polled(client, batch))
    if (performance.now() - committedAt < 200) continue
    committedAt = performance.now()
    // Only what it still has is its own to commit.
    const mine = consumer.assignment.filter(({ partition }) => next.has(partition))
    const offsets = mine.map(({ partition }) => ({ topic, partition, offset: next.get(partition) }))
    next.clear()
    if (over.signal.aborted) break
    const operation = client.invoke('commit', {
      offsets: Object.fromEntries(offsets.map(({ partition, offset }) => [nameOf(partition), offset])),
    })
    try {
      await consumer.commit(offsets)
      client.ok(operation)
    } catch (error) {
      client.info(operation, error)
    }
  }
}

async function read() {
  const client = start('varve-reader', { consumer: {} })
  const consumer = new Consumer({ brokers, ...requestTimeout })
  consumer.assign(all.map((partition) => ({ topic, partition, offset: 0 })))
  client.write('assigned', { positions: mapped(() => 0) })
  over.signal.addEventListener('abort', () => void consumer.close())
  for await (const batch of consumer.batches()) polled(client, batch)
}

async function readFinally() {
  const client = start('final-reader', { consumer: { final: true } })
  const asked = client.invoke('listOffsets')
  const admin = new Admin({ brokers })
  const places = all.map((partition) => ({ topic, partition }))
  const [starts, ends] = await Promise.all(
    ['earliest', 'latest'].map((timestamp) =>
      admin.listOffsets(places.map((place) => ({ ...place, timestamp }))),
    ),
  )
  const bounds = mapped((partition) => [starts, ends].map((found) => found[partition].offset))
  client.ok(asked, { ends: bounds })
  await admin.close()
  const consumer = new Consumer({ brokers })
  const assignments = places.map(({ partition }) => {
    const [offset, end] = bounds[nameOf(partition)]
    return { topic, partition, offset, end }
  })
  client.write('assigned', { positions: mapped((partition) => bounds[nameOf(partition)][0]) })
  consumer.assign(assignments)
  for await (const batch of consumer.batches()) polled(client, batch)
  await consumer.close()
}

process.once('SIGTERM', () => over.abort())
if (mode === 'read') await readFinally()
else await Promise.all([produce(Number(rest[2])), takePart(rest[0]), read()])
