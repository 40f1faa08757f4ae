/**
 * Says once, to whoever listens, that something is over. What an AbortSignal is, without its cost per listener: every
 * long poll listens to two of these.
 */
export class Cancellation {
  #cancelled = false
  readonly #listeners = new Set<() => void>()

  get cancelled(): boolean {
    return this.#cancelled
  }

  cancel(): void {
    if (this.#cancelled) return
    this.#cancelled = true
    const listeners = [...this.#listeners]
    this.#listeners.clear()
    for (const listener of listeners) listener()
  }

  /** Calls `listener` when it is over, now if it is already, until the returned function is called. */
  onCancel(listener: () => void): () => void {
    if (this.#cancelled) {
      listener()
      return () => {}
    }
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
