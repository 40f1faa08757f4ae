const brand: unique symbol = Symbol.for('varve.error') as never

/** What {@link VarveError} takes besides its code and message. */
export interface VarveErrorOptions {
  /** The error underneath, for example one of Node's with an `errno`. */
  cause?: unknown
  /** Whether the same call can succeed later without any change. Default `false`. */
  retriable?: boolean
}

/**
 * Every error that varve throws or rejects with on purpose.
 *
 * `code` is stable and starts with `VARVE_`; the message is for people and may change. Test with
 * {@link VarveError.is} rather than `instanceof`, which fails when two copies of a package are installed.
 *
 * @example
 * ```ts
 * import { RecordBatch, VarveError } from '@varve/records'
 *
 * try {
 *   RecordBatch.parse(Buffer.from('this is no batch'))
 * } catch (error) {
 *   if (!VarveError.is(error)) throw error
 *   console.error(error.code, error.message) // VARVE_BATCH_CORRUPT
 * }
 * ```
 */
export class VarveError extends Error {
  /** Stable, and starts with `VARVE_`. */
  readonly code: string
  /** Whether the same call can succeed later without any change. */
  readonly retriable: boolean

  constructor(code: string, message: string, options: VarveErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.retriable = options.retriable ?? false
  }

  /** `'VarveError'`, also in code that was minified. */
  override get name(): string {
    return 'VarveError'
  }

  get [brand](): true {
    return true
  }

  /** True for a VarveError of any installed copy of any varve package. */
  static is(error: unknown): error is VarveError {
    return typeof error === 'object' && error !== null && (error as { [brand]?: unknown })[brand] === true
  }
}
