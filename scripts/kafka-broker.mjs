/** A real Apache Kafka, one broker that is its own controller or several, out of the jars that Maven fetches: to compare with, never to run on. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { cache } from './paths.mjs'

export const KAFKA = '4.4.0'
export const kafkaJars = join(cache, `kafka-${KAFKA}`)
export const kafkaIsInstalled = () => existsSync(join(kafkaJars, `kafka_2.13-${KAFKA}.jar`))

const SLF4J = '1.7.36'

/** What `mvn dependency:copy-dependencies` takes. */
export const KAFKA_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>varve</groupId><artifactId>conformance</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>${SLF4J}</version></dependency>
  </dependencies>
</project>
`

/** A cluster id that both brokers of a comparison can have. */
export const CLUSTER_ID = Buffer.from('varve and kafka.').toString('base64url')

/** A port of this machine that nobody had a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** The bytes of an ApiVersions request, which a broker answers once it takes requests. */
const HELLO = Buffer.from('0000000a00120000000000010000', 'hex')

/** Whether a broker on a port of this machine answers now. */
export async function answers(port) {
  const socket = connect({ port, host: '127.0.0.1' })
  try {
    socket.on('error', () => {})
    socket.write(HELLO)
    const [event] = await Promise.race([
      once(socket, 'data').then(() => ['data']),
      once(socket, 'close').then(() => ['close']),
      after(1000, ['late'], { ref: false }),
    ]).catch(() => ['error'])
    return event === 'data'
  } finally {
    socket.destroy()
  }
}

/**
 * Formats a directory and starts a broker over it; resolves when it answers.
 *
 * @param {object} options
 * @param {string} options.directory empty, and left behind
 * @param {Readonly<Record<string, string | number>>} [options.properties] beside those that one broker needs
 * @param {string} [options.heap] default 1g
 * @param {string} [options.pem] file with a private key and its certificate: then there is a listener for TLS too
 * @param {Readonly<Record<string, {port: number, advertised: number}>>} [options.moreListeners] by name, without TLS, each
 *   telling clients of another port than its own
 */
export async function startKafka({ directory, properties = {}, heap = '1g', pem, moreListeners = {} }) {
  const port = await freePort()
  const controllerPort = await freePort()
  const tlsPort = pem === undefined ? undefined : await freePort()
  const more = Object.entries(moreListeners)
  const listenersWith = (portOf) =>
    [
      ['PLAINTEXT', port],
      ['CONTROLLER', controllerPort],
      ...(tlsPort === undefined ? [] : [['SSL', tlsPort]]),
      ...more.map(([name, ports]) => [name, portOf(ports)]),
    ]
      .map(([name, number]) => `${name}://127.0.0.1:${number}`)
      .join(',')
  const file = writeProperties(directory, {
    'process.roles': 'broker,controller',
    'node.id': 1,
    listeners: listenersWith((ports) => ports.port),
    'advertised.listeners': listenersWith((ports) => ports.advertised),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': [
      'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL',
      ...more.map(([name]) => `${name}:PLAINTEXT`),
    ].join(','),
    ...(pem !== undefined && { 'ssl.keystore.type': 'PEM', 'ssl.keystore.location': pem }),
    'controller.quorum.bootstrap.servers': `127.0.0.1:${controllerPort}`,
    'log.dirs': join(directory, 'logs'),
    'offsets.topic.replication.factor': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    ...properties,
  })
  await format(directory, file, '--standalone')
  const began = performance.now()
  const broker = await run(file, heap, port)
  return {
    port,
    tlsPort,
    pid: broker.pid,
    readyMilliseconds: performance.now() - began,
    stop: broker.stop,
  }
}

/**
 * Starts several brokers, each of them a controller as well, one of which may be missing; resolves when all answer.
 *
 * @param {object} options
 * @param {string} options.directory empty, and left behind
 * @param {readonly string[]} options.racks of each broker; the first has the node id 1
 * @param {Readonly<Record<string, string | number>>} [options.properties] beside those that they need
 * @param {string} [options.heap] of each, default 256m
 * @param {readonly string[]} [options.flags] of each Java; by default they are to be there soon, not fast
 */
