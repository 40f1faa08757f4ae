/** Thrown where the rules are called against their contract, or find what they must not go on with. */
export class ReplicationError extends Error {
  /** Stable, and starts with `VARVE_`. */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  /** `'ReplicationError'`, also in code that was minified. */
  override get name(): string {
    return 'ReplicationError'
  }
}
