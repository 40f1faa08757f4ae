/** A bug that the rules could have: one place in them, and what is there instead. */
export interface Mutation {
  readonly name: string
  /** Below `packages/replication/src`. */
  readonly file: string
  /** The text of the place, which is there once. */
  readonly replace: string
  readonly by: string
  /** The invariant that shows it. */
  readonly breaks: string
  /** A head start: seeds that have shown it, before others are tried. */
  readonly seeds: readonly number[]
}

/** Mutations of the same file. */
export function inFile(file: string, mutations: readonly Omit<Mutation, 'file'>[]): readonly Mutation[] {
  return mutations.map((mutation) => ({ file, ...mutation }))
}
