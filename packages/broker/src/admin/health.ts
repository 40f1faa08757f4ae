/** Whether the broker is up to its work, as /healthz tells it. */
export interface HealthReport {
  readonly status: 'starting' | 'serving' | 'failing' | 'draining'
  /** One line for each thing that is wrong. */
  readonly problems: readonly string[]
}

/** What has become of the broker so far, from before its logs are opened. */
export class Health {
  #phase: 'starting' | 'serving' | 'draining' = 'starting'
  #problems: () => Promise<readonly string[]> = async () => []

  /** @param problems asked each time anew */
  serve(problems: () => Promise<readonly string[]>): void {
    this.#phase = 'serving'
    this.#problems = problems
  }

  get phase(): 'starting' | 'serving' | 'draining' {
    return this.#phase
  }

  drain(): void {
    this.#phase = 'draining'
  }

  async report(): Promise<HealthReport> {
    if (this.#phase !== 'serving') return { status: this.#phase, problems: [] }
    const problems = await this.#problems()
    return { status: problems.length === 0 ? 'serving' : 'failing', problems }
  }
}
