import { VarveError } from '@varve/records'

/** All names of the options of a type: the compiler finds what is missing. */
export type OptionNames<T> = { readonly [Name in keyof Required<T>]: unknown }

/**
 * Refuses options that do not exist: one with a typing mistake in its name would be without effect, and nobody be told.
 *
 * @throws VarveError `VARVE_INVALID_OPTION`
 */
export function checkNames<T extends object>(options: T, names: OptionNames<T>): void {
  if (typeof options !== 'object' || options === null) {
    throw new VarveError('VARVE_INVALID_OPTION', `options are an object, not ${String(options)}`)
  }
  for (const name in options) {
    if (name in names || options[name] === undefined) continue
    const known = Object.keys(names)
    const similar = nearest(name, known)
    const hint = similar === null ? `there are ${known.join(', ')}` : `did you mean ${similar}?`
    throw new VarveError('VARVE_INVALID_OPTION', `there is no option ${name}; ${hint}`)
  }
}

function nearest(name: string, known: readonly string[]): string | null {
  const distances = known.map((other) => distance(name.toLowerCase(), other.toLowerCase()))
  const least = Math.min(...distances)
  return least <= Math.max(2, name.length / 3) ? known[distances.indexOf(least)]! : null
}

/** Levenshtein's: how many letters are to be put in, taken out or exchanged. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, n) => n)
  for (const [i, letter] of [...one].entries()) {
    const next = [i + 1]
    for (let j = 0; j < other.length; j++) {
      next.push(Math.min(row[j]! + (letter === other[j] ? 0 : 1), row[j + 1]! + 1, next[j]! + 1))
    }
    row = next
  }
  return row.at(-1)!
}
