/**
 * Bundles the command line: Node finds, opens, reads and compiles a few files in a third of the time that it needs for each of
 * our modules by itself. Whoever imports the packages gets these modules; the bundle is for the processes of `varve` alone,
 * because classes and state in it are copies. What others publish stays out of it, and is installed as it always was.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { Failure } from './failure.mjs'
import { Freshness, filesIn } from './freshness.mjs'
import { cache, root } from './paths.mjs'
import { Progress } from './progress.mjs'

const home = join('packages', 'varve')
/** As deep in its package as the modules that the compiler writes: a path from one to package.json is right in both. */
export const bundleFolder = join(home, 'dist', 'bundle')
const entry = 'main.js'
/** What runs on a thread of its own has an entry of its own. */
const worker = 'broker-worker.js'

const isInput = (path) => /\/src\/.*\.ts$/.test(path) || path.endsWith('package.json')

export function bundle() {
  const files = [
    ...filesIn(['packages'], isInput),
    ...filesIn(['pnpm-lock.yaml', 'tsconfig.base.json', join('scripts', 'bundle.mjs')]),
  ]
  return new Freshness('bundle', { files, outputs: [join(bundleFolder, entry)] })
}

const manifestOf = (folder) => JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))

/** @param {string} built a path of something that is compiled or bundled */
export const sourceOf = (built) =>
  built
    .replace(/(?<=[\\/])dist[\\/]bundle(?=[\\/])/, join('src', 'cli'))
    .replace(/(?<=[\\/])dist(?=[\\/])/, 'src')
    .replace(/\.js$/, '.ts')

/** `@varve/native` is left out: it looks for the addon beside itself. */
export const isBundled = (specifier) => /^@varve\/(?!native$)/.test(specifier)

/** Finds the source of an entry point of one of our packages. */
function resolveOurs(specifier) {
  const [, name, ...subpath] = specifier.split('/')
  const folder = join('packages', name)
  const { exports } = manifestOf(folder)
  const target = exports[['.', ...subpath].join('/')]?.default
  if (target === undefined) throw new Failure(`${specifier} is no entry point of ${folder}`)
  return join(root, folder, sourceOf(target))
}

/** What must be installed beside the bundle, because the bundle imports it. */
function externals() {
  const { name, dependencies } = manifestOf(home)
  return (specifier) => {
    if (/^(?:\.|\/|node:)/.test(specifier) || isBundled(specifier)) return false
    if (Object.hasOwn(dependencies, specifier)) return true
    throw new Failure(
      `the bundle imports ${specifier}, which ${name} does not depend on: add it to ${home}/package.json`,
    )
  }
}

const ours = {
  name: 'our packages',
  resolveId: {
    filter: { id: /^@varve\// },
    handler: (specifier) => (isBundled(specifier) ? resolveOurs(specifier) : null),
  },
  transform: {
    filter: { id: /[\\/]packages[\\/](?!varve[\\/])/, code: /import\.meta/ },
    /** What a package requires is still looked for from where that package is installed, not from the bundle. */
    handler(code, id) {
      const name = `@varve/${/[\\/]packages[\\/]([^\\/]+)/.exec(id)[1]}`
      const moved = code.replaceAll(
        'createRequire(import.meta.url)',
        `createRequire(import.meta.resolve('${name}'))`,
      )
      if (/import\.meta(?!\.resolve\('@varve)/.test(moved))
        throw new Failure(
          `${id}: the bundle moves it, so what it finds from import.meta it does not find there`,
        )
      // Lines stay what they were.
      return { code: moved, map: null }
    },
  },
}

/**
 * Bundles without writing anything.
 *
 * @returns {Promise<Map<string, string>>} the text of each file by its name
 */
export async function renderBundle() {
  const { rolldown } = await import('rolldown').catch((error) => {
    throw new Failure(
      `rolldown bundles the command line, and does not load: ${error.message}. Run: npm run build`,
    )
  })
  const building = await rolldown({
    cwd: root,
    input: Object.fromEntries(
      [entry, worker].map((name) => [
        name.replace(/\.js$/, ''),
        join(root, sourceOf(join(bundleFolder, name))),
      ]),
    ),
    platform: 'node',
    external: externals(),
    plugins: [ours],
    resolve: { extensionAlias: { '.js': ['.ts'] } },
    transform: { target: 'node20.19' },
    tsconfig: false,
    // Nobody imports the entry but the command, so that it may hold what the rest needs of it.
    preserveEntrySignatures: 'allow-extension',
    onLog(level, log) {
      if (level === 'warn') throw new Failure(`the command line could not be bundled: ${log.message}`)
    },
  })
  try {
    const { output } = await building.generate({
      format: 'esm',
      entryFileNames: '[name].js',
      chunkFileNames: '[name].js',
      comments: false,
      // Few files: each costs a start half a millisecond.
      codeSplitting: {
        groups: [
          { name: 'protocol', test: /[\\/]packages[\\/]protocol[\\/]/ },
          { name: 'records', test: /[\\/]packages[\\/](?:records|partitioning)[\\/]/ },
        ],
      },
      sourcemap: true,
      // They are in the packages.
      sourcemapExcludeSources: true,
      sourcemapPathTransform: asInstalled,
    })
    return new Map(
      output.map((file) => [file.fileName, file.type === 'chunk' ? file.code : String(file.source)]),
    )
  } finally {
    await building.close()
  }
}

/** The source's path from the bundle where npm has installed both. */
function asInstalled(source) {
  const [, name, path] =
    /packages\/([^/]+)\/(src\/.*)$/.exec(join(bundleFolder, source).replaceAll(sep, '/')) ?? []
  if (name === undefined) return source
  return name === 'varve' ? `../../${path}` : `../../../@varve/${name}/${path}`
}

export async function buildBundle(state) {
  state.begin()
  const progress = new Progress('Bundling the command line', 'a second')
  try {
    put(await renderBundle())
  } catch (error) {
    progress.fail()
    throw error
  }
  state.commit()
  progress.done()
}

/** Puts a folder in place as a whole: nobody starts from half a bundle. */
function put(files) {
  mkdirSync(cache, { recursive: true })
  const staging = mkdtempSync(join(cache, 'bundle-'))
  const [fresh, old] = [join(staging, 'fresh'), join(staging, 'old')]
  try {
    mkdirSync(fresh)
    for (const [name, text] of files) writeFileSync(join(fresh, name), text)
    const target = join(root, bundleFolder)
    mkdirSync(dirname(target), { recursive: true })
    if (existsSync(target)) renameSync(target, old)
    renameSync(fresh, target)
  } finally {
    rmSync(staging, { recursive: true, force: true })
  }
}
