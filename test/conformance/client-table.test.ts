/**
 * What people's clients do with their default settings, as a table: each client's program does every cell that it is
 * told, and says of each whether it passed. A client that is not installed is skipped, and says so.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { BrokerProcess } from '../support/broker-process.js'
import { answers, mustRun } from '../support/children.js'
import { isLongRun, timeout } from '../support/long-run.js'
import { cache, root, temporaryDirectory } from '../support/tree.js'

const python = join(cache, 'python', 'bin', 'python')

const clients = [
  {
    name: 'confluent-kafka',
    command: [python, join(root, 'test', 'conformance', 'clients', 'confluent-kafka.py')],
    installed: existsSync(python) && answers(python, ['-c', 'import confluent_kafka']),
    quick: ['none', 'gzip', 'snappy', 'lz4', 'zstd', 'large', 'idempotent', 'administration'],
    // A group takes seconds to let members come and go.
    long: ['reset', 'groups', 'group'],
  },
]

let broker: BrokerProcess

beforeAll(async () => {
  broker = await BrokerProcess.start(temporaryDirectory())
})

describe.each(clients)('$name', ({ name, command, installed, quick, long }) => {
  test('does every cell of the table', { timeout }, async (context) => {
    if (!installed) context.skip(`${name} is not installed; install it with: npm run setup:conformance`)
    const cells = isLongRun ? [...quick, ...long] : quick
    const [program, ...args] = command
    const { stdout } = await mustRun(program!, [...args, broker.address, cells.join(',')])
    const [first, ...results] = stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { version?: string; cell?: string; failure?: string })
    console.log(
      [
        `${name} ${first?.version}`,
        ...results.map(({ cell, failure }) => `  ${cell}: ${failure ?? 'passed'}`),
      ].join('\n'),
    )
    expect(results).toEqual(cells.map((cell) => ({ cell })))
  })
})
