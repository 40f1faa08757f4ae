import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Failure } from './failure.js'

/** A `varve serve` in a process of its own, which ends with this one. */
export class BrokerChild {
  readonly brokerId: number
  readonly pid: number
  readonly address: string
  readonly process: ChildProcess

  private constructor(brokerId: number, child: ChildProcess, address: string) {
    this.brokerId = brokerId
    this.pid = child.pid!
    this.address = address
    this.process = child
  }

  /**
   * Resolves when it serves. What it says goes to standard error, with its id in front.
   *
   * @param started is told of the process, so that it can be ended before it serves
   * @throws Failure when it ends before that
   */
  static async start(
    brokerId: number,
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
    started: (child: ChildProcess) => void,
  ): Promise<BrokerChild> {
    const child = fork(process.argv[1]!, ['serve', ...args], {
      env: environment,
      // The channel tells it when this process is gone. Ctrl-C is for us, who stop it in order.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    })
    started(child)
    let [banner, last] = ['', '']
    let pending = ''
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (pending + text).split('\n')
      pending = lines.pop()!
      for (const line of lines) {
        // That it stops everybody knows who has stopped it.
        if (line !== 'Stopping')
          process.stderr.write(`broker ${brokerId}: ${(last = line)}
`)
      }
    })
    const address = await new Promise<string>((resolve, reject) => {
      child.stdout!.setEncoding('utf8').on('data', (text: string) => {
        banner += text
        const found = /^ {2}address +(\S+)$/m.exec(banner)?.[1]
        if (found !== undefined && banner.includes('Ctrl-C')) resolve(found)
      })
      child.once('error', reject)
      child.once('close', () =>
        reject(new Failure(`broker ${brokerId} does not start: ${last.replace(/^varve: /, '')}`)),
      )
    })
    return new BrokerChild(brokerId, child, address)
  }

  /** How it has ended. */
  get end(): string {
    const { signalCode, exitCode } = this.process
    return signalCode === null ? `with ${exitCode}` : `by ${signalCode}`
  }

  onEnd(ended: () => void): void {
    this.process.once('exit', ended)
  }
}

/** Ends processes, and waits for them. */
export async function endAll(
  children: Iterable<ChildProcess>,
  signal: NodeJS.Signals = 'SIGTERM',
): Promise<void> {
  const running = [...children].filter(
    ({ pid, exitCode, signalCode }) => pid !== undefined && exitCode === null && signalCode === null,
  )
  await Promise.all(
    running.map((child) => {
      const ended = once(child, 'exit')
      child.kill(signal)
      return ended
    }),
  )
}
