/**
 * Who upgrades opens directories that an older version wrote, closed or not. A change of a file's format that its own tests
 * agree with locks those out. So every released version leaves directories behind (scripts/release-fixture.mjs), which all
 * later ones must open, read the same and go on with.
 */
import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openDataDirectory } from '@varve/log'
import { describe, expect, test } from 'vitest'
import { contentOf, type LogContent } from '../scripts/log-content.mjs'
import { root, temporaryDirectory } from './support/tree.js'

const releases = join(root, 'test', 'fixtures', 'releases')

describe.each(readdirSync(releases))('a directory that %s wrote', (version) => {
  test.each(['closed', 'stopped'])('opens and reads the same: %s', async (how) => {
    const source = join(releases, version, how)
    const expected = JSON.parse(readFileSync(`${source}.json`, 'utf8')) as Record<string, LogContent>
    const dir = join(temporaryDirectory(), 'data')
    cpSync(source, dir, { recursive: true })
    await using directory = await openDataDirectory(dir)
    expect(directory).toMatchObject({
      clusterId: 'varve-release',
      nodeId: 7,
      cleanShutdown: how === 'closed',
    })
    expect((await directory.logs()).sort()).toEqual(Object.keys(expected).sort())
    for (const [name, content] of Object.entries(expected)) {
      const log = await directory.openLog(name)
      expect([log.failure, log.recovered === null], name).toEqual([null, how === 'closed'])
      expect(await contentOf(log), name).toEqual(content)
      expect((await log.append([{ value: 'new' }])).baseOffset).toBe(content.endOffset)
      await log.close()
    }
  })
})
