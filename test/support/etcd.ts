/** A real etcd of a test's own, of one member or of several, that can be killed, paused, cut off and started again. */
import { type ChildProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Credentials } from './certificates.js'
import { startChild } from './children.js'
import { PeerLink } from './etcd-peers.js'
import { cache } from './tree.js'

const unpacked = join(cache, 'etcd', 'usr', 'bin', 'etcd')

/** `VARVE_ETCD` is the path of another one. */
export const etcdCommand = process.env['VARVE_ETCD'] ?? (existsSync(unpacked) ? unpacked : 'etcd')

const version = /etcd Version: (\d+)\.(\d+)/.exec(
  spawnSync(etcdCommand, ['--version']).stdout?.toString() ?? '',
)

/** Why there is no etcd to test with, or null. */
export const etcdMissing: string | null =
  version === null ? 'etcd is not installed; install it with: npm run setup:conformance' : null

const isAtLeast = (minor: number): boolean => Number(version?.[1]) > 3 || Number(version?.[2]) >= minor

/** For whatever has to become true of a process; a machine that is busy takes its time. */
const patienceMs = 50_000

export interface EtcdTlsFiles extends Credentials {
  /** Who signs the certificates of clients; given, none comes without one. */
  readonly clientCa?: string
}

export interface EtcdOptions {
  readonly tls?: EtcdTlsFiles
  /** More of etcd's flags. */
  readonly flags?: readonly string[]
}

interface MemberOptions extends EtcdOptions {
  readonly name: string
  readonly directory: string
  readonly clientPort: number
  readonly peerPort: number
  /** Where the others are told that it is. */
  readonly peerUrl: string
  readonly cluster: string
}

// An address of this process alone: neither another test nor a connection of anybody's takes a port while its etcd is down.
export const etcdHost =
  process.platform === 'linux' ? `127.77.${(process.pid >> 8) & 255}.${process.pid & 255 || 1}` : '127.0.0.1'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, etcdHost)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** One member of an etcd cluster. */
export class EtcdProcess {
  readonly host = etcdHost
  readonly port: number
  /** `host:port` of its clients. */
  readonly address: string
  readonly #options: MemberOptions
  #child: ChildProcess | null = null
  #memberId: string | null = null

  /** See {@link EtcdProcess.start}, {@link EtcdCluster.start}. */
  constructor(options: MemberOptions) {
    this.#options = options
    this.port = options.clientPort
    this.address = `${etcdHost}:${options.clientPort}`
  }

