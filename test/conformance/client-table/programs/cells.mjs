/** What the Node programs of the table have in common: they are told cells, and say of each whether it passed. */
import { setTimeout as after } from 'node:timers/promises'

/** `HOST:PORT` of each broker, with commas. */
export const bootstrapServers = process.argv.at(-2)
export const brokers = bootstrapServers.split(',')

/** Of the topics that a cell creates: each of them is on every broker. */
export const replicationFactor = brokers.length

/** The 900 KB of the cell `large`. */
export const largeValue = Buffer.from(Uint8Array.from({ length: 900_000 }, (_, i) => ((i * 7) % 251) & 0xff))

/** Resolves once `done()` is true. */
export async function until(done, what, seconds = 90) {
  const deadline = Date.now() + seconds * 1000
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`after ${seconds} s not ${what}`)
    await after(50)
  }
}

/**
 * Does the cells that the last argument lists, each with its function of `named`: one after the other, or all at once where most
 * of their time is waiting.
 */
export async function run(version, named, { atOnce = false } = {}) {
  console.log(JSON.stringify({ version }))
  const said = async (cell) => {
    try {
      await named[cell]()
      return { cell }
    } catch (error) {
      return { cell, failure: `${error.name}: ${error.message}` }
    }
  }
  const cells = process.argv.at(-1).split(',')
  const running = atOnce ? cells.map(said) : []
  for (const [i, cell] of cells.entries()) console.log(JSON.stringify(await (running[i] ?? said(cell))))
  // What a failed cell left open would keep the process.
  process.exit()
}
