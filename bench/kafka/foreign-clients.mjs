/** Kafka's own performance tools, and librdkafka by way of kcat. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { kafkaToolsJars } from '../../scripts/kafka-jars.mjs'
import { ClientProcess } from './client-process.mjs'
import { RECORD_BYTES } from './native-client.mjs'

/** Runs one of Kafka's tools with what its script gives Java; `args` are parted by spaces, of which none holds any. */
function tool(name, args) {
  const java = ['-Xmx512m', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-cp', join(kafkaToolsJars, '*')]
  return new ClientProcess('java', [...java, `org.apache.kafka.tools.${name}`, ...args.split(' ')]).end()
}

const BATCH_BYTES = { '16 KB': 16_384, '1 MB': 1_000_000, 'one record': 1 }
const LINGER_MS = { '16 KB': 5, '1 MB': 50, 'one record': 0 }

const found = (pattern, text, what) => {
  const numbers = pattern.exec(text)?.slice(1).map(Number)
  if (numbers === undefined || numbers.some(Number.isNaN))
    throw new Error(`${what} printed no figures: ${text.trim().slice(-300)}`)
  return numbers
}

/** What ProducerPerformance prints at last. */
export function javaProduced(output) {
  const line = output.trim().split('\n').at(-1)
  const [records, perSecond, p50, p99] = found(
    /^(\d+) (?:steady state )?records sent, ([\d.]+) records\/sec .* (\d+) ms 50th, .* (\d+) ms 99th/,
    line,
    'ProducerPerformance',
  )
  return { records, seconds: records / perSecond, latencies: { p50: p50 * 1000, p99: p99 * 1000 } }
}

/** The line of ConsumerPerformance: start, end, MB, MB/s, records, records/s, rebalance, fetch time, … */
export function javaConsumed(output) {
  const columns = output
    .trim()
    .split('\n')
    .at(-1)
    .split(',')
    .map((column) => column.trim())
  const [records, fetchMilliseconds] = [columns[4], columns[7]].map(Number)
  if (!(records > 0 && fetchMilliseconds > 0))
    throw new Error(`ConsumerPerformance printed no figures: ${output}`)
  return { records, seconds: fetchMilliseconds / 1000 }
}

/** What EndToEndLatency prints at last. */
export function javaArrived(output) {
  const [p50, p99] = found(/50th = ([\d.]+), 99th = ([\d.]+)/, output, 'EndToEndLatency')
  return { latencies: { p50: p50 * 1000, p99: p99 * 1000 } }
}

export const java = {
  /** At full speed, or at a pace; records to warm up with do not count. */
  async produce(broker, topic, { acks, batch, codec, recordsPerSecond = -1, warmUpRecords = 0 }, records) {
    const batches = `batch.size=${BATCH_BYTES[batch]} linger.ms=${LINGER_MS[batch]} compression.type=${codec}`
    const warmUp = warmUpRecords > 0 ? ` --warmup-records ${warmUpRecords}` : ''
    const { result, brokerCpuSeconds } = await broker.charged(() =>
      tool(
        'ProducerPerformance',
        `--bootstrap-server ${broker.address} --topic ${topic.name} --num-records ${records} --record-size ${RECORD_BYTES} --throughput ${recordsPerSecond} --command-property acks=${acks} ${batches}${warmUp}`,
      ),
    )
    return { ...javaProduced(result.output), brokerCpuSeconds }
  },

  async consume(broker, topic, records) {
    const { result, brokerCpuSeconds } = await broker.charged(() =>
      tool(
        'ConsumerPerformance',
        `--bootstrap-server ${broker.address} --topic ${topic.name} --num-records ${records} --hide-header --timeout 20000`,
      ),
    )
    return { ...javaConsumed(result.output), brokerCpuSeconds }
  },

  /** One record at a time, each read before the next is sent. */
  async endToEnd(broker, topic, records) {
    const { output } = await tool(
      'EndToEndLatency',
      `${broker.address} ${topic.name} ${records} all ${RECORD_BYTES}`,
    )
    return javaArrived(output)
  },
}

/** A line for each record, of hexadecimal digits: the lines of a file are what kcat sends. */
function payload(dir, records) {
  const path = join(dir, `lines-${records}`)
  if (existsSync(path)) return path
  const lines = Array.from({ length: 1000 }, (_, index) => {
    let state = index + 1
    let line = ''
    while (line.length < RECORD_BYTES) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      line += state.toString(16)
    }
    return `${line.slice(0, RECORD_BYTES)}\n`
  }).join('')
  const chunk = Buffer.from(lines)
  writeFileSync(path, '')
  for (let left = records; left > 0; left -= 1000) {
    writeFileSync(path, chunk.subarray(0, Math.min(left, 1000) * (RECORD_BYTES + 1)), { flag: 'a' })
  }
  return path
}

const kcat = (args) => new ClientProcess('kcat', args).end()

const properties = (values) => Object.entries(values).flatMap(([name, value]) => ['-X', `${name}=${value}`])

export const librdkafka = {
  async produce(broker, topic, { acks, batch, codec }, records, dir) {
    const file = payload(dir, records)
    const options = properties({
      acks,
      'batch.size': BATCH_BYTES[batch],
      'batch.num.messages': 100_000,
      'linger.ms': LINGER_MS[batch],
      'compression.codec': codec,
      'queue.buffering.max.messages': 1_000_000,
    })
    const began = performance.now()
    const { brokerCpuSeconds } = await broker.charged(() =>
      kcat(['-P', '-b', broker.address, '-t', topic.name, ...options, '-l', file]),
    )
    return { records, seconds: (performance.now() - began) / 1000, brokerCpuSeconds }
  },

  async consume(broker, topic, records, { tls = false } = {}) {
    const address = tls ? broker.tlsAddress : broker.address
    const options = properties({
      'queued.max.messages.kbytes': 262_144,
      // The certificate is made for the measurement, and nobody else's.
      ...(tls && { 'security.protocol': 'ssl', 'enable.ssl.certificate.verification': false }),
    })
    const began = performance.now()
    const where = ['-b', address, '-t', topic.name, '-o', 'beginning']
    // It ends after so many, or at the end; a character for each record, so that it can be counted what came.
    const how = ['-c', String(records), '-e', '-q', '-f', '.']
    const { result, brokerCpuSeconds } = await broker.charged(() =>
      kcat(['-C', ...where, ...options, ...how]),
    )
    if (result.output.length !== records)
      throw new Error(`${result.output.length} of ${records} records came`)
    return { records, seconds: (performance.now() - began) / 1000, brokerCpuSeconds }
  },
}
