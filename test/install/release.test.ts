/**
 * A platform that the loader names and the release does not build is a package that nobody can install; one that is built
 * and not named is never looked for. Both would show at somebody else's desk only.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { prebuiltPlatforms } from '../../packages/native/src/load.js'
import { layOutPlatformPackage, platformOf } from '../../scripts/platform-package.mjs'
import { root, temporaryDirectory } from '../support/tree.js'

const workflow = readFileSync(join(root, '.github', 'workflows', 'release.yml'), 'utf8')

test('the release builds exactly the platforms that the loader knows', () => {
  const built = [...workflow.matchAll(/^ +- platform: (\S+)$/gm)].map(([, platform]) => platform)
  expect(built).toEqual(prebuiltPlatforms)
})

test.each([
  ['linux-x64-gnu', { os: ['linux'], cpu: ['x64'], libc: ['glibc'] }],
  ['linux-arm64-musl', { os: ['linux'], cpu: ['arm64'], libc: ['musl'] }],
  ['darwin-arm64', { os: ['darwin'], cpu: ['arm64'] }],
  ['win32-x64-msvc', { os: ['win32'], cpu: ['x64'] }],
])('npm installs the package for %s where it belongs', (platform, where) => {
  const folder = temporaryDirectory()
  const addon = join(folder, `varve.${platform}.node`)
  writeFileSync(addon, 'machine code')
  const made = layOutPlatformPackage(addon, join(folder, 'packages'))
  const manifest = JSON.parse(readFileSync(join(made, 'package.json'), 'utf8'))
  expect(manifest).toMatchObject({
    name: `@varve/native-${platform}`,
    main: `varve.${platform}.node`,
    ...where,
  })
  expect('libc' in manifest).toBe('libc' in where)
  expect(readFileSync(join(made, manifest.main), 'utf8')).toBe('machine code')
})

test('a file that is no addon is refused', () => {
  expect(() => platformOf('engines/varve.node')).toThrow('varve.<platform>.node')
})
