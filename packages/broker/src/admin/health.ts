import type { OpenedLogs } from '../opening-progress.js'

/** Whether the broker is up to its work, as /healthz tells it. */
export interface HealthReport {
  readonly status: 'starting' | 'serving' | 'failing' | 'draining'
  /** One line for each thing that is wrong. */
  readonly problems: readonly string[]
  /** While it starts: how many logs have been opened, and recovered where they had to be. */
  readonly logs?: OpenedLogs
}

/** What has become of the broker so far, from before its logs are opened. */
export class Health {
  #phase: 'starting' | 'serving' | 'draining' = 'starting'
  #problems: () => Promise<readonly string[]> = async () => []

  #logs: () => OpenedLogs = () => ({ opened: 0, all: 0 })

  /** @param logs asked each time anew */
  open(logs: () => OpenedLogs): void {
    this.#logs = logs
  }

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
    if (this.#phase === 'starting') return { status: 'starting', problems: [], logs: this.#logs() }
    if (this.#phase !== 'serving') return { status: this.#phase, problems: [] }
    const problems = await this.#problems()
    return { status: problems.length === 0 ? 'serving' : 'failing', problems }
  }
}