  /** Starts an etcd of one member; {@link close} it when it has been used. */
  static async start(options: EtcdOptions = {}): Promise<EtcdProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'varve-etcd-'))
    const peerPort = await freePort()
    const peerUrl = `http://${etcdHost}:${peerPort}`
    const ports = { clientPort: await freePort(), peerPort, peerUrl }
    const etcd = new EtcdProcess({ ...options, ...ports, name: 'm0', directory, cluster: `m0=${peerUrl}` })
    await etcd.run()
    return etcd
  }

  /** What a broker is given to use it. */
  get url(): string {
    return `${this.#options.tls === undefined ? 'etcd' : 'etcds'}://${this.address}`
  }

  /** Starts it, also again with what it has stored, and waits until it serves. */
  async run(): Promise<void> {
    await this.begin()
    await this.ready()
  }

  /** Starts it, and waits for nothing. */
  async begin(): Promise<void> {
    const { name, directory, clientPort, peerPort, peerUrl, cluster, tls, flags = [] } = this.#options
    const data = join(directory, name)
    await mkdir(directory, { recursive: true })
    const clientUrl = `${tls === undefined ? 'http' : 'https'}://${etcdHost}:${clientPort}`
    this.#child = startChild(
      etcdCommand,
      [
        ['--name', name],
        ['--data-dir', data],
        ['--listen-client-urls', clientUrl],
        ['--advertise-client-urls', clientUrl],
        ['--listen-peer-urls', `http://${etcdHost}:${peerPort}`],
        ['--initial-advertise-peer-urls', peerUrl],
        ['--initial-cluster', cluster],
        // Leases are at least one and a half elections long, and a second.
        ['--heartbeat-interval', '50'],
        ['--election-timeout', '500'],
        ['--log-level', 'error'],
        isAtLeast(5) ? ['--unsafe-no-fsync'] : [],
        tls === undefined ? [] : await this.#tlsFlags(tls),
        flags,
      ].flat(),
      { stdio: ['ignore', 'ignore', 'ignore'] },
    )
  }

  /** Waits until it answers, and knows a leader where it is one of several. */
  async ready(): Promise<void> {
    const until = Date.now() + patienceMs
    for (;;) {
      const status = await this.#ask('/v3/maintenance/status', {}).catch(() => null)
      if (status !== null && status['leader'] !== undefined) {
        this.#memberId = (status['header'] as { member_id: string }).member_id
        return
      }
      if (this.#child?.exitCode !== null) throw new Error(`etcd ended with ${this.#child?.exitCode}`)
      if (Date.now() > until) throw new Error(`etcd at ${this.address} does not answer`)
      await sleep(20)
    }
  }

  /** By which etcd's members know it; it has to have been ready once. */
  get memberId(): string {
    if (this.#memberId === null) throw new Error(`the etcd at ${this.address} has never been ready`)
    return this.#memberId
  }

  /** The member that leads, as far as this one knows; `'0'` where it knows none, null where it does not answer. */
  async leaderId(): Promise<string | null> {
    const status = await this.#ask('/v3/maintenance/status', {}).catch(() => null)
    return status === null ? null : String(status['leader'] ?? '0')
  }

  /** Asks the JSON gateway for something, for the test itself. */
  async ask(
    path: string,
    body: object,
    headers: Record<string, string> = {},
  ): Promise<Record<string, unknown>> {
    const answer = await this.#ask(path, body, headers)
    if (typeof answer['error'] === 'string' || typeof answer['code'] === 'number')
      throw new Error(`etcd: ${JSON.stringify(answer)}`)
    return answer
  }

  /** Forgets what happened before its revision. */
  async compact(): Promise<void> {
    const { header } = (await this.ask('/v3/kv/range', { key: 'AA==' })) as { header: { revision: string } }
    await this.ask('/v3/kv/compaction', { revision: header.revision, physical: true })
  }

  /** Makes a user `root`, and one with a role for a key prefix, and asks for passwords from then on. */
  async enableAuthentication(user: { name: string; password: string; keyPrefix: string }): Promise<void> {
    const { name, password, keyPrefix } = user
    const key = Buffer.from(keyPrefix)
    const end = Buffer.from(key)
    end[end.length - 1]!++
    const range = { key: key.toString('base64'), range_end: end.toString('base64') }
    await this.ask('/v3/auth/user/add', { name: 'root', password: 'root' })
    await this.ask('/v3/auth/role/add', { name: 'root' })
    await this.ask('/v3/auth/user/grant', { user: 'root', role: 'root' })
    await this.ask('/v3/auth/user/add', { name, password })
    await this.ask('/v3/auth/role/add', { name })
    await this.ask('/v3/auth/role/grant', { name, perm: { permType: 'READWRITE', ...range } })
    await this.ask('/v3/auth/user/grant', { user: name, role: name })
    await this.ask('/v3/auth/enable', {})
  }

  /** As `root`, once {@link enableAuthentication} has been called. */
  async asRoot(path: string, body: object): Promise<Record<string, unknown>> {
    const { token } = await this.ask('/v3/auth/authenticate', { name: 'root', password: 'root' })
    return await this.ask(path, body, { authorization: String(token) })
  }

  /** Ends it at once, as a power loss would, or in order. What it has stored stays. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  /**
   * Holds it as it is: its connections stay, and nothing comes. Its threads stop one by one behind the signal, and might answer
   * meanwhile; none runs when this returns.
   */
  pause(): void {
    const { pid } = this.#child!
    this.#child!.kill('SIGSTOP')
    const threads = `/proc/${pid}/task`
    const stateOf = (thread: string): string =>
      /\) (\w)/.exec(readFileSync(`${threads}/${thread}/stat`, 'utf8'))![1]!
    while (existsSync(threads) && !readdirSync(threads).every((thread) => stateOf(thread) === 'T'));
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Ends it and removes what it has stored. */
  async close(): Promise<void> {
    await this.kill()
    await rm(this.#options.directory, { recursive: true, force: true })
  }

  async #tlsFlags({ cert, key, clientCa }: EtcdTlsFiles): Promise<string[]> {
    const { directory } = this.#options
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(directory, name), text)
      return join(directory, name)
    }
    const own = ['--cert-file', await file('cert.pem', cert), '--key-file', await file('key.pem', key)]
    if (clientCa === undefined) return own
    return [...own, '--client-cert-auth', '--trusted-ca-file', await file('ca.pem', clientCa)]
  }

  #ask(path: string, body: object, headers: Record<string, string> = {}): Promise<Record<string, unknown>> {
    const { tls } = this.#options
    const options = { host: etcdHost, port: this.port, path, method: 'POST', headers, agent: false as const }
    return new Promise((resolve, reject) => {
      const request =
        tls === undefined
          ? httpRequest(options)
          : httpsRequest({
              ...options,
              cert: tls.cert,
              key: tls.key,
              rejectUnauthorized: false,
            })
      request.setTimeout(patienceMs, () => request.destroy(new Error(`etcd did not answer ${path}`)))
      request.on('error', reject)
      request.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>)
          } catch (error) {
            reject(error as Error)
          }
        })
      })
      request.end(JSON.stringify(body))
    })
  }
}

