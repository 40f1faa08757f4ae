import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { mustRun } from './children.js'
import { cache, root, temporaryDirectory } from './tree.js'

/** Code of a page or of a documentation comment, to be run as it stands. */
export interface Example {
  readonly name: string
  readonly language: string
  readonly code: string
}

const MARKED = /<!-- test: ([\w-]+) -->\s*\n```(ts|js|sh)\n([\s\S]*?)\n```/g

/** Those that are marked with `<!-- test: name -->`. */
export function examplesIn(markdown: string): Example[] {
  return [...markdown.matchAll(MARKED)].map(([, name, language, code]) => ({
    name: name!,
    language: language!,
    code: code!,
  }))
}

// Inside the tree, so that packages are found by name, as in a project that has them installed.
const sources = join(cache, `examples-${process.pid}`)
mkdirSync(sources, { recursive: true })
afterAll(() => rmSync(sources, { recursive: true, force: true }))

const sourceOf = ({ name }: Example): string => join(sources, `${name}.mts`)
const scriptOf = ({ name }: Example): string => join(sources, `${name}.mjs`)

/** Compiles examples in TypeScript against the built packages. @throws what the compiler says */
export async function compileExamples(examples: readonly Example[]): Promise<void> {
  if (new Set(examples.map(({ name }) => name)).size < examples.length)
    throw new Error('two examples have one name')
  for (const example of examples) writeFileSync(sourceOf(example), example.code)
  const config = join(sources, `${examples[0]!.name}.json`)
  const compilerOptions = {
    outDir: sources,
    composite: false,
    declaration: false,
    declarationMap: false,
    typeRoots: [join(root, 'node_modules', '@types')],
  }
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.base.json'),
      compilerOptions,
      files: examples.map(sourceOf),
    }),
  )
  // Downlevelled to ES2022, so that `await using` runs on Node 20 too.
  await mustRun(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', config])
}

/** Runs an example, which is compiled if it is TypeScript, in an empty folder. */
export async function runExample(example: Example): Promise<void> {
  const { language, code } = example
  const cwd = temporaryDirectory()
  if (language === 'sh') {
    const path = `${join(root, 'node_modules', '.bin')}:${process.env['PATH']}`
    await mustRun('sh', ['-e', '-c', code], { cwd, env: { ...process.env, PATH: path } })
    return
  }
  if (language === 'js') writeFileSync(scriptOf(example), code)
  await mustRun(process.execPath, [scriptOf(example)], { cwd })
}

/**
 * Runs compiled examples in one process, each in an empty folder: a process for each would take longer than all of them.
 *
 * @returns what each has thrown, or null
 * @throws what the process says if it does not come to its end
 */
export async function runExamples(examples: readonly Example[]): Promise<Map<string, string | null>> {
  const scripts = examples.map((example) => ({
    name: example.name,
    script: scriptOf(example),
    cwd: temporaryDirectory(),
  }))
  const told = join(temporaryDirectory(), 'told')
  const runner = join(root, 'test', 'support', 'running-examples.mjs')
  await mustRun(process.execPath, [runner, JSON.stringify(scripts), told])
  const lines = readFileSync(told, 'utf8').trim().split('\n')
  return new Map(lines.map((line) => JSON.parse(line) as [string, string | null]))
}
