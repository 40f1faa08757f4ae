/**
 * Every cell of the table for Kafka's command line tools, with their default settings but for what a cell is about, and a cell for
 * each tool. The arguments before the broker are the command that runs a class.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Admin, Producer } from '@varve/client'
import { bootstrapServers, brokers, replicationFactor, run, until } from './cells.mjs'
import { ended, start, temporaryDirectory } from './processes.mjs'

const [, , version, command, ...options] = process.argv.slice(0, -2)

const directory = temporaryDirectory()

/** Only prepares what a cell is not about: a tool needs a second to do so. */
const admin = new Admin({ brokers })

async function create(name, partitions = 1, configs = {}) {
  const topic = `kafka-tools-${name}`
  await admin.createTopics([{ name: topic, partitions, configs }])
  return topic
}

function file(name, content) {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}

const commandOf = (tool, args) => [command, [...options, `org.apache.kafka.tools.${tool}`, ...args]]

/** What a tool said, and how it ended. */
async function endOf(tool, args, input) {
  const { output, ...how } = await ended(...commandOf(tool, args), input)
  return { output: output.toString(), ...how }
}

/** What a tool printed that has to end well. */
async function tool(name, args, input) {
  const { output, errors, code } = await endOf(name, args, input)
  assert.equal(code, 0, `${name} ${args.join(' ')}: ${errors}${output}`)
  return output
}

/** The ids of all brokers, as the tools list them, and that of the controller. */
const { nodes, controllerId } = await admin.describeCluster()
const ids = nodes.map(({ nodeId }) => nodeId).sort()

const at = ['--bootstrap-server', bootstrapServers]
const ask = (name, ...args) => tool(name, [...at, ...args])
/** Words instead of a table's columns. */
const table = async (name, ...args) => (await ask(name, ...args)).replaceAll(/[ \t]+/g, ' ')
/** It gives up behind five seconds, which a busy machine needs to load its classes. */
const patiently = ['--timeout', '60000']
const askGroups = (...args) => table('consumer.group.ConsumerGroupCommand', ...args, ...patiently)

const linesOf = (output) => output.split('\n').filter((line) => line !== '')

const produce = (topic, lines, ...settings) =>
  tool('ConsoleProducer', [...at, '--topic', topic, ...settings], lines.map((line) => `${line}\n`).join(''))

const properties = (name, values) => values.flatMap((value) => [name, value])

const consumer = (topic, ...args) => [...at, '--topic', topic, ...args]

const consume = async (topic, count, ...args) =>
  linesOf(await tool('consumer.ConsoleConsumer', consumer(topic, '--max-messages', String(count), ...args)))

