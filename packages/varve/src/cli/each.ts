import { VarveError } from '@varve/records'
import { report } from './failure.js'
import { kafkaNameOf } from './with-admin.js'

/** One of several things that something was done to. */
interface Refused {
  readonly name: string
  readonly error: unknown
}

/** What became of several things: one that is refused keeps none of the others from it. */
export class Each<T> {
  readonly done: T[] = []
  readonly #refused: Refused[] = []

  /** @param explain what the user can do about an error */
  static async of<T>(
    names: readonly string[],
    act: (name: string) => Promise<T>,
    explain: (error: unknown, name: string) => unknown,
  ): Promise<Each<T>> {
    const each = new Each<T>()
    for (const name of names) {
      try {
        each.done.push(await act(name))
      } catch (error) {
        each.#refused.push({ name, error: explain(error, name) })
        // Nor would anybody answer to the next one.
        if (VarveError.is(error) && error.code === 'VARVE_NO_BROKER') break
      }
    }
    return each
  }

  /** For scripts: which were refused, and why. */
  get failed(): Array<{ name: string; error: string | null; message: string }> {
    return this.#refused.map(({ name, error }) => ({
      name,
      error: kafkaNameOf(error) ?? kafkaNameOf((error as Error).cause) ?? null,
      message: error instanceof Error ? error.message : String(error),
    }))
  }

  /** One line for each that was refused, on standard error, and the exit code that goes with it. */
  report(): void {
    for (const { error } of this.#refused) process.exitCode = report(error)
  }
}
