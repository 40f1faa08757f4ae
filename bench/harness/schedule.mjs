/** The last cells may take so much longer. */
const GRACE = 1.1

/**
 * Keeps a run inside its time: where the machine is slower than thought, later cells are repeated less often, and where it is
 * very much slower the last ones are left out.
 */
export class Schedule {
  #started = Date.now()
  #milliseconds
  #left
  #done = 0
  #spent = 0
  /** Measurements that will be made as things are, done ones included. */
  #expected

  /**
   * @param {number} milliseconds for the whole run
   * @param {number} measurements that it would make if every cell were repeated as often as wished
   */
  constructor(milliseconds, measurements) {
    this.#milliseconds = milliseconds
    this.#left = measurements
    this.#expected = measurements
  }

  /** How often to repeat a cell of `subjects` measurements each time: 1 at least, `wished` at most. */
  repetitions(subjects, wished) {
    const planned = this.#left
    this.#left -= subjects * wished
    if (this.#done === 0) return wished
    const each = this.#spent / this.#done
    const affordable = (this.#milliseconds - (Date.now() - this.#started)) / each
    const repetitions = Math.max(1, Math.min(wished, Math.floor((wished * affordable) / planned)))
    this.#expected -= subjects * (wished - repetitions)
    return repetitions
  }

  /** About how many milliseconds the rest takes, judged by what was measured so far; undefined before that. */
  get left() {
    if (this.#done === 0) return undefined
    const atThisRate = (this.#expected - this.#done) * (this.#spent / this.#done)
    const atMost = GRACE * this.#milliseconds - (Date.now() - this.#started)
    return Math.max(0, Math.min(atThisRate, atMost))
  }

  /** Whether there is no time left for another cell. */
  get isOver() {
    return Date.now() - this.#started > GRACE * this.#milliseconds
  }

  /** A measurement took so long. */
  took(milliseconds) {
    this.#done++
    this.#spent += milliseconds
  }
}
