import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

/** What is said in a round, in a file for each who speaks, each line with its time as the schedule of faults has it. */
export class RoundLog {
  readonly #folder: string
  readonly #began = performance.now()
  readonly #partial = new Map<string, string>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Takes what somebody says, in pieces as they come. */
  hear(name: string, text: string): void {
    const lines = `${this.#partial.get(name) ?? ''}${text}`.split('\n')
    this.#partial.set(name, lines.pop()!)
    for (const line of lines) this.#write(name, line)
  }

  /** Takes a line of the round itself. */
  tell(line: string): void {
    this.#write('round', line)
  }

  /** In milliseconds since it began. */
  get now(): number {
    return performance.now() - this.#began
  }

  #write(name: string, line: string): void {
    const at = (this.now / 1000).toFixed(3).padStart(9)
    appendFileSync(join(this.#folder, `${name}.log`), `${at} s  ${line}\n`)
  }
}
