/** What clients in JavaScript write down of what they do and see, as the README of the histories says. */
import { openSync, writeSync } from 'node:fs'

/** The clients of one history, which is a file that others write to as well. */
export function clientsOf(path) {
  const history = openSync(path, 'a')
  return (name, settings) => new HistoryClient(history, name, settings)
}

/** One client in the history. */
class HistoryClient {
  #history
  #operations = 0

  constructor(history, name, settings) {
    this.#history = history
    this.name = name
    this.write('start', settings)
  }

  write(type, fields) {
    const time = Number(process.hrtime.bigint() / 1000n)
    writeSync(this.#history, `${JSON.stringify({ time, client: this.name, type, ...fields })}\n`)
  }

  invoke(call, fields) {
    const operation = ++this.#operations
    this.write('invoke', { operation, call, ...fields })
    return operation
  }

  ok(operation, fields) {
    this.write('ok', { operation, ...fields })
  }

  info(operation, error) {
    this.write('info', { operation, error: String(error) })
  }
}
