/**
 * Whoever writes a first test against the broker copies it from docs/testing.md. The examples there are run as they stand, each
 * by its own test runner: what does not import, does not pass or passes without having run a test fails here.
 */
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Finished, runChild } from '../support/children.js'
import { cache, root, temporaryDirectory } from '../support/tree.js'

const page = readFileSync(join(root, 'docs', 'testing.md'), 'utf8')
const jest = join(cache, 'jest', 'node_modules', 'jest', 'bin', 'jest.js')
const timeout = 180_000

/** A project that has everything installed. Not inside the tree's `node_modules`, where runners look for no tests. */
const project = temporaryDirectory()
symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'))
writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module', jest: { transform: {} } }))

function example(runner: string): string {
  const [, code] =
    new RegExp(`<!-- run: ${runner} -->\\n\`\`\`(?:ts|js)\\n([\\s\\S]*?)\\n\`\`\``).exec(page) ?? []
  if (code === undefined) throw new Error(`there is no example for ${runner}`)
  return code
}

/** A runner's command for a file, and how it says that two tests have passed. */
const runners = {
  vitest: {
    file: 'example.test.ts',
    args: [
      join(root, 'node_modules', 'vitest', 'vitest.mjs'),
      'run',
      '--root',
      project,
      // By default five seconds, which a machine that is busy takes for one of them.
      '--testTimeout=60000',
      '--hookTimeout=60000',
    ],
    passed: /Tests\s+2 passed \(2\)/,
  },
  node: {
    file: 'example.mjs',
    args: ['--test', join(project, 'example.mjs')],
    passed: /pass 2\n.*fail 0\n/s,
  },
  jest: {
    file: 'example.test.js',
    args: [
      '--experimental-vm-modules',
      jest,
      '--rootDir',
      project,
      '--cacheDirectory',
      join(project, 'cache'),
      '--testTimeout=60000',
    ],
    passed: /Tests:\s+2 passed, 2 total/,
  },
}

async function run(
  runner: keyof typeof runners,
  code = example(runner),
): Promise<Finished & { passed: boolean }> {
  const { file, args, passed } = runners[runner]
  writeFileSync(join(project, file), code)
  try {
    // Runners that see that they run in another one behave differently.
    const env = { PATH: process.env['PATH'], TMPDIR: process.env['TMPDIR'], NO_COLOR: '1' }
    const finished = await runChild(process.execPath, args, { cwd: project, env: env as NodeJS.ProcessEnv })
    return { ...finished, passed: finished.code === 0 && passed.test(finished.stdout + finished.stderr) }
  } finally {
    rmSync(join(project, file))
  }
}

const report = ({ stdout, stderr }: Finished): string => `${stdout}\n${stderr}`

test.each(['vitest', 'node'] as const)('the example for %s passes', { timeout }, async (runner) => {
  const finished = await run(runner)
  expect(finished.passed, report(finished)).toBe(true)
})

test('the example for jest passes', { timeout }, async (context) => {
  if (!existsSync(jest)) context.skip('jest is not installed; install it with: npm run setup:conformance')
  const finished = await run('jest')
  expect(finished.passed, report(finished)).toBe(true)
})

test('the example of a cluster passes, and ends', { timeout }, async () => {
  writeFileSync(join(project, 'cluster.mjs'), example('cluster'))
  const { code, stderr } = await runChild(process.execPath, ['cluster.mjs'], { cwd: project })
  expect(code, stderr).toBe(0)
})

test('what says how long it takes can be run', { timeout }, async () => {
  writeFileSync(join(project, 'speed.mjs'), example('speed'))
  const { code, stdout, stderr } = await runChild(process.execPath, ['speed.mjs'], { cwd: project })
  expect(code, stderr).toBe(0)
  expect(String(stdout)).toMatch(
    /^start: median [\d.]+ ms, .*\nreset: median [\d.]+ ms, .*\nclose: median [\d.]+ ms/,
  )
})

test('an example that is wrong would be noticed', { timeout }, async () => {
  const wrong = example('node').replace("'paid')", "'shipped')")
  expect((await run('node', wrong)).passed).toBe(false)
})
