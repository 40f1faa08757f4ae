/**
 * The rules of the tree that no linter knows: who may depend on whom, how files are called and how long they are, and
 * what must not be written into them. Each function returns problems as lines `path: what is wrong`.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { isBundled, sourceOf } from './bundle.mjs'
import { filesIn } from './freshness.mjs'
import { root } from './paths.mjs'

const read = (path) => readFileSync(join(root, path), 'utf8')
const json = (path) => JSON.parse(read(path))

/** What each package may depend on, and no more. `subpaths` narrows a dependency to some of its entry points. */
export const packageDirection = {
  '@varve/native': [],
  '@varve/partitioning': [],
  '@varve/protocol': [],
  '@varve/records': ['@varve/native'],
  '@varve/replication': ['@varve/partitioning'],
  '@varve/log': ['@varve/native', '@varve/partitioning', '@varve/records'],
  '@varve/client': ['@varve/partitioning', '@varve/protocol', '@varve/records'],
  '@varve/broker': [
    // What makes the topics of a cluster for tests, and fills them, is loaded by who starts one.
    '@varve/client/admin',
    '@varve/client/connection',
    '@varve/client/producer',
    '@varve/log',
    '@varve/partitioning',
    '@varve/protocol',
    '@varve/records',
    '@varve/replication',
  ],
  varve: [
    '@varve/broker',
    '@varve/client',
    '@varve/log',
    // Its bundle does.
    '@varve/native',
    '@varve/partitioning',
    '@varve/protocol',
    '@varve/records',
    '@varve/replication',
  ],
}

export const crateDirection = {
  'varve-records': [],
  'varve-log': ['varve-records'],
  'varve-node': ['varve-log', 'varve-records'],
  'varve-load': ['varve-records'],
  'varve-fuzz': ['varve-log', 'varve-records'],
}

const withoutComments = (source) => source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '')

