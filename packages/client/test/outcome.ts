import { VarveError } from '@varve/records'

/** What a promise came to: its value, or the code of its VarveError. Anything else is thrown on. */
export async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise
  } catch (error) {
    if (VarveError.is(error)) return error.code
    throw error
  }
}
