/** An invariant that does not hold. */
export class Violation extends Error {
  readonly invariant: string
  readonly what: string

  constructor(invariant: string, what: string) {
    super(`${invariant}: ${what}`)
    this.invariant = invariant
    this.what = what
  }
}
