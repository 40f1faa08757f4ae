/** Keeps a run inside its time: where the machine is slower than thought, later cells are repeated less often. */
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

  /** A measurement took so long. */
  took(milliseconds) {
    this.#done++
    this.#spent += milliseconds
  }
}
