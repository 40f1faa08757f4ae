/** What would be published: packs the packages, and asks those who know what is wrong with packages. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { bootstrap } from './bootstrap.mjs'
import { run } from './child.mjs'
import { pinnedPnpm } from './dependencies.mjs'
import { Failure } from './failure.mjs'
import { builtAddon } from './native.mjs'
import { cache, root } from './paths.mjs'
import { layOutPlatformPackage, platformOf, platformPackageName } from './platform-package.mjs'
import { packageDirection } from './tidy.mjs'

const command = (name) => (process.platform === 'win32' ? `${name}.cmd` : name)

async function must(what, ...args) {
  const { code, output, missing } = await run(...args)
  if (missing) throw new Failure(`${what}: there is no ${args[0]} here; install it`)
  if (code !== 0) throw new Failure(`${what}:\n${output}`)
}

const tarballsIn = (folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => join(folder, name))

function packFolder(folder, destination) {
  const args = ['pack', '--silent', '--pack-destination', destination]
  return must(`${folder} could not be packed`, command('npm'), args, { cwd: folder, capture: true })
}

/** Packs a tarball anew with some of its manifest changed. */
async function restamp(tarball, changes, destination) {
  const folder = mkdtempSync(join(dirname(tarball), 'stamped-'))
  await must(`${tarball} could not be unpacked`, 'tar', ['-xzf', tarball, '-C', folder], { capture: true })
  const path = join(folder, 'package', 'package.json')
  const manifest = { ...JSON.parse(readFileSync(path, 'utf8')), ...changes }
  writeFileSync(path, `${JSON.stringify(manifest, null, 2)}\n`)
  await packFolder(join(folder, 'package'), destination)
}

/** Nothing comes before what it depends on. */
function inOrderOfDependency(tarballs) {
  const place = (tarball) => {
    const ours = Object.keys(packageDirection).map((name) => name.replace('@', '').replace('/', '-'))
    return ours.findIndex((name) => new RegExp(`^${name}-\\d`).test(basename(tarball)))
  }
  return tarballs.sort((a, b) => place(a) - place(b))
}

/**
 * Packs every package as it is published: the addons as packages of their own, on which `@varve/native` depends
 * optionally.
 * @param {string} destination an existing, empty folder
 * @param {object} [options]
 * @param {readonly string[]} [options.addons] default: the one that was built here
 * @param {string} [options.repository] the URL that npm's provenance is checked against
 * @returns {Promise<string[]>} the tarballs in the order in which to publish them: nothing before what it depends on
 */
export async function packPackages(destination, { addons = [builtAddon()], repository } = {}) {
  await bootstrap({ only: 'bundle' })
  mkdirSync(cache, { recursive: true })
  const staging = mkdtempSync(join(cache, 'packing-'))
  const cleanUp = () => rmSync(staging, { recursive: true, force: true })
  process.once('exit', cleanUp)
  try {
    const plain = join(staging, 'plain')
    mkdirSync(plain)
    const pnpm = ['-y', pinnedPnpm(), '-r', '--filter', './packages/*', 'pack', '--pack-destination', plain]
    const options = { cwd: root, capture: true, env: { npm_config_loglevel: 'error' } }
    await must('the packages could not be packed', command('npx'), pnpm, options)
    const platforms = join(staging, 'platforms')
    for (const addon of addons) await packFolder(layOutPlatformPackage(addon, platforms), plain)

    const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
    const named = addons.map((addon) => [platformPackageName(platformOf(addon)), version])
    for (const tarball of tarballsIn(plain)) {
      const isLoader = /^varve-native-\d/.test(basename(tarball))
      const changes = {
        ...(repository === undefined ? {} : { repository: { type: 'git', url: repository } }),
        ...(isLoader ? { optionalDependencies: Object.fromEntries(named) } : {}),
      }
      if (Object.keys(changes).length > 0) await restamp(tarball, changes, destination)
      else renameSync(tarball, join(destination, basename(tarball)))
    }
    return inOrderOfDependency(tarballsIn(destination))
  } finally {
    process.off('exit', cleanUp)
    cleanUp()
  }
}

/** `npm run pack -- FOLDER [ADDON…] [--repository URL]`: prints the tarballs in the order in which to publish them. */
export async function pack(args) {
  const options = { repository: { type: 'string' } }
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [folder, ...addons] = positionals.map((path) => resolve(path))
  if (folder === undefined)
    throw new Failure('usage: npm run pack -- FOLDER [ADDON.node…] [--repository URL]', { exitCode: 2 })
  mkdirSync(folder, { recursive: true })
  if (readdirSync(folder).length > 0) throw new Failure(`${folder} is not empty; name a new folder`)
  const tarballs = await packPackages(folder, {
    addons: addons.length > 0 ? addons : undefined,
    repository: values.repository,
  })
  for (const tarball of tarballs) console.log(tarball)
}

const publint = (tarball) => [join('node_modules', 'publint', 'src', 'cli.js'), tarball, '--strict']
const areTheTypesWrong = (tarball) => [
  join('node_modules', '@arethetypeswrong', 'cli', 'dist', 'index.js'),
  tarball,
  '--profile',
  'esm-only',
  '--format',
  'ascii',
  '--no-emoji',
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
      // An addon has no types of its own: they are those of its loader.
      const isAddon = /^varve-native-[a-z]/.test(basename(tarball))
      const linters = isAddon ? [publint] : [publint, areTheTypesWrong]
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
