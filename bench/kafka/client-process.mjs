/** Load in a process of its own, which ends with this one, or when it takes too long. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const LONGEST_MS = 120_000

const running = new Set()
process.prependOnceListener('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class ClientProcess {
  #child
  #output = ''
  #errors = ''
  #closed
  #isLate = false

  /** @param {string} command @param {readonly string[]} args */
  constructor(command, args) {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    running.add(child)
    const timer = setTimeout(() => {
      this.#isLate = true
      child.kill('SIGKILL')
    }, LONGEST_MS)
    // One that ends early tells why itself.
    child.stdin.on('error', () => {})
    child.stdout.setEncoding('utf8').on('data', (text) => (this.#output += text))
    child.stderr.setEncoding('utf8').on('data', (text) => (this.#errors = (this.#errors + text).slice(-4000)))
    this.#closed = once(child, 'close').finally(() => {
      clearTimeout(timer)
      running.delete(child)
    })
    // It is awaited later.
    this.#closed.catch(() => {})
  }

  /** Resolves when its first line is there. Rejects when it ends before. */
  async firstLine() {
    while (!this.#output.includes('\n')) {
      await Promise.race([once(this.#child.stdout, 'data'), this.end()])
    }
    return this.#output.slice(0, this.#output.indexOf('\n'))
  }

  write(text) {
    this.#child.stdin.write(text)
  }

  closeInput() {
    this.#child.stdin.end()
  }

  /** Resolves with all that it wrote. Rejects with its complaint when it does not end well. */
  async end() {
    const [code, signal] = await this.#closed
    if (code === 0) return { output: this.#output, errors: this.#errors }
    const why = this.#isLate ? `it took more than ${LONGEST_MS / 1000} s` : this.#errors.trim()
    throw new Error(`${this.#child.spawnfile.split('/').at(-1)} ended with ${signal ?? code}: ${why}`)
  }
}
