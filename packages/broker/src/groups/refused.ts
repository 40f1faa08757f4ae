import type { KafkaError } from '../kafka-error.js'

/** A command that the coordinator does not take: it is not (yet, any more) the group's, or the group has no name. */
export class Refused extends Error {
  readonly error: KafkaError

  constructor(error: KafkaError, message: string = error.message) {
    super(message)
    this.error = error
  }
}

/** Runs a command, and answers one that is refused in the response's own terms. */
export async function unlessRefused<T>(
  command: () => T | Promise<T>,
  answer: (error: KafkaError, message: string) => T,
): Promise<T> {
  try {
    return await command()
  } catch (error) {
    if (error instanceof Refused) return answer(error.error, error.message)
    throw error
  }
}
