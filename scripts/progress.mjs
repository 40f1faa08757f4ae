/** One line about a long step: redrawn on a terminal, repeated now and then elsewhere, silent where there is nothing to say. */
const REDRAW_MS = 100
const REPEAT_MS = 15_000

export function seconds(since) {
  const elapsed = (Date.now() - since) / 1000
  return elapsed < 10 ? `${elapsed.toFixed(1)} s` : `${Math.round(elapsed)} s`
}

export class Progress {
  #stream
  #started = Date.now()
  #timer
  #detail = ''

  /** Announces the step. `hint` says once how long it usually takes. */
  constructor(title, hint = '', stream = process.stderr) {
    this.#stream = stream
    stream.write(`${title}${hint ? ` (${hint})` : ''}\n`)
    this.#timer = setInterval(() => this.#draw(), stream.isTTY ? REDRAW_MS : REPEAT_MS)
    this.#timer.unref()
    process.once('exit', this.#clear)
  }

  set detail(text) {
    this.#detail = text
  }

  #draw() {
    const text = `  ${seconds(this.#started)}${this.#detail ? `  ${this.#detail}` : ''}`
    if (this.#stream.isTTY) this.#stream.write(`\r\x1b[K${text.slice(0, (this.#stream.columns || 80) - 1)}`)
    else this.#stream.write(`${text}\n`)
  }

  #clear = () => {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K')
  }

  #stop() {
    clearInterval(this.#timer)
    process.off('exit', this.#clear)
    this.#clear()
  }

  done(what = 'done') {
    this.#stop()
    this.#stream.write(`  ${what} in ${seconds(this.#started)}\n`)
  }

  fail() {
    this.#stop()
  }
}
