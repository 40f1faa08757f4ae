/**
 * The broker takes the handle of an accepted socket and gives it to another, and the log takes the descriptor out of one,
 * which no document of Node's promises to support; the addon is built for one Node and loaded by others. A line of Node on
 * which any of them stops working must show itself here and not at somebody's desk.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { mustRun } from '../support/children.js'
import { nodes } from '../support/nodes.js'
import { root } from '../support/tree.js'

const script = join(root, 'test', 'conformance', 'smoke.mjs')

describe.each(nodes)('$name', ({ node, version, missing }) => {
  test.for([
    { way: 'onread and sendfile', env: '', listens: false },
    { way: "'data' events and write", env: '1', listens: true },
  ])('broker, client and log, sockets served through $way', async ({ env, listens }, context) => {
    if (missing !== null) context.skip(missing)
    const variables = { VARVE_NO_ONREAD: env, VARVE_NO_SENDFILE: env }
    const { stdout } = await mustRun(node, [script], { env: { ...process.env, ...variables } })
    const { dataListeners, ...did } = JSON.parse(stdout.toString())
    expect(did).toEqual({
      node: expect.stringContaining(version),
      records: 10_000,
      reopened: 3,
      fromFile: !listens && process.platform === 'linux',
      codecs: 4,
    })
    expect(dataListeners > 0).toBe(listens)
  })
})
