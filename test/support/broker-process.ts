import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { startChild } from './children.js'
import { varve } from './tree.js'

/** Members of a group need not wait three seconds for others that no test starts. */
const SOON = ['--config', 'group.initial.rebalance.delay.ms=0'] as const
/** What a broker tells in passing is no error. */
const QUIET = ['--log-level', 'warn'] as const

/** A real `varve serve` in a process of its own, on a port that the system chose. */
export class BrokerProcess {
  readonly child: ChildProcess
  /** All of the banner. */
  readonly banner: string
  /** `host:port`, as the banner names it; of the first of several. */
  readonly address: string
  readonly #exit: Promise<[number | null, NodeJS.Signals | null]>
  #errors = ''

  private constructor(child: ChildProcess, banner: string, address: string) {
    this.child = child
    this.banner = banner
    this.address = address
    this.#exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#errors += text))
  }

  /**
   * Resolves when the broker serves; rejects with what it said if it ends before that.
   *
   * @param env what its environment has beside ours
   */
  static async start(
    data: string,
    args: readonly string[] = [],
    { node = process.execPath, bin = varve, env = {} as Readonly<Record<string, string>> } = {},
  ): Promise<BrokerProcess> {
    const child = startChild(
      node,
      [bin, 'serve', ...SOON, ...QUIET, '--port', '0', '--data', data, ...args],
      {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    let output = ''
    let errors = ''
    const onError = (text: string): unknown => (errors += text)
    child.stderr!.setEncoding('utf8').on('data', onError)
    const banner = await new Promise<string>((resolve, reject) => {
      child.stdout!.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (output.includes('Ctrl-C stops it.')) resolve(output)
      })
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`varve serve ended with ${code}: ${errors}`)))
    })
    child.stderr!.off('data', onError)
    const [address] = addressesIn(banner)
    if (address === undefined) throw new Error(`no address in the banner:\n${banner}`)
    return new BrokerProcess(child, banner, address)
  }

  /** What the broker has written to standard error since it serves. */
  get errors(): string {
    return this.#errors
  }

  /** Those of all brokers in the process. */
  get addresses(): string[] {
    return addressesIn(this.banner)
  }

  get port(): number {
    return Number(this.address.slice(this.address.lastIndexOf(':') + 1))
  }

  /** Sends a signal and waits for the end; resolves with the exit code, or null if the signal itself ended it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal)
    const [code] = await this.#exit
    return code
  }
}

function addressesIn(banner: string): string[] {
  return [...banner.matchAll(/^ {2}(?:address|broker \d+) +(\S+)/gm)].map(([, address]) => address!)
}
