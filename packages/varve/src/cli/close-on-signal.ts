import type { Broker, BrokerLog } from '@varve/broker'

/** What a process serves: a broker, or several. */
export interface Served {
  /** What it is called in a sentence. */
  readonly name: string
  /** Whether there are certificates to be read again. */
  readonly hasTls: boolean
  /** What is wrong with the files is in the log. */
  reloadCertificates(): void
  close(): Promise<void>
}

/** Whether anything speaks TLS: a listener, or the broker with its etcd. */
export function hasTls(listeners: Broker['listeners'], cluster: string | undefined): boolean {
  return listeners.some(({ protocol }) => protocol === 'SSL') || cluster?.startsWith('etcds:') === true
}

/** What SIGHUP is for services; for what has a terminal it says that this is gone. */
function reloadsOnHangup({ hasTls }: Served): boolean {
  const hasTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  return !hasTerminal && process.platform !== 'win32' && hasTls
}

/** Ends the process after an orderly close; a second signal does not wait for it. */
export function closeOnSignal(served: Served, log: BrokerLog, isJson: boolean): void {
  // A terminal that is gone, or a log pipe that broke, is no reason to stop serving.
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners('error').on('error', () => {})
  let closing = false
  const reloads = reloadsOnHangup(served)
  // Whoever has started it over a channel, as `varve cluster up` does, is gone.
  if (process.channel !== undefined) process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    // The terminal was closed.
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, () => {
      if (signal === 'SIGHUP' && reloads) {
        if (!closing) served.reloadCertificates()
        return
      }
      if (closing) process.exit(exitCode)
      closing = true
      // What the terminal shows of Ctrl-C stays on its own line.
      if (isJson) log('info', `stopping, for ${signal}`)
      else process.stderr.write(`${process.stderr.isTTY ? '\n' : ''}Stopping\n`)
      served.close().then(
        () => process.exit(0),
        (error: unknown) => {
          const failure = `${served.name} did not stop cleanly: ${(error as Error).message}`
          if (isJson) log('error', failure)
          else process.stderr.write(`varve: ${failure}\n`)
          process.exit(1)
        },
      )
    })
  }
}
