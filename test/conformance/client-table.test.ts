/**
 * What people's clients do with their default settings, as a table: each client's program does every cell that it is
 * told, and says of each whether it passed. A client that is not installed is skipped, and says so.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { mustRun } from '../support/children.js'
import { isLongRun, timeout } from '../support/long-run.js'
import { storedCodecs } from '../support/stored-codecs.js'
import { root } from '../support/tree.js'
import { BrokersUnderTest, brokersMissing } from './brokers-under-test.js'
import { allCells, tableClients } from './client-table/clients.js'
import {
  clientTableHead,
  type Outcome,
  renderClientTables,
  startOfRow,
  withClientTables,
} from './client-table/page.js'

/** A client that hangs is ended; the slowest need two minutes, and more where others are at work. */
const CLIENT_TIMEOUT = 10 * 60_000

const page = readFileSync(join(root, 'docs', 'protocol-support.md'), 'utf8')
const outcomes = new Map<string, Outcome>()
let brokers: BrokersUnderTest

beforeAll(async () => {
  if (brokersMissing === null) brokers = await BrokersUnderTest.start()
})

// At the same time: most of theirs they spend waiting for their groups. The slowest, which are last in the table, begin.
test.concurrent.for(tableClients.filter(({ quick }) => isLongRun || quick !== undefined).reverse())(
  '$name does every cell of the table',
  { timeout },
  async (client, context) => {
    if (brokersMissing !== null) context.skip(brokersMissing)
    if (!client.isInstalled())
      context.skip(`${client.name} is not installed; install it with: npm run setup:conformance`)
    const cells = isLongRun ? allCells(client) : client.quick!
    const [program, ...args] = client.command
    const started = Date.now()
    const { stdout } = await mustRun(program, [...args, brokers.bootstrapServers, cells.join(',')], {
      timeout: CLIENT_TIMEOUT,
    })
    const [first, ...results] = stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { version?: string; cell?: string; failure?: string })
    console.log(
      [
        `${client.name} ${first?.version}, ${((Date.now() - started) / 1000).toFixed(1)} s`,
        ...results.map(({ cell, failure }) => `  ${cell}: ${failure ?? 'passed'}`),
      ].join('\n'),
    )
    outcomes.set(client.name, new Map(results.map(({ cell, failure }) => [cell!, failure ?? null])))
    expect(results).toEqual(cells.map((cell) => ({ cell })))
    if (!client.isOfTheSystem) expect(first).toEqual({ version: client.version })
    for (const codec of client.codecs.filter((each) => cells.includes(each)))
      for (const replica of brokers.replicasOf(`${client.name}-${codec}`))
        await context.expect.poll(() => storedCodecs(replica, 0)).toEqual(new Set([codec]))
  },
)

if (isLongRun) {
  // After a change of what passes: npm run prove:clients -- -u
  test('docs/protocol-support.md prints the tables of this run', async () => {
    const tables = renderClientTables(page, outcomes)
    console.log(tables)
    await expect(withClientTables(page, tables)).toMatchFileSnapshot('../../docs/protocol-support.md')
  })
} else {
  test('docs/protocol-support.md has every client in its version', () => {
    const lines = page.split('\n')
    const isThere = (start: string): boolean => lines.some((line) => line.startsWith(start))
    expect(lines).toContain(clientTableHead)
    expect(tableClients.map(startOfRow).filter((start) => !isThere(start))).toEqual([])
  })
}
