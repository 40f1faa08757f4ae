#!/usr/bin/env node
/**
 * How long nobody can write when the leader of a partition goes away: from the moment at which it is killed, stands still, or is cut
 * off by the network, until a record that is sent after it is acknowledged by two of three brokers. They are processes of this
 * machine, over an etcd; to be cut off from etcd, brokers and clients each has a network namespace of its own. A client that has a
 * request at a leader which does not answer gives it up when its own time is over; here it comes anew, to the other brokers.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Admin, Producer } from '@varve/client'
import { freePort } from './kafka-broker.mjs'
import { loadMachines } from './machines.mjs'
import { cache, root } from './paths.mjs'

const USAGE = `Usage: npm run bench:failover -- [options]

  --how <kill|pause|partition>
                       the leader is killed and its process ends, or it stands still and nobody is told, or it goes on
                       and nothing passes between it and the rest, which takes root, ip and nft; default kill
  --rounds <count>     how often; default 100
  --session <seconds>  how long the others wait for a broker of which they hear nothing; default 3`

const TOPIC = 'failover'
const varve = join(root, 'packages', 'varve', 'bin', 'varve.mjs')
const unpacked = join(cache, 'etcd', 'usr', 'bin', 'etcd')

const folder = mkdtempSync(join(tmpdir(), 'varve-failover-'))
/** @type {Set<import('node:child_process').ChildProcess>} */
const processes = new Set()
process.once('exit', () => {
  for (const child of processes) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

/** Starts a process here, and resolves when it has said something. */
async function startHere(command, args, ready) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  processes.add(child)
  child.once('exit', () => processes.delete(child))
  let said = ''
  await new Promise((resolve, reject) => {
    const hear = (text) => {
      said += text
      if (ready.test(said)) resolve(undefined)
    }
    child.stdout.setEncoding('utf8').on('data', hear)
    child.stderr.setEncoding('utf8').on('data', hear)
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}: ${said}`)))
  })
  return child
}

/** All of them on this machine. */
const together = { address: '127.0.0.1', freePort, start: startHere }

/** A machine of the tests. */
const alone = (machine) => ({
  address: machine.address,
  freePort: async () => 9092,
  start: async (command, args, ready) => {
    const started = await machine.start(command, args)
    await started.said(ready)
    return started
  },
})

async function startStore(place) {
  const client = `http://${place.address}:${await place.freePort()}`
  // Of one member, to which nobody else comes.
  const peer = `http://127.0.0.1:${await freePort()}`
  const flags = {
    'data-dir': join(folder, 'etcd'),
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
  }
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
  await place.start(existsSync(unpacked) ? unpacked : 'etcd', args, /ready to serve client requests/)
  return `etcd://${new URL(client).host}/varve`
}

class BrokerAtWork {
  constructor(id, place, port, store, session) {
    this.id = id
    this.place = place
    this.address = `${place.address}:${port}`
    this.args = Object.entries({
      'broker-id': id,
      listeners: `PLAINTEXT://${this.address}`,
      data: join(folder, `broker-${id}`),
      cluster: store,
      'session-timeout': session,
      'log-level': 'error',
    }).flatMap(([name, value]) => [`--${name}`, String(value)])
  }

  async start() {
    this.process = await this.place.start(process.execPath, [varve, 'serve', ...this.args], /Ctrl-C stops it/)
  }

  async kill() {
    const ended = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await ended
  }
}

/** What is done to a leader, and taken back. */
const ways = {
  kill: { strike: (broker) => broker.kill(), heal: (broker) => broker.start() },
  pause: {
    strike: async (broker) => void broker.process.kill('SIGSTOP'),
    heal: async (broker) => void broker.process.kill('SIGCONT'),
  },
  partition: {
    strike: async ({ place }) => place.cutOff(),
    heal: async ({ place }) => place.heal(),
  },
}

/** Waits for another leader as a client does that knows the other brokers, and writes to it. */
async function writeToTheNext(leader, others) {
  const admin = new Admin({ brokers: others.map(({ address }) => address) })
  const producer = new Producer({ brokers: others.map(({ address }) => address), lingerMs: 0 })
  while ((await leaderKnownBy(admin)) === leader.id) await sleep(20)
  await producer.send(TOPIC, { value: 'after' })
  await Promise.all([producer.close(), admin.close()])
}

async function partitionAsKnownBy(admin) {
  const found = await admin.describeTopics([TOPIC]).catch(() => [])
  return found[0]?.partitions[0] ?? { leader: -1, isr: [] }
}

const leaderKnownBy = async (admin) => (await partitionAsKnownBy(admin)).leader

/** Where etcd and the brokers are. */
function placesFor(machines) {
  if (machines === null) return { store: together, brokers: [together, together, together] }
  const brokers = ['one', 'two', 'three'].map((name) => {
    const machine = machines.machine(name)
    let fault = null
    return {
      ...alone(machine),
      cutOff: () => void (fault = machines.network.split([machine], machines.othersThan(name))),
      heal: () => fault.heal(),
    }
  })
  return { store: alone(machines.machine('etcd')), brokers }
}

async function measure({ how, rounds, session }, machines) {
  const places = placesFor(machines)
  const store = await startStore(places.store)
  const brokers = []
  for (const [index, place] of places.brokers.entries())
    brokers.push(new BrokerAtWork(index + 1, place, await place.freePort(), store, session))
  await Promise.all(brokers.map((broker) => broker.start()))
  const addresses = brokers.map(({ address }) => address)
  const admins = addresses.map((address) => new Admin({ brokers: [address] }))
  const producer = new Producer({ brokers: addresses, lingerMs: 0 })
  const configs = { 'min.insync.replicas': '2' }
  await admins[0].createTopics([{ name: TOPIC, partitions: 1, replicationFactor: 3, configs }])
  /** The leader once all replicas are in sync, and all brokers know so: one that has stood still may be behind. */
  const leaderOfAll = async () => {
    for (;;) {
      const views = await Promise.all(admins.map(partitionAsKnownBy))
      const [{ leader }] = views
      if (leader > 0 && views.every((view) => view.leader === leader && view.isr.length === 3))
        return brokers[leader - 1]
      await sleep(50)
    }
  }
  const times = []
  for (let round = 1; round <= rounds; round++) {
    const leader = await leaderOfAll()
    await producer.send(TOPIC, { value: 'before' })
    const began = performance.now()
    const struck = ways[how].strike(leader)
    if (how === 'kill') await producer.send(TOPIC, { value: 'after' })
    else
      await writeToTheNext(
        leader,
        brokers.filter((broker) => broker !== leader),
      )
    times.push(performance.now() - began)
    await struck
    await ways[how].heal(leader)
    process.stderr.write(`\r${round} of ${rounds}: ${Math.round(times.at(-1))} ms `)
  }
  process.stderr.write('\n')
  await Promise.all([producer, ...admins].map((client) => client.close()))
  return times.sort((a, b) => a - b)
}

const { values } = parseArgs({
  options: {
    how: { type: 'string', default: 'kill' },
    rounds: { type: 'string', default: '100' },
    session: { type: 'string', default: '3' },
    help: { type: 'boolean', short: 'h' },
  },
})
if (values.help || !Object.hasOwn(ways, values.how)) {
  console.log(USAGE)
  process.exit(values.help ? 0 : 2)
}
const { Machines, machinesMissing } = values.how === 'partition' ? await loadMachines() : {}
const missing = machinesMissing?.() ?? null
if (missing !== null) {
  console.log(`${values.how}: skipped: ${missing}`)
  process.exit(0)
}
const machines = Machines?.create(['etcd', 'one', 'two', 'three']) ?? null
const times = await measure(
  { how: values.how, rounds: Number(values.rounds), session: Number(values.session) },
  machines,
)
await machines?.close()
const at = (share) => Math.round(times[Math.ceil(share * times.length) - 1])
console.log(
  `${values.how}, session of ${values.session} s, ${times.length} rounds: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`,
)
process.exit(0)
