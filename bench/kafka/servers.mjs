/** The two brokers, each in a process of its own with a new directory, on this machine. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { answers, freePort, startKafka } from '../../scripts/kafka-broker.mjs'
import { root } from '../../scripts/paths.mjs'

/**
 * @typedef {object} Server
 * @property {string} address
 * @property {string} [tlsAddress] if it was given a certificate
 * @property {number} pid
 * @property {number} readyMilliseconds from the start of the process to its first answer
 * @property {() => Promise<void>} stop
 */

/** What both are told. Topics go when they are deleted, so that no measurement shares the disk with another one's removal. */
export const SAME = { 'log.segment.delete.delay.ms': 0 }
const START_MS = 60_000

/** More than any measurement takes: the broker that is not measured stands still. */
const KAFKA_ONLY = { 'broker.session.timeout.ms': 3_600_000, 'auto.create.topics.enable': false }

/**
 * @typedef {object} Options
 * @property {readonly string[]} [nodeOptions] of varve's process
 * @property {string} [pem] file with a private key and its certificate
 *
 * @type {Record<string, (dir: string, options?: Options) => Promise<Server>>}
 */
export const start = {
  async kafka(dir, { pem } = {}) {
    const properties = { ...SAME, ...KAFKA_ONLY }
    const { port, tlsPort, ...kafka } = await startKafka({ directory: dir, properties, pem })
    return { ...kafka, address: `127.0.0.1:${port}`, tlsAddress: tlsPort && `127.0.0.1:${tlsPort}` }
  },

  async varve(dir, { nodeOptions = [], pem } = {}) {
    const tlsAddress = pem && `127.0.0.1:${await freePort()}`
    const listeners = [`PLAINTEXT://127.0.0.1:0`, ...(pem ? [`SSL://${tlsAddress}`] : [])].join(',')
    const tls = pem ? ['--ssl-cert', pem, '--ssl-key', pem] : []
    const args = ['--listeners', listeners, ...tls, '--data', dir, '--max-connections', '20000']
    const served = await serveVarve(args, { nodeOptions, configs: SAME })
    // What it keeps is not wanted, but a profile is written at an orderly end.
    const stop = () => served.end(nodeOptions.length > 0 ? 'SIGTERM' : 'SIGKILL')
    return { ...served, tlsAddress, stop }
  },
}

/**
 * Starts `varve serve` with what every measurement wants of it; resolves when it answers.
 *
 * @param {readonly string[]} args
 * @param {{ nodeOptions?: readonly string[], configs?: Readonly<Record<string, string | number>> }} [options]
 */
export async function serveVarve(args, { nodeOptions = [], configs = {} } = {}) {
  const bin = join(root, 'packages', 'varve', 'bin', 'varve.mjs')
  const configured = Object.entries(configs).flatMap(([name, value]) => ['--config', `${name}=${value}`])
  const began = performance.now()
  const child = spawn(
    process.execPath,
    [...nodeOptions, bin, 'serve', '--durability', 'os', '--no-auto-create', ...args, ...configured],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const kill = () => child.kill('SIGKILL')
  // Before folders are removed.
  process.prependOnceListener('exit', kill)
  const ended = once(child, 'exit')
  child.once('exit', () => process.off('exit', kill))
  let said = ''
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (errors = (errors + text).slice(-4000)))
  const address = await Promise.race([
    new Promise((resolve) => {
      child.stdout.setEncoding('utf8').on('data', (text) => {
        const found = /^ {2}address +(\S+)$/m.exec((said += text))
        if (found !== null) resolve(found[1])
      })
    }),
    ended.then(() => undefined),
    after(START_MS, undefined, { ref: false }),
  ])
  if (address === undefined || !(await answers(Number(address.split(':')[1])))) {
    kill()
    throw new Error(`varve did not start: ${errors}`)
  }
  const readyMilliseconds = performance.now() - began
  const end = async (signal) => {
    child.kill(signal)
    await ended
  }
  return { address, pid: child.pid, readyMilliseconds, end }
}
