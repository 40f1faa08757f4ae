import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from './failure.js'

const host = '127.0.0.1'
const patienceMs = 20_000

/** The etcd that is installed here; `VARVE_ETCD` names another one. Null: there is none. */
export function findEtcd(environment: NodeJS.ProcessEnv): string | null {
  const named = environment['VARVE_ETCD']
  if (named !== undefined && named !== '') return named
  const folders = (environment['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, 'etcd')).find(isExecutable) ?? null
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Runs etcd, which knows nothing of who has started it, and ends it when that one is gone or says so: at once for SIGINT.
 */
const watcher = `
const etcd = require('node:child_process').spawn(process.argv[1], process.argv.slice(2), { stdio: ['ignore', 'ignore', 'inherit'] })
process.on('disconnect', () => etcd.kill('SIGTERM'))
process.on('SIGTERM', () => etcd.kill('SIGTERM'))
process.on('SIGINT', () => etcd.kill('SIGKILL'))
etcd.on('error', ({ message }) => {
  console.error(message)
  process.exit(1)
})
etcd.on('exit', (code) => process.exit(code ?? 0))
`

/** An etcd of one member, for brokers on this machine. */
export class LocalEtcd {
  readonly url: string
  readonly child: ChildProcess

  private constructor(child: ChildProcess, url: string) {
    this.child = child
    this.url = url
  }

  /**
   * @param started is told of the process, so that it can be ended before it serves
   * @throws Failure when it does not serve
   */
  static async start(
    command: string,
    data: string,
    started: (child: ChildProcess) => void,
  ): Promise<LocalEtcd> {
    const [client, peer] = [await freePort(), await freePort()]
    const clientUrl = `http://${host}:${client}`
    const args = [
      ['--data-dir', data, '--log-level', 'error'],
      ['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
      // Nobody else is a member, so this may be another one each time.
      ['--listen-peer-urls', `http://${host}:${peer}`],
    ].flat()
    const child = spawn(process.execPath, ['-e', watcher, command, ...args], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // Ctrl-C is for us; it is stopped when no broker needs it any more.
      detached: true,
    })
    started(child)
    let said = ''
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)))
    const etcd = new LocalEtcd(child, `etcd://${host}:${client}/varve`)
    let failure: Error | null = null
    child.once('error', (error) => (failure = error))
    for (const until = Date.now() + patienceMs; ; await sleep(50)) {
      const hasEnded = failure !== null || child.exitCode !== null || child.signalCode !== null
      if (hasEnded || Date.now() > until) {
        throw new Failure(
          `etcd (${command}) does not serve from ${data}: ${failure ?? (said.trim() || 'it says nothing')}`,
        )
      }
      const response = await fetch(`${clientUrl}/health`).catch(() => null)
      if (response?.ok) return etcd
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
