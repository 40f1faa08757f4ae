/** A failure whose message is all that a person needs: what happened and what to do. It is printed without a stack. */
export class Failure extends Error {
  constructor(message, { exitCode = 1 } = {}) {
    super(message)
    this.exitCode = exitCode
  }
}
