import { VarveError } from '@varve/records'

/** @throws VarveError `VARVE_INVALID_OPTION` naming the option and what it may be. */
export function invalidOption(name: string, value: unknown, allowed: string): VarveError {
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return new VarveError('VARVE_INVALID_OPTION', `the option ${name} is ${shown}; it must be ${allowed}`)
}

/**
 * Checks a number before the engine gets it, whose conversion would make 0 of what is not a number.
 *
 * @throws VarveError `VARVE_INVALID_OPTION`
 */
export function checkWholeNumber(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw invalidOption(name, value, `a whole number from ${min} to ${max}`)
  }
}

/** Checks an upper bound: a whole number, or `Infinity` for none. @throws VarveError `VARVE_INVALID_OPTION` */
export function checkBound(name: string, value: number): void {
  if (value !== Infinity && (!Number.isSafeInteger(value) || value < 0)) {
    throw invalidOption(name, value, 'a whole number from 0 on, or Infinity')
  }
}

/** Node would take the empty string for the working directory. @throws VarveError `VARVE_INVALID_OPTION` */
export function checkDirectory(dir: string): void {
  if (typeof dir !== 'string' || dir === '') throw invalidOption('dir', dir, 'the path of a directory')
}
