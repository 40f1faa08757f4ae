/** Both clusters: three brokers each on this machine, every process with a folder of its own; varve's have an etcd beside them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { etcdCommand } from '../../scripts/etcd.mjs'
import { START_SCRIPT_FLAGS, freePort, startKafkaCluster } from '../../scripts/kafka-broker.mjs'
import { SAME, serveVarve } from '../kafka/servers.mjs'

export const IDS = [1, 2, 3]

// Each process that is started waits for the end of this one.
process.setMaxListeners(32)

/** More than any measurement takes: a cluster that is not measured stands still. */
const AN_HOUR_SECONDS = 3600
const ETCD_START_MS = 30_000

/**
 * @typedef {object} Servers
 * @property {(id: number) => string} addressOf
 * @property {(id: number) => number} pidOf
 * @property {number | undefined} storePid of the etcd
 * @property {(id: number) => Promise<void>} kill as `kill -9` does
 * @property {(id: number) => Promise<void>} restart over what it has, at the same address
 * @property {() => Promise<void>} stop
 *
 * `stands` says that the cluster will stand still while the other one is measured: nobody is to miss a broker then. Else
 * both have the sessions of nine seconds that they come with.
 *
 * @type {Record<string, (dir: string, how: { stands: boolean, nodeOptions?: readonly string[] }) => Promise<Servers>>}
 */
export const start = {
  async kafka(dir, { stands }) {
    const patient = {
      'broker.session.timeout.ms': AN_HOUR_SECONDS * 1000,
      'controller.quorum.fetch.timeout.ms': AN_HOUR_SECONDS * 1000,
    }
    const cluster = await startKafkaCluster({
      directory: dir,
      racks: IDS.map((id) => `r${id}`),
      properties: { ...SAME, 'auto.create.topics.enable': false, ...(stands && patient) },
      heap: '1g',
      flags: START_SCRIPT_FLAGS,
    })
    return { ...cluster, addressOf: (id) => cluster.brokers[id - 1], storePid: undefined }
  },

  async varve(dir, { stands, nodeOptions = [] }) {
    const etcd = await startEtcd(join(dir, 'etcd'))
    const ports = new Map()
    for (const id of IDS) ports.set(id, await freePort())
    const begin = (id) =>
      serveVarve(
        [
          ['--listeners', `PLAINTEXT://127.0.0.1:${ports.get(id)}`],
          ['--data', join(dir, String(id))],
          ['--cluster', etcd.url],
          ['--broker-id', String(id)],
          ['--rack', `r${id}`],
          stands ? ['--session-timeout', String(AN_HOUR_SECONDS)] : [],
        ].flat(),
        { nodeOptions, configs: SAME },
      )
    const running = new Map()
    const stop = async () => {
      const signal = nodeOptions.length > 0 ? 'SIGTERM' : 'SIGKILL'
      await Promise.all([...running.values()].map(({ end }) => end(signal)))
      await etcd.stop()
    }
    try {
      await Promise.all(IDS.map(async (id) => running.set(id, await begin(id))))
    } catch (error) {
      await stop()
      throw error
    }
    return {
      addressOf: (id) => `127.0.0.1:${ports.get(id)}`,
      pidOf: (id) => running.get(id).pid,
      storePid: etcd.pid,
      kill: (id) => running.get(id).end('SIGKILL'),
      async restart(id) {
        running.set(id, await begin(id))
      },
      stop,
    }
  },
}

/** One member, set as it comes: what it has promised is on disk. */
async function startEtcd(dir) {
  mkdirSync(dir, { recursive: true })
  const [client, peer] = [await freePort(), await freePort()].map((port) => `http://127.0.0.1:${port}`)
  const child = spawn(
    etcdCommand(),
    [
      ['--name', 'one'],
      ['--data-dir', dir],
      ['--listen-client-urls', client],
      ['--advertise-client-urls', client],
      ['--listen-peer-urls', peer],
      ['--initial-advertise-peer-urls', peer],
      ['--initial-cluster', `one=${peer}`],
      ['--log-level', 'error'],
    ].flat(),
    { stdio: 'ignore' },
  )
  const kill = () => child.kill('SIGKILL')
  // Before folders are removed.
  process.prependOnceListener('exit', kill)
  const ended = once(child, 'exit')
  child.once('exit', () => process.off('exit', kill))
  const deadline = Date.now() + ETCD_START_MS
  while (!(await isHealthy(client))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      kill()
      throw new Error('etcd did not start')
    }
    await after(20)
  }
  const stop = async () => {
    kill()
    await ended
  }
  return { url: client.replace('http:', 'etcd:'), pid: child.pid, stop }
}

const isHealthy = (url) =>
  fetch(`${url}/health`, { signal: AbortSignal.timeout(1000) }).then(
    ({ ok }) => ok,
    () => false,
  )
