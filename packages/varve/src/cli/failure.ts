/** A failure whose message is all that the user needs: what happened, to what, and what to do about it. */
export class Failure extends Error {
  readonly exitCode: number

  constructor(message: string, options: { cause?: unknown; exitCode?: number } = {}) {
    super(message, { cause: options.cause })
    this.exitCode = options.exitCode ?? 1
  }
}

/** Node's error code of an error or of the error it wraps, such as `ECONNREFUSED`. */
export function systemCode(error: unknown): string | undefined {
  for (let at = error; typeof at === 'object' && at !== null; at = (at as { cause?: unknown }).cause) {
    const { code } = at as { code?: unknown }
    if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code
  }
  return undefined
}

function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error)
  return message.trim().replaceAll(/\s*\n\s*/g, ' ')
}

/** Prints the one line about an error, and its stack where `VARVE_DEBUG` asks for it. Returns the exit code. */
export function report(error: unknown): number {
  process.stderr.write(`varve: ${oneLine(error)}\n`)
  if (process.env['VARVE_DEBUG']) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : ''}\n`)
    if (error instanceof Error && error.cause instanceof Error)
      process.stderr.write(`caused by ${error.cause.stack}\n`)
  } else if (!(error instanceof Failure) && (error as { code?: unknown } | null)?.code === undefined) {
    // Neither ours nor the system's: a fault in varve, which a report should show in full.
    process.stderr.write('This looks like a fault in varve; VARVE_DEBUG=1 shows where it happened.\n')
  }
  return error instanceof Failure ? error.exitCode : 1
}
