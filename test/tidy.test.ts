/**
 * A layer that reaches upwards, a file that nothing uses, a forgotten `.only`: none of these breaks a build, and each is
 * found months later by someone else. The rules live in scripts/tidy.mjs, where `npm run check` uses them too; here they
 * are also shown to bite.
 */
import { expect, test } from 'vitest'
import { crateProblems, fileProblems, packageProblems, rangeProblems, tidy } from '../scripts/tidy.mjs'

const pack = (name: string, dependencies: Record<string, string>, text: string) => ({
  path: 'packages/x',
  manifest: { name, dependencies },
  sources: [{ file: 'packages/x/src/x.ts', text }],
})

test('the tree is tidy', { timeout: 60_000 }, () => {
  expect(tidy()).toEqual([])
})

test('a package may not import upwards', () => {
  const client = pack(
    '@varve/client',
    { '@varve/broker': '*' },
    "import { startBroker } from '@varve/broker'",
  )
  expect(packageProblems(client)).toEqual([
    'packages/x/package.json: may not depend on @varve/broker',
    'packages/x/src/x.ts: may not import @varve/broker',
  ])
})

test('the broker may use the connection of the client, and nothing else of it', () => {
  const dependencies = { '@varve/client': '*' }
  expect(
    packageProblems(pack('@varve/broker', dependencies, "import { dial } from '@varve/client/connection'")),
  ).toEqual([])
  expect(
    packageProblems(pack('@varve/broker', dependencies, "import { Producer } from '@varve/client'")),
  ).toEqual(['packages/x/src/x.ts: may not import @varve/client'])
})

test('an import that the manifest does not declare works in this tree only', () => {
  expect(packageProblems(pack('@varve/log', {}, "export * from '@varve/records'"))).toHaveLength(1)
  expect(packageProblems(pack('@varve/log', {}, "await import('left-pad')"))).toHaveLength(1)
  expect(packageProblems(pack('@varve/log', {}, "import { join } from 'node:path'"))).toEqual([])
})

test('a dependency that nothing imports is downloaded by everybody for nothing', () => {
  const dependencies = { '@varve/records': '*', 'left-pad': '*' }
  expect(packageProblems(pack('@varve/log', dependencies, "// import '@varve/records'"))).toEqual([
    'packages/x/package.json: depends on @varve/records, which nothing in it imports',
    'packages/x/package.json: depends on left-pad, which nothing in it imports',
  ])
  const each = "import type { X } from '@varve/records'\ncreateRequire(import.meta.url)('left-pad')"
  expect(packageProblems(pack('@varve/log', dependencies, each))).toEqual([])
})

test('what a bundle takes in is imported by it too', () => {
  const one = pack('varve', { 'left-pad': '*' }, '')
  const bundled = [{ file: 'packages/y/src/y.ts', text: "import 'left-pad'" }]
  expect(packageProblems(one)).toHaveLength(1)
  expect(packageProblems({ ...one, bundled })).toEqual([])
})

test('two packages ask for one range of what both depend on', () => {
  const manifests = ['^1.0.0', '^1.1.0', '^1.0.0'].map((range, at) => ({
    name: `p${at}`,
    dependencies: { 'left-pad': range },
  }))
  expect(rangeProblems(manifests)).toEqual(['p1 depends on left-pad ^1.1.0, but p0 on ^1.0.0'])
  expect(rangeProblems([manifests[0]!, manifests[2]!, { name: 'none' }])).toEqual([])
})

test('a package may not reach into another one by path', () => {
  expect(packageProblems(pack('@varve/log', {}, "import '../../records/src/varint.js'"))).toHaveLength(1)
})

test('an example in a comment is not an import, nor is the word "from"', () => {
  expect(packageProblems(pack('@varve/protocol', {}, "/** import { Log } from '@varve/log' */"))).toEqual([])
  expect(packageProblems(pack('@varve/log', {}, "invalid('from', from, 'an offset')"))).toEqual([])
})

test('the engine crates know nothing of Node, and records nothing of the log', () => {
  const toml = '[package]\nname = "varve-records"\n[dependencies]\nvarve-log.workspace = true\nnapi = "3"\n'
  expect(crateProblems('Cargo.toml', toml)).toHaveLength(2)
})

test('names, lengths and words', () => {
  expect(fileProblems('src/utils.ts', '')).toHaveLength(1)
  expect(fileProblems('src/string-utils-of-ours.ts', '')).toEqual([])
  expect(fileProblems('src/long.ts', 'x\n'.repeat(601))).toHaveLength(1)
  const ofUnix = 'use std::os::fd::BorrowedFd;\n'
  expect(fileProblems('native/varve-log/src/segment.rs', ofUnix)).toHaveLength(1)
  expect(fileProblems('native/varve-log/src/disk/unix.rs', ofUnix)).toEqual([])
  expect(fileProblems('native/varve-node/src/sender/job.rs', ofUnix)).toEqual([])
  expect(fileProblems('src/x.test.ts', "test.only('x')")).toHaveLength(1)
  expect(fileProblems('src/x.ts', '// TODO: finish')).toHaveLength(1)
  expect(fileProblems('src/x.ts', "open('/home/someone/x')")).toHaveLength(1)
  expect(fileProblems('src/x.ts', '// see issue #12')).toHaveLength(1)
})
