/**
 * A bundle that is older than its sources runs what nobody reads any more, and one that reaches for the packages after all
 * starts as slowly as if there were none, which nobody notices: everything works. A command line that loads the broker to
 * print its version is felt at each prompt.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { bundleFolder, renderBundle } from '../../../scripts/bundle.mjs'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const bin = join(root, 'packages', 'varve', 'bin', 'varve.mjs')

function temporaryDirectory(): string {
  const folder = mkdtempSync(join(tmpdir(), 'varve-bundle-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The files of the tree that a command line has loaded by the time it ends, which a signal may ask it to once it says something. */
async function loadedBy(args: readonly string[], end?: NodeJS.Signals): Promise<string[]> {
  const coverage = temporaryDirectory()
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_V8_COVERAGE: coverage },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  // One that fails says nothing there.
  await Promise.race([once(child.stdout, 'data'), ended])
  child.stdout.resume()
  if (end !== undefined) child.kill(end)
  expect(await ended).toEqual([0, null])
  return readdirSync(coverage).flatMap((name) => {
    const { result } = JSON.parse(readFileSync(join(coverage, name), 'utf8')) as {
      result: { url: string }[]
    }
    return result
      .filter(({ url }) => url.startsWith('file:'))
      .map(({ url }) => relative(root, fileURLToPath(url)).replaceAll(sep, '/'))
  })
}

const isOurs = (path: string): boolean => path.startsWith('packages/')
const isExpected = (path: string): boolean =>
  /^packages\/(?:varve\/(?:bin\/varve\.mjs|dist\/bundle\/[\w-]+\.js)|native\/dist\/[\w-]+\.js)$/.test(path)

const serveIn = (folder: string): string[] => ['serve', '--port', '0', '--data', join(folder, 'data')]

test('the bundle is what its sources say', async () => {
  const folder = join(root, bundleFolder)
  const there = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
  const rendered = await renderBundle()
  expect([...there.keys()].sort()).toEqual([...rendered.keys()].sort())
  for (const [name, text] of rendered)
    expect(there.get(name) === text, `${name} is of other sources; run: npm run build`).toBe(true)
})

test('a server loads the bundle and the engine, and no other module of ours', async () => {
  const loaded = await loadedBy(serveIn(temporaryDirectory()), 'SIGTERM')
  expect(loaded).toContain('packages/varve/dist/bundle/serve.js')
  expect(loaded.filter((path) => isOurs(path) && !isExpected(path))).toEqual([])
  expect(loaded.filter((path) => !isOurs(path) && !path.includes('/commander/'))).toEqual([])
})

test('what only some servers need is loaded by those', async () => {
  const args = [...serveIn(temporaryDirectory()), '--admin-port', '0']
  const loaded = await loadedBy(args, 'SIGTERM')
  expect(loaded.filter((path) => isOurs(path) && !isExpected(path))).toEqual([])
  expect(loaded.some((path) => path.includes('/prom-client/'))).toBe(true)
})

test('help and versions need neither broker nor client nor engine', async () => {
  for (const args of [['--help'], ['--version'], ['topic', '--help']]) {
    const ours = (await loadedBy(args)).filter(isOurs)
    expect(ours).toContain('packages/varve/dist/bundle/main.js')
    const bundled = ours.filter((path) => path !== 'packages/varve/bin/varve.mjs')
    const sources = bundled.flatMap((path) => {
      const map = JSON.parse(readFileSync(join(root, `${path}.map`), 'utf8')) as { sources: string[] }
      return map.sources
    })
    expect(sources.filter((source) => !source.startsWith('../../src/cli/'))).toEqual([])
  }
})

test('a stack names the sources', async () => {
  const child = spawn(process.execPath, [bin, 'log', 'read', join(temporaryDirectory(), 'none')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, VARVE_DEBUG: '1' },
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  await once(child, 'close')
  expect(said).toMatch(/at .*packages\/varve\/src\/cli\/log-directory\.ts:\d+:\d+/)
  expect(said).not.toContain('dist/bundle')
})

test('a bundle that is not there is told from a package that is not there', () => {
  const missing = 'a-package-that-is-missing'
  const folder = temporaryDirectory()
  mkdirSync(join(folder, 'bin'))
  copyFileSync(bin, join(folder, 'bin', 'varve.mjs'))
  const run = () => spawnSync(process.execPath, [join(folder, 'bin', 'varve.mjs')], { encoding: 'utf8' })
  expect(run().stderr).toBe('varve is not built here. In a clone, run: npm run build\n')
  mkdirSync(join(folder, 'dist', 'bundle'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(join(folder, 'dist', 'bundle', 'main.js'), `import ${JSON.stringify(missing)}`)
  expect(run().stderr).toContain(`Cannot find package '${missing}'`)
})