export async function startKafkaCluster({
  directory,
  racks,
  properties = {},
  heap = '256m',
  flags = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
}) {
  const nodes = []
  for (const rack of racks) {
    nodes.push({ id: nodes.length + 1, rack, port: await freePort(), controllerPort: await freePort() })
  }
  const voters = nodes.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(',')
  const replication = Math.min(3, nodes.length)
  const logsOf = ({ id }) => join(directory, String(id), 'logs')
  const files = nodes.map((node) =>
    writeProperties(join(directory, String(node.id)), {
      'process.roles': 'broker,controller',
      'node.id': node.id,
      'broker.rack': node.rack,
      listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`,
      'controller.listener.names': 'CONTROLLER',
      'inter.broker.listener.name': 'PLAINTEXT',
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'controller.quorum.voters': voters,
      'log.dirs': logsOf(node),
      'offsets.topic.replication.factor': replication,
      'transaction.state.log.replication.factor': replication,
      'share.coordinator.state.topic.replication.factor': replication,
      ...properties,
    }),
  )
  const [first, ...others] = nodes
  await format(join(directory, String(first.id)), files[0])
  // What the tool writes differs in numbers alone, and the tool takes seconds.
  for (const node of others) {
    cpSync(logsOf(first), logsOf(node), { recursive: true })
    const meta = join(logsOf(node), 'meta.properties')
    const own = readFileSync(meta, 'utf8')
      .replace(/^node\.id=.*$/m, `node.id=${node.id}`)
      .replace(/^directory\.id=.*$/m, `directory.id=${randomBytes(16).toString('base64url')}`)
    writeFileSync(meta, own)
  }
  const begin = (index) => run(files[index], heap, nodes[index].port, flags)
  const running = await Promise.all(nodes.map((_, index) => begin(index)))
  return {
    ports: nodes.map(({ port }) => port),
    brokers: nodes.map(({ port }) => `127.0.0.1:${port}`),
    pidOf: (id) => running[id - 1].pid,
    kill: (id) => running[id - 1].stop(),
    async restart(id) {
      running[id - 1] = await begin(id - 1)
    },
    async stop() {
      await Promise.all(running.map((broker) => broker.stop()))
    },
  }
}

function writeProperties(directory, properties) {
  mkdirSync(directory, { recursive: true })
  const file = join(directory, 'server.properties')
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`)
  writeFileSync(file, lines.join(''))
  return file
}

/** Three at once, with thousands of partitions to open, take long on a busy machine. */
const START_MS = 180_000

/** What Kafka's start script gives it. */
export const START_SCRIPT_FLAGS = ['-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20']

const LOG = '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'

function java(...args) {
  const child = spawn('java', ['-cp', join(kafkaJars, '*'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = () => child.kill('SIGKILL')
  // Before folders are removed.
  process.prependOnceListener('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output = (output + text).slice(-20_000)))
  return { child, ended: once(child, 'exit'), output: () => output }
}

async function format(directory, file, ...how) {
  const tool = java(
    '-Xmx256m',
    LOG,
    'kafka.tools.StorageTool',
    'format',
    ...how,
    '-t',
    CLUSTER_ID,
    '-c',
    file,
  )
  const [code] = await tool.ended
  if (code !== 0) throw new Error(`Kafka could not format ${directory}: ${tool.output()}`)
}

/** Starts a broker over a directory that has been formatted; resolves when it answers. */
async function run(file, heap, port, flags = START_SCRIPT_FLAGS) {
  const broker = java(`-Xmx${heap}`, `-Xms${heap}`, ...flags, LOG, 'kafka.Kafka', file)
  const deadline = Date.now() + START_MS
  while (!(await answers(port))) {
    if (broker.child.exitCode !== null || Date.now() > deadline) {
      broker.child.kill('SIGKILL')
      throw new Error(`Kafka did not start: ${broker.output()}`)
    }
    await after(10)
  }
  return {
    pid: broker.child.pid,
    async stop() {
      broker.child.kill('SIGKILL')
      await broker.ended
    },
  }
}