const specifiers = (source) =>
  [
    ...withoutComments(source).matchAll(
      /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*|\bcreateRequire\([^()]*\)\(\s*)(['"])([^'"\s,]+)\1/g,
    ),
  ].map((match) => match[2])

const isOurs = (specifier) =>
  specifier === 'varve' || specifier.startsWith('varve/') || specifier.startsWith('@varve/')
const packageOf = (specifier) =>
  specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : specifier.split('/')[0]

/**
 * Problems of one package's manifest and sources; exported so that a test can feed it wrong ones. `bundled` are the sources of
 * others that it takes into a bundle: what those import must be installed with it.
 */
export function packageProblems({ path, manifest, sources, bundled = [] }, direction = packageDirection) {
  const allowed = direction[manifest.name]
  if (allowed === undefined)
    return [
      `${path}/package.json: ${manifest.name} has no place in the direction of imports (scripts/tidy.mjs)`,
    ]
  const problems = []
  const declared = Object.keys({
    ...manifest.dependencies,
    ...manifest.optionalDependencies,
    ...manifest.peerDependencies,
  })
  for (const name of declared.filter(isOurs)) {
    if (!allowed.some((entry) => packageOf(entry) === name))
      problems.push(`${path}/package.json: may not depend on ${name}`)
  }
  const imported = new Set([...sources, ...bundled].flatMap(({ text }) => specifiers(text).map(packageOf)))
  for (const name of declared) {
    if (!imported.has(name))
      problems.push(`${path}/package.json: depends on ${name}, which nothing in it imports`)
  }
  for (const { file, text } of sources) {
    for (const specifier of specifiers(text)) {
      if (specifier.startsWith('.')) {
        const target = join(dirname(file), specifier)
        if (!target.startsWith(`${path}/`))
          problems.push(`${file}: imports ${specifier} from outside its package`)
      } else if (isOurs(specifier)) {
        if (
          !allowed.some(
            (entry) =>
              entry === specifier || (packageOf(entry) === entry && specifier.startsWith(`${entry}/`)),
          )
        ) {
          problems.push(`${file}: may not import ${specifier}`)
        } else if (!declared.includes(packageOf(specifier))) {
          problems.push(`${file}: imports ${specifier}, which ${path}/package.json does not declare`)
        }
      } else if (!specifier.startsWith('node:') && !declared.includes(packageOf(specifier))) {
        problems.push(`${file}: imports ${specifier}, which ${path}/package.json does not declare`)
      }
    }
  }
  return problems
}

function packages() {
  return readdirSync(join(root, 'packages'))
    .map((name) => join('packages', name))
    .filter((path) => existsSync(join(root, path, 'package.json')))
    .map((path) => ({
      path,
      manifest: json(join(path, 'package.json')),
      sources: filesIn([join(path, 'src'), join(path, 'bin')], (file) => /\.(ts|mjs)$/.test(file)).map(
        ({ path: file }) => ({
          file,
          text: read(file),
        }),
      ),
    }))
}

function importDirection() {
  const all = packages()
  const inBundle = all.filter(({ manifest }) => isBundled(manifest.name)).flatMap(({ sources }) => sources)
  return all.flatMap((one) =>
    packageProblems({ ...one, bundled: one.manifest.name === 'varve' ? inBundle : [] }),
  )
}

/** Two ranges of one dependency are two copies of it for whoever installs both packages. */
export function rangeProblems(manifests) {
  const problems = []
  const first = new Map()
  for (const { name, dependencies = {} } of manifests) {
    for (const [dependency, range] of Object.entries(dependencies)) {
      const seen = first.get(dependency) ?? { name, range }
      first.set(dependency, seen)
      if (seen.range !== range)
        problems.push(`${name} depends on ${dependency} ${range}, but ${seen.name} on ${seen.range}`)
    }
  }
  return problems
}

const oneRange = () => rangeProblems(packages().map(({ manifest }) => manifest))

/** What tests, benchmarks and examples import: the root declares it for all of them, their package for itself. */
function importsOfTests() {
  const declared = Object.keys(json('package.json').devDependencies)
  const problems = []
  const all = packages()
  const folders = all.map(({ path }) => join(path, 'test'))
  for (const { path } of filesIn(['test', 'bench', 'examples', ...folders], (file) =>
    /\.(ts|mjs)$/.test(file),
  )) {
    if (SPELLED_OUT_IN.includes(path)) continue
    // The benchmarks have a manifest of their own for what is installed for them alone.
    const own = path.startsWith('bench/')
      ? json('bench/package.json')
      : all.find((one) => path.startsWith(`${one.path}/`))?.manifest
    const known = [...declared, ...Object.keys({ ...own?.dependencies, ...own?.optionalDependencies })]
    for (const specifier of specifiers(read(path))) {
      if (/^\.|^node:/.test(specifier) || known.includes(packageOf(specifier))) continue
      problems.push(`${path}: imports ${specifier}, which package.json does not declare`)
    }
  }
  return problems
}

function projectReferences() {
  const problems = []
  for (const { path, manifest } of packages()) {
    // An optional dependency is loaded if it is there, so its types are not needed to compile.
    const optional = Object.keys({ ...manifest.optionalDependencies })
    const wanted = Object.keys({ ...manifest.dependencies })
      .filter(isOurs)
      .sort()
    const found = (json(join(path, 'tsconfig.json')).references ?? [])
      .map((reference) => json(join(path, reference.path, 'package.json')).name)
      .filter((name) => !optional.includes(name))
      .sort()
    if (wanted.join() !== found.join()) {
      problems.push(
        `${path}/tsconfig.json: references [${found.join(', ')}] but package.json depends on [${wanted.join(', ')}]`,
      )
    }
  }
  const listed = json('tsconfig.json').references.map((reference) => reference.path)
  for (const { path } of packages())
    if (!listed.includes(path)) problems.push(`tsconfig.json: does not reference ${path}`)
  return problems
}

/** Problems of one crate's dependencies. */
export function crateProblems(path, toml, direction = crateDirection) {
  const name = /^name = "([^"]+)"/m.exec(toml)?.[1] ?? ''
  const allowed = direction[name]
  if (allowed === undefined)
    return [`${path}: ${name} has no place in the direction of dependencies (scripts/tidy.mjs)`]
  const problems = []
  let section = ''
  for (const line of toml.split('\n')) {
    section = /^\[(.+)\]/.exec(line)?.[1] ?? section
    const dependency = /^([\w-]+)(?:\.workspace)?\s*=/.exec(line)?.[1]
    if (!section.endsWith('dependencies') || dependency === undefined) continue
    if (dependency.startsWith('varve-') && !allowed.includes(dependency))
      problems.push(`${path}: may not depend on ${dependency}`)
    if (dependency.startsWith('napi') && name !== 'varve-node')
      problems.push(`${path}: ${name} knows nothing of Node and may not depend on ${dependency}`)
  }
  return problems
}

function cargoDirection() {
  return readdirSync(join(root, 'native'))
    .map((name) => join('native', name, 'Cargo.toml'))
    .filter((path) => existsSync(join(root, path)))
    .flatMap((path) => crateProblems(path, read(path)))
}