/** A member of a group, and the values that it has read. */
function member(group, topic, ...args) {
  const child = start(
    ...commandOf('consumer.ConsoleConsumer', consumer(topic, '--group', `kafka-tools-${group}`, ...args)),
  )
  const values = []
  let rest = ''
  child.stderr.resume()
  child.stdout.setEncoding('utf8').on('data', (more) => {
    const lines = (rest + more).split('\n')
    rest = lines.pop()
    values.push(...lines)
  })
  const leave = async () => {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  return { values, leave }
}

async function codec(name) {
  const topic = await create(name)
  const line = (i, none) => `h:${i},none:${none}\tk${i}\t${i % 5 === 4 ? none : `value ${i} `.repeat(20)}`
  const numbers = Array.from({ length: 50 }, (_, i) => i)
  await produce(
    topic,
    numbers.map((i) => line(i, 'NULL')),
    '--compression-codec',
    name,
    ...properties('--reader-property', ['parse.key=true', 'parse.headers=true', 'null.marker=NULL']),
  )
  const shown = ['print.key=true', 'print.headers=true', 'null.literal=nothing']
  assert.deepEqual(
    await consume(topic, 50, '--from-beginning', ...properties('--formatter-property', shown)),
    numbers.map((i) => line(i, 'nothing')),
  )
}

async function large() {
  const topic = await create('large')
  const value = 'nine hundred thousand bytes '.repeat(32_143).slice(0, 900_000)
  await produce(topic, [value])
  assert.deepEqual(await consume(topic, 1, '--from-beginning'), [value])
  const small = await create('small', 1, { 'max.message.bytes': '10000' })
  const refused = await endOf('ConsoleProducer', consumer(small, '--sync'), `${'x'.repeat(20_000)}\n`)
  assert.notEqual(refused.code, 0)
  assert.match(refused.errors, /RecordTooLargeException/)
  await produce(small, ['small'])
  assert.deepEqual(await consume(small, 1, '--from-beginning'), ['small'])
}

/** Its producer is idempotent unless it is told otherwise. */
async function idempotent() {
  const topic = await create('idempotent')
  const lines = Array.from({ length: 500 }, (_, i) => String(i))
  await produce(topic, lines)
  assert.deepEqual(await consume(topic, 500, '--from-beginning'), lines)
  const [producers] = await admin.describeProducers([{ topic, partition: 0 }])
  assert.equal(producers.producers.length, 1)
}

async function group() {
  const topic = await create('group', 6)
  const members = []
  const share = (each) => async () => {
    if (!(await admin.listGroups()).some(({ groupId }) => groupId === 'kafka-tools-three')) return false
    const [described] = await admin.describeGroups(['kafka-tools-three'])
    return (
      described.state === 'Stable' &&
      described.members.length === members.length &&
      described.members.every(({ assignment }) => assignment.length === each)
    )
  }
  for (const each of [6, 3, 2]) {
    members.push(member('three', topic, '--from-beginning'))
    await until(share(each), `${each} partitions for each`)
  }
  const lines = Array.from({ length: 60 }, (_, i) => `key ${i}:${i}`)
  await produce(topic, lines, ...properties('--reader-property', ['parse.key=true', 'key.separator=:']))
  const read = () => members.flatMap(({ values }) => values)
  await until(() => read().length >= 60, 'all records')
  assert.deepEqual(
    read()
      .map(Number)
      .sort((a, b) => a - b),
    lines.map((_, i) => i),
  )
  await members.pop().leave()
  await until(share(3), '3 partitions for each')
  for (const { leave } of members) await leave()
  await produce(topic, ['after'])
  assert.deepEqual(await consume(topic, 1, '--group', 'kafka-tools-three', '--from-beginning'), ['after'])
}

async function reset() {
  const topic = await create('reset')
  await produce(topic, ['before'])
  const earliest = ['--group', 'kafka-tools-earliest', '--from-beginning']
  assert.deepEqual(await consume(topic, 1, ...earliest), ['before'])
  const latest = member('latest', topic)
  const producer = new Producer({ brokers })
  // It tells of no position before its first record, so there is one more until one arrives.
  await until(async () => {
    await producer.send(topic, { value: 'after' })
    return latest.values.length > 0
  }, 'a record from the end')
  assert.equal(latest.values[0], 'after')
  await latest.leave()
  // What a group has committed may be gone.
  const { offset } = await producer.send(topic, { value: 'kept' })
  await producer.close()
  await admin.deleteRecords([{ topic, partition: 0, before: offset }])
  assert.deepEqual(await consume(topic, 1, ...earliest), ['kept'])
}

async function topics() {
  const topic = 'kafka-tools-topics'
  const named = ['--topic', topic]
  const compact = ['--config', 'cleanup.policy=compact']
  const wanted = ['--partitions', '2', '--replication-factor', String(replicationFactor), ...compact]
  assert.match(
    await ask('TopicCommand', '--create', ...named, ...wanted),
    /Created topic kafka-tools-topics\./,
  )
  assert.match(
    await table('TopicCommand', '--describe', ...named),
    new RegExp(
      `TopicId: \\S{22} PartitionCount: 2 ReplicationFactor: ${replicationFactor} Configs: .*cleanup\\.policy=compact`,
    ),
  )
  await ask('TopicCommand', '--alter', ...named, '--partitions', '3')
  const [described, lagging, listed] = await Promise.all([
    table('TopicCommand', '--describe', ...named),
    ask('TopicCommand', '--describe', '--under-replicated-partitions'),
    ask('TopicCommand', '--list'),
  ])
  const [, leader, replicas, inSync] = /Partition: 2 Leader: (\d+) Replicas: (\S+) Isr: (\S+)/.exec(described)
  assert.ok(ids.includes(Number(leader)))
  for (const list of [replicas, inSync]) assert.deepEqual(list.split(',').map(Number).sort(), ids)
  assert.doesNotMatch(lagging, /kafka-tools/)
  assert.ok(linesOf(listed).includes(topic))
  await ask('TopicCommand', '--delete', ...named)
  assert.ok(!linesOf(await ask('TopicCommand', '--list')).includes(topic))
}

async function configs() {
  const topic = await create('configs')
  const change = (type, name, ...how) =>
    ask('ConfigCommand', '--alter', '--entity-type', type, '--entity-name', name, ...how)
  const describe = (type, name, ...how) =>
    ask('ConfigCommand', '--describe', '--entity-type', type, '--entity-name', name, ...how)
  await change('topics', topic, '--add-config', 'retention.ms=12345,cleanup.policy=[compact,delete]')
  const set = await describe('topics', topic)
  assert.match(set, /retention\.ms=12345 .*DYNAMIC_TOPIC_CONFIG:retention\.ms=12345/)
  assert.match(set, /cleanup\.policy=compact,delete/)
  await change('topics', topic, '--delete-config', 'retention.ms')
  assert.doesNotMatch(await describe('topics', topic), /retention\.ms/)
  assert.match(await describe('topics', topic, '--all'), /retention\.ms=604800000 sensitive=false/)
  const one = String(ids.at(-1))
  // One that no other client looks at meanwhile.
  await change('brokers', one, '--add-config', 'log.index.interval.bytes=54321')
  assert.match(await describe('brokers', one), /log\.index\.interval\.bytes=54321/)
  await change('brokers', one, '--delete-config', 'log.index.interval.bytes')
  assert.match(await describe('brokers', one, '--all'), /num\.partitions=1 /)
  const wrong = [...at, '--alter', '--entity-type', 'topics', '--entity-name', topic]
  const refused = await endOf('ConfigCommand', [...wrong, '--add-config', 'retention.ms=soon'])
  assert.notEqual(refused.code, 0)
  assert.match(refused.errors, /InvalidConfigurationException/)
}

async function records() {
  const topic = await create('records')
  const producer = new Producer({ brokers })
  const timestamps = [5000, 9000, 7000].map((ms) => Date.UTC(2020, 0, 1) + ms)
  for (const timestamp of timestamps) await producer.send(topic, { value: String(timestamp), timestamp })
  await producer.close()
  const offsets = (...args) => ask('GetOffsetShell', '--topic-partitions', `${topic}:0`, ...args)
  const times = ['latest', 'earliest', 'max-timestamp', String(timestamps[0] + 1)]
  const found = await Promise.all([offsets(), ...times.map((time) => offsets('--time', time))])
  assert.deepEqual(
    found.map((line) => line.trim()),
    [3, 3, 0, 1, 1].map((offset) => `${topic}:0:${offset}`),
  )
  const which = { partitions: [{ topic, partition: 0, offset: 1 }], version: 1 }
  const json = file('records.json', JSON.stringify(which))
  assert.match(await ask('DeleteRecordsCommand', '--offset-json-file', json), /low_watermark: 1/)
  assert.equal((await offsets('--time', 'earliest')).trim(), `${topic}:0:1`)
}

async function cluster() {
  const topic = await create('cluster')
  await produce(topic, ['one'])
  const seen = ['--topic', topic, '--partition', '0']
  const [apis, dirs, producers, quorum, election, id, moves, metrics, features] = await Promise.all([
    ask('BrokerApiVersionsCommand'),
    ask('LogDirsCommand', '--describe', '--topic-list', topic),
    table('TransactionsCommand', 'describe-producers', ...seen),
    table('MetadataQuorumCommand', 'describe', '--status'),
    ask('LeaderElectionCommand', '--election-type', 'preferred', ...seen),
    tool('ClusterTool', ['cluster-id', ...at]),
    ask('reassign.ReassignPartitionsCommand', '--list'),
    ask('ClientMetricsCommand', '--list'),
    ask('FeatureCommand', 'describe'),
  ])
  assert.match(apis, /Produce\(0\): 0 to 13 \[usable: 13\]/)
  assert.equal(dirs.match(/"partition":"kafka-tools-cluster-0","size":[1-9]/g).length, replicationFactor)
  assert.match(producers, /^\d+ 0 -1 0 \d+ None/m)
  assert.match(quorum, new RegExp(`LeaderId: ${controllerId}\\b`))
  assert.match(election, /Valid replica already elected for partitions kafka-tools-cluster-0/)
  assert.match(id, /Cluster ID: \S{22}/)
  assert.match(moves, /No partition reassignments found/)
  assert.equal(metrics.trim(), '')
  assert.equal(features.trim(), '')
}

async function consoleConsumer() {
  const topic = await create('console', 2)
  const producer = new Producer({ brokers })
  for (const value of ['a', 'b', 'c']) await producer.send(topic, { value, partition: 1 })
  await producer.close()
  const partition = ['--partition', '1']
  const shown = properties('--formatter-property', ['print.partition=true', 'print.offset=true'])
  const [one, last, rest, named] = await Promise.all([
    consume(topic, 1, ...partition, '--offset', '1', ...shown),
    endOf('consumer.ConsoleConsumer', consumer(topic, ...partition, '--timeout-ms', '3000')),
    // Its group forms before the first record, while three others start.
    consume(topic, 3, '--from-beginning', '--timeout-ms', '60000'),
    tool('consumer.ConsoleConsumer', [
      ...at,
      '--include',
      'kafka-tools-consol.',
      '--from-beginning',
      '--max-messages',
      '3',
    ]),
  ])
  assert.deepEqual(one, ['Partition:1\tOffset:1\tb'])
  assert.deepEqual(linesOf(last.output), [])
  assert.match(last.errors, /Processed a total of 0 messages/)
  assert.deepEqual(rest, ['a', 'b', 'c'])
  assert.deepEqual(linesOf(named), ['a', 'b', 'c'])
}

async function consumerGroups() {
  const topic = await create('groups')
  const producer = new Producer({ brokers })
  const midnight = Date.UTC(2020, 0, 1)
  for (let i = 0; i < 12; i++)
    await producer.send(topic, { value: String(i), timestamp: i < 6 ? midnight + i * 1000 : Date.now() })
  await producer.close()
  const group = 'kafka-tools-administered'
  const named = ['--group', group]
  const reset = (...args) => askGroups('--reset-offsets', ...named, '--topic', topic, ...args)
  const to = (offset) => new RegExp(`^${group} ${topic} 0 ${offset}$`, 'm')
  assert.match(await reset('--to-latest', '--execute'), to(12))
  assert.match(await reset('--shift-by', '-5', '--execute'), to(7))
  const plans = await Promise.all([
    reset('--to-datetime', '2020-01-01T00:00:02.500', '--dry-run'),
    reset('--by-duration', 'PT1H', '--dry-run'),
    reset('--to-offset', '4', '--dry-run'),
    reset('--to-earliest', '--dry-run'),
    reset('--to-current', '--dry-run'),
  ])
  for (const [i, offset] of [3, 6, 4, 0, 7].entries()) assert.match(plans[i], to(offset))
  const [states, described, all, exported] = await Promise.all([
    askGroups('--list', '--state'),
    askGroups('--describe', ...named),
    askGroups('--describe', '--all-groups', '--state'),
    reset('--to-offset', '5', '--export', '--dry-run'),
  ])
  assert.match(states, /^kafka-tools-administered Empty $/m)
  // None of the plans was carried out.
  assert.match(described, new RegExp(`^${group} ${topic} 0 7 12 5 - - -`, 'm'))
  assert.match(all, new RegExp(`^${group} \\S+ \\(\\d+\\) - Empty 0`, 'm'))
  const plan = file('plan.csv', exported)
  assert.match(await askGroups('--reset-offsets', ...named, '--from-file', plan, '--execute'), to(5))
  const joined = member('administered', topic)
  await until(() => joined.values.length === 7, '7 records')
  assert.match(
    await askGroups('--describe', ...named, '--members', '--verbose'),
    new RegExp(`^${group} \\S+ \\S+ \\S+ 1 .*${topic}.*0`, 'm'),
  )
  const busy = [
    ...at,
    ...patiently,
    '--reset-offsets',
    ...named,
    '--topic',
    topic,
    '--to-earliest',
    '--execute',
  ]
  const refused = await endOf('consumer.group.ConsumerGroupCommand', busy)
  assert.match(refused.output + refused.errors, /current state is Stable/)
  await joined.leave()
  assert.match(await askGroups('--describe', ...named), new RegExp(`^${group} ${topic} 0 12 12 0 `, 'm'))
  assert.match(await askGroups('--delete-offsets', ...named, '--topic', topic), / 0 Successful/)
  assert.match(await ask('GroupsCommand', '--list'), /kafka-tools-three|kafka-tools-administered/)
  await reset('--to-earliest', '--execute')
  assert.match(await askGroups('--delete', ...named), /was successful/)
  assert.doesNotMatch(await askGroups('--list'), /kafka-tools-administered/)
}

async function performance() {
  const topic = await create('performance')
  const records = ['--num-records', '5000', '--record-size', '100', '--throughput', '-1']
  assert.match(await ask('ProducerPerformance', '--topic', topic, ...records), /5000 records sent/)
  const read = await ask('ConsumerPerformance', ...patiently, '--topic', topic, '--num-records', '5000')
  assert.equal(read.trim().split('\n').at(-1).split(',')[4].trim(), '5000')
}

// Half of a tool's time goes into loading the same classes: the first one leaves them to the others. Java is silent about what it
// cannot leave, and does without where that is all.
const classes = join(directory, 'classes.jsa')
const quietly = ['-Xshare:auto', '-Xlog:disable', '-Xlog:all=error:stderr']
options.unshift(...quietly, `-XX:ArchiveClassesAtExit=${classes}`)
await askGroups('--list')
options.splice(quietly.length, 1, `-XX:SharedArchiveFile=${classes}`)

await run(version, {
  ...Object.fromEntries(['none', 'gzip', 'snappy', 'lz4', 'zstd'].map((name) => [name, () => codec(name)])),
  large,
  idempotent,
  group,
  reset,
  topics,
  configs,
  records,
  cluster,
  consoleConsumer,
  consumerGroups,
  performance,
})
