/** What would be published: packs the packages, and asks those who know what is wrong with packages. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { pinnedPnpm } from './dependencies.mjs'
import { Failure } from './failure.mjs'
import { cache, root } from './paths.mjs'

/**
 * Packs every package as it would be published.
 * @param {string} destination an existing, empty folder
 * @returns {Promise<string[]>} the tarballs
 */
export async function packPackages(destination) {
  const { code, output } = await run(
    process.platform === 'win32' ? 'npx.cmd' : 'npx',
    ['-y', pinnedPnpm(), '-r', '--filter', './packages/*', 'pack', '--pack-destination', destination],
    { cwd: root, capture: true, env: { npm_config_loglevel: 'error' } },
  )
  if (code !== 0) throw new Failure(`the packages could not be packed:\n${output}`)
  return readdirSync(destination)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => join(destination, name))
}

const linters = [
  // Suggestions too: there are none that we do not follow.
  (tarball) => [join('node_modules', 'publint', 'src', 'cli.js'), tarball, '--strict'],
  (tarball) => [
    join('node_modules', '@arethetypeswrong', 'cli', 'dist', 'index.js'),
    tarball,
    '--profile',
    'esm-only',
    '--format',
    'ascii',
    '--no-emoji',
  ],
]

/** @returns {Promise<string[]>} what publint and "are the types wrong" find in the packed packages */
export async function packingProblems() {
  mkdirSync(cache, { recursive: true })
  const destination = mkdtempSync(join(cache, 'packed-'))
  const cleanUp = () => rmSync(destination, { recursive: true, force: true })
  process.once('exit', cleanUp)
  try {
    const problems = []
    for (const tarball of await packPackages(destination)) {
      const results = await Promise.all(
        linters.map((args) => run(process.execPath, args(tarball), { cwd: root, capture: true })),
      )
      for (const { code, output } of results) if (code !== 0) problems.push(output.trimEnd())
    }
    return problems
  } finally {
    process.off('exit', cleanUp)
    cleanUp()
  }
}