function oneVersion() {
  const { version } = json('package.json')
  const problems = packages()
    .filter(({ manifest }) => manifest.version !== version)
    .map(
      ({ path, manifest }) =>
        `${path}/package.json: version ${manifest.version}, but the workspace is ${version}`,
    )
  if (!read('native/Cargo.toml').includes(`version = "${version}"`))
    problems.push(`native/Cargo.toml: the crates are not version ${version}`)
  return problems
}

const VAGUE = /^(utils?|helpers?|common|misc|stuff|shared)\b/i
const LONGEST = 600
/** Engine files that are compiled for one kind of system; all others are for every one, Windows too, which no test compiles. */
const OF_ONE_SYSTEM = /^native\/(?:varve-log\/src\/disk\/|varve-node\/src\/(?:sender|socket)\b)/

/** What must not stand in the tree, and why. This file and its test are the only ones that may spell these out. */
const forbidden = [
  {
    pattern: /\b(?:describe|suite|it|test|bench)(?:\.\w+)*\.only\b/,
    why: 'runs one test and hides the others',
  },
  { pattern: /\b(?:TODO|FIXME|XXX|HACK)\b/, why: 'unfinished work belongs in the tracker' },
  { pattern: /(?:^|[\s'"`(=])\/(?:root|home|Users|work)\/\w/, why: 'a path of one machine' },
  { pattern: /\b(?:issue|ticket) #?\d/i, why: 'a number that means nothing to a reader' },
]
const SPELLED_OUT_IN = ['scripts/tidy.mjs', 'test/tidy.test.ts']

/** Problems of one file's name, length and words. */
export function fileProblems(path, text) {
  const problems = []
  if (VAGUE.test(basename(path))) problems.push(`${path}: a file is named after the one thing in it`)
  const lines = text.split('\n')
  if (/\.(ts|mjs|rs|go|java)$/.test(path) && lines.length > LONGEST)
    problems.push(`${path}: ${lines.length} lines; ${LONGEST} is the most`)
  if (/^native\/[\w-]+\/src\/.*\.rs$/.test(path) && !OF_ONE_SYSTEM.test(path) && /^use std::os::/m.test(text))
    problems.push(`${path}: not every system has what it uses; name it in full behind #[cfg(unix)]`)
  if (SPELLED_OUT_IN.includes(path)) return problems
  lines.forEach((line, index) => {
    for (const { pattern, why } of forbidden)
      if (pattern.test(line)) problems.push(`${path}:${index + 1}: ${why}: ${line.trim().slice(0, 100)}`)
  })
  return problems
}

function everyFile() {
  const files = filesIn(
    [
      'packages',
      'native',
      'scripts',
      'test',
      'bench',
      'docs',
      'examples',
      '.ci',
      'README.md',
      'ARCHITECTURE.md',
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      'package.json',
      'vitest.config.ts',
    ],
    (path) =>
      /\.(ts|mjs|js|rs|md|toml|json|py|go|java)$|\/run$/.test(path) &&
      !path.includes('/results/') &&
      !path.includes('/fixtures/'),
  )
  return files.flatMap(({ path }) => fileProblems(path, read(path)))
}

/** A source file that no other file of its package reaches is dead. */
function deadFiles() {
  const problems = []
  for (const { path, manifest, sources } of packages()) {
    const known = new Map(sources.map(({ file, text }) => [file, text]))
    const queue = [
      ...Object.values(manifest.exports ?? {})
        .map((entry) => entry.default)
        .filter((target) => target !== undefined)
        .map((target) => sourceOf(join(path, target))),
      ...Object.values(manifest.bin ?? {}).map((target) => join(path, target)),
    ]
    const reached = new Set()
    for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
      const text = known.get(file)
      if (text === undefined || reached.has(file)) continue
      reached.add(file)
      for (const specifier of specifiers(text)) {
        if (!specifier.startsWith('.')) continue
        queue.push(sourceOf(join(dirname(file), specifier)))
      }
      // Worker threads and lazily loaded files are named by URL.
      for (const [, target] of text.matchAll(/new URL\(\s*'(\.[^']+)'/g))
        queue.push(sourceOf(join(dirname(file), target)))
    }
    for (const { file } of sources) {
      if (!reached.has(file) && !file.endsWith('.d.ts'))
        problems.push(`${relative(root, join(root, file))}: nothing reaches this file`)
    }
  }
  return problems
}

/** @returns {string[]} all problems of the tree */
export function tidy() {
  return [
    importDirection,
    importsOfTests,
    projectReferences,
    cargoDirection,
    oneVersion,
    oneRange,
    everyFile,
    deadFiles,
  ].flatMap((rule) => rule())
}
