import { stat } from 'node:fs/promises'
import type { TlsOptions } from 'node:tls'
import { type BrokerLog, messageOf } from './broker-log.js'
import type { Clock, Timer } from './clock.js'
import { checkValidity, readSsl, sslFiles, type SslIdentity, type SslOptions } from './ssl-options.js'

const checkEveryMs = 10_000
const dayMs = 24 * 3_600_000
/** So long ahead of its end a certificate is worth a line each day. */
const warnAheadMs = 14 * dayMs

export interface CertificateRenewalOptions {
  readonly ssl: SslOptions
  /** What is in the files now; `files` is from before they were read. */
  readonly identity: SslIdentity
  readonly files: string
  /** Takes what new connections are to use. */
  readonly use: (tls: TlsOptions) => void
  readonly clock: Clock
  readonly log: BrokerLog
}

/**
 * Takes over a certificate that was renewed, without a restart: looks at the files of certificate, key and authorities every
 * ten seconds, by their inodes and times, and reads them again when any is another one. What does not fit together, or is not
 * valid now, is not taken over; what was in use stays, and the next look tries again: a certificate may become valid.
 */
export class CertificateRenewal {
  readonly #options: CertificateRenewalOptions
  #identity: SslIdentity
  /** The files that were read last and taken over. */
  #files: string
  /** Those that could not be, and have been the same for one look only. */
  #suspected: string | null = null
  #failure: { readonly files: string; readonly problem: string } | null = null
  #remindedAt = -Infinity
  #timer: Timer
  #work: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(options: CertificateRenewalOptions) {
    this.#options = options
    this.#identity = options.identity
    this.#files = options.files
    options.log('info', `TLS uses the certificate of ${this.#shown}`)
    this.#remind()
    this.#schedule()
  }

  /** What new connections use. */
  get identity(): SslIdentity {
    return this.#identity
  }

  /** In ms since 1970. */
  get expiresAt(): number {
    return Date.parse(this.#identity.certificate.validTo)
  }

  /** What keeps clients from connecting, now or soon. */
  problems(): string[] {
    const problems = this.#failure === null ? [] : [this.#failure.problem]
    if (this.expiresAt <= this.#options.clock.now())
      problems.push(`the certificate of ${this.#shown} has expired`)
    return problems
  }

  /**
   * Reads the files now, changed or not.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`: they cannot be used, and what was in use stays
   */
  reload(): Promise<void> {
    return this.#inTurn(async () => {
      const files = await lookAt(this.#options.ssl)
      try {
        await this.#takeOver(files)
      } catch (error) {
        this.#fail(files, error)
        throw error
      }
    })
  }

  /** Looks no more. */
  close(): void {
    this.#closed = true
    this.#options.clock.clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#closed) return
    this.#timer = this.#options.clock.setTimeout(() => {
      void this.#inTurn(() => this.#check()).finally(() => this.#schedule())
    }, checkEveryMs)
  }

  /** One after the other, so that what was read first is not taken over last. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const turn = this.#work.then(step)
    this.#work = turn.catch(() => {})
    return turn
  }

  async #check(): Promise<void> {
    const files = await lookAt(this.#options.ssl)
    if (this.#closed) return
    if (files === this.#files) {
      this.#failure = null
    } else {
      try {
        await this.#takeOver(files)
      } catch (error) {
        // Between the writing of one file and that of the next they do not fit, and nobody has to be told.
        if (files === this.#suspected) this.#fail(files, error)
        this.#suspected = files
      }
    }
    this.#remind()
  }

  async #takeOver(files: string): Promise<void> {
    const { ssl, use, clock, log } = this.#options
    const identity = await readSsl(ssl)
    checkValidity(ssl, identity, clock.now())
    if (this.#closed) return
    use(identity.tls)
    this.#identity = identity
    this.#files = files
    this.#suspected = null
    this.#failure = null
    this.#remindedAt = -Infinity
    log('info', `TLS uses the certificate of ${this.#shown} for new connections`)
  }

  #fail(files: string, error: unknown): void {
    const problem =
      `the certificate was not renewed, that of ${this.#shown} stays in use: ${messageOf(error)}. ` +
      'It is tried again every ten seconds'
    if (this.#failure?.files === files && this.#failure.problem === problem) return
    this.#failure = { files, problem }
    this.#options.log('error', problem)
  }

  #remind(): void {
    const { clock, log } = this.#options
    const now = clock.now()
    const left = this.expiresAt - now
    if (left > warnAheadMs || now - this.#remindedAt < dayMs) return
    this.#remindedAt = now
    if (left > 0) {
      const days = Math.floor(left / dayMs)
      log(
        'warn',
        `the certificate of ${this.#shown} has ${days} days left: renew it, and put it where this one is`,
      )
    } else {
      log(
        'error',
        `the certificate of ${this.#shown} has expired, and clients refuse it: put a new one where it is`,
      )
    }
  }

  get #shown(): string {
    const { subject, serialNumber } = this.#identity.certificate
    const name = subject === undefined || subject === '' ? 'nobody' : subject.replaceAll('\n', ', ')
    return `${name} (serial number ${serialNumber}, valid until ${new Date(this.expiresAt).toISOString()})`
  }
}

/** Reads the files for the first time. @throws VarveError `VARVE_INVALID_OPTION` */
export async function firstIdentity(ssl: SslOptions): Promise<{ files: string; identity: SslIdentity }> {
  return { files: await lookAt(ssl), identity: await readSsl(ssl) }
}

/** What tells the files from those that take their places: a link that is turned elsewhere as well. */
async function lookAt(ssl: SslOptions): Promise<string> {
  const looks = sslFiles(ssl).map(async (path) => {
    try {
      const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path)
      return [dev, ino, size, mtimeMs, ctimeMs].join()
    } catch (error) {
      // Reading it will say so.
      return String((error as NodeJS.ErrnoException).code)
    }
  })
  return (await Promise.all(looks)).join(' ')
}
