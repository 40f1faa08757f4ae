const FLUSH_BYTES = 64 * 1024
const NEWLINE = Buffer.from('\n')

/** Standard output for records: gathers small writes, waits for slow readers, and notices when there is no reader left. */
export class Output {
  readonly #gone = new AbortController()
  #pending: Buffer[] = []
  #bytes = 0

  constructor() {
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      // `varve consume x | head` ends this way, and means that head has enough.
      if (error.code === 'EPIPE') this.#gone.abort()
    })
  }

  /** Aborted when whoever reads the output has ended. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  line(...parts: readonly Buffer[]): void {
    for (const part of parts) {
      this.#pending.push(part)
      this.#bytes += part.length
    }
    this.#pending.push(NEWLINE)
    this.#bytes++
  }

  /** Whether enough is gathered for a write. */
  get isFull(): boolean {
    return this.#bytes >= FLUSH_BYTES
  }

  async flush(): Promise<void> {
    if (this.#bytes === 0 || this.gone.aborted) return
    const bytes = Buffer.concat(this.#pending, this.#bytes)
    this.#pending = []
    this.#bytes = 0
    // The callback comes for failed writes too; the listener above has seen those.
    await new Promise<void>((resolve) => process.stdout.write(bytes, () => resolve()))
  }
}
