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

  /**
   * @param {number} milliseconds for the whole run
   * @param {number} measurements that it would make if every cell were repeated as often as wished
   */
  constructor(milliseconds, measurements) {
    this.#milliseconds = milliseconds
    this.#left = measurements
  }

  /** How often to repeat a cell of `subjects` measurements each time: 1 at least, `wished` at most. */
  repetitions(subjects, wished) {
    const planned = this.#left
    this.#left -= subjects * wished
    if (this.#done === 0) return wished
    const each = this.#spent / this.#done
    const affordable = (this.#milliseconds - (Date.now() - this.#started)) / each
    return Math.max(1, Math.min(wished, Math.floor((wished * affordable) / planned)))
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