/** Several members that agree with each other. */
export class EtcdCluster {
  readonly members: readonly EtcdProcess[]
  readonly #directory: string
  readonly #links: readonly PeerLink[]

  private constructor(directory: string, members: readonly EtcdProcess[], links: readonly PeerLink[]) {
    this.#directory = directory
    this.members = members
    this.#links = links
  }

  /** Starts one; {@link close} it when it has been used. */
  static async start({
    members: count = 3,
    ...options
  }: EtcdOptions & { members?: number } = {}): Promise<EtcdCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'varve-etcd-'))
    const peerPorts = await Promise.all(Array.from({ length: count }, freePort))
    const links = await Promise.all(peerPorts.map((port) => PeerLink.open(etcdHost, port)))
    const cluster = links.map(({ url }, i) => `m${i}=${url}`).join(',')
    const members = await Promise.all(
      links.map(
        async ({ url: peerUrl }, i) =>
          new EtcdProcess({
            ...options,
            name: `m${i}`,
            directory: join(directory, `m${i}`),
            clientPort: await freePort(),
            peerPort: peerPorts[i]!,
            peerUrl,
            cluster,
          }),
      ),
    )
    const started = new EtcdCluster(directory, members, links)
    try {
      for (const member of members) await member.begin()
      await Promise.all(members.map((member) => member.ready()))
    } catch (error) {
      await started.close()
      throw error
    }
    return started
  }

  /** All members, in their order. */
  get url(): string {
    return `etcd://${this.members.map(({ address }) => address).join(',')}`
  }

  /** Waits for a leader whom most members know, and all that answer, and returns it. */
  async leader(): Promise<EtcdProcess> {
    const until = Date.now() + patienceMs
    for (;;) {
      const known = await Promise.all(this.members.map((member) => withinASecond(member.leaderId())))
      const answers = known.filter((id) => id !== null)
      const leader = this.members.find(({ memberId }) => answers.every((id) => id === memberId))
      if (leader !== undefined && answers.length > this.members.length / 2) return leader
      if (Date.now() > until) throw new Error(`etcd has no leader: its members know ${known.join()}`)
      await sleep(50)
    }
  }

  /** Lets nothing pass between a member and the others; its clients still reach it. */
  cutOff(member: EtcdProcess): void {
    this.#links[this.members.indexOf(member)]!.isCut = true
    for (const link of this.#links) link.cutFrom.add(member.memberId)
    for (const link of this.#links) link.apply()
  }

  heal(): void {
    for (const link of this.#links) {
      link.isCut = false
      link.cutFrom.clear()
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()))
    await Promise.all(this.#links.map((link) => link.close()))
    await rm(this.#directory, { recursive: true, force: true })
  }
}

const withinASecond = <T>(promise: Promise<T>): Promise<T | null> =>
  Promise.race([promise, sleep(1000, null, { ref: false })])
