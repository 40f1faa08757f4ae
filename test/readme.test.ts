/**
 * The first code that anybody runs is copied from a README, and it is the code that breaks most quietly: no compiler sees
 * it. Each example marked with `<!-- test: name -->` is compiled against the built packages and run in an empty folder.
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { mustRun } from './support/children.js'
import { cache, root, temporaryDirectory } from './support/tree.js'

interface Example {
  readonly name: string
  readonly language: string
  readonly code: string
}

const MARKED = /<!-- test: ([\w-]+) -->\s*\n```(ts|js|sh)\n([\s\S]*?)\n```/g

function examplesIn(markdown: string): Example[] {
  return [...markdown.matchAll(MARKED)].map(([, name, language, code]) => ({
    name: name!,
    language: language!,
    code: code!,
  }))
}

const readmes = [
  'README.md',
  ...readdirSync(join(root, 'packages')).map((name) => join('packages', name, 'README.md')),
]
const examples = readmes.flatMap((file) => {
  let markdown = ''
  try {
    markdown = readFileSync(join(root, file), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const marks = [...markdown.matchAll(/<!-- test: /g)].length
  return [{ file, marks, found: examplesIn(markdown) }]
})

// Inside the tree, so that packages are found by name, as in a project that has them installed.
const sources = join(cache, `examples-${process.pid}`)
mkdirSync(sources, { recursive: true })
afterAll(() => rmSync(sources, { recursive: true, force: true }))

async function compile({ name, code }: Example): Promise<string> {
  const file = join(sources, `${name}.mts`)
  writeFileSync(file, code)
  const config = join(sources, `${name}.json`)
  const compilerOptions = {
    outDir: sources,
    composite: false,
    declaration: false,
    declarationMap: false,
    typeRoots: [join(root, 'node_modules', '@types')],
  }
  writeFileSync(
    config,
    JSON.stringify({ extends: join(root, 'tsconfig.base.json'), compilerOptions, files: [file] }),
  )
  // Downlevelled to ES2022, so that `await using` runs on Node 20 too.
  await mustRun(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', config])
  return join(sources, `${name}.mjs`)
}

async function runExample(example: Example): Promise<void> {
  const cwd = temporaryDirectory()
  if (example.language === 'sh') {
    const path = `${join(root, 'node_modules', '.bin')}:${process.env['PATH']}`
    await mustRun('sh', ['-e', '-c', example.code], { cwd, env: { ...process.env, PATH: path } })
    return
  }
  let script = join(sources, `${example.name}.mjs`)
  if (example.language === 'ts') script = await compile(example)
  else writeFileSync(script, example.code)
  await mustRun(process.execPath, [script], { cwd })
}

describe.each(examples)('$file', ({ marks, found }) => {
  test('every marked example is one that can be run', () => {
    expect(found).toHaveLength(marks)
  })

  for (const example of found) {
    test(`the example "${example.name}" runs as it stands`, { timeout: 60_000 }, () => runExample(example))
  }
})

test('a marked example that is wrong would be noticed', { timeout: 60_000 }, async () => {
  const [wrongType, throws] = examplesIn(
    [
      '<!-- test: wrong-type -->',
      '```ts',
      "const a: number = ''",
      'export { a }',
      '```',
      '<!-- test: throws -->',
      '```js',
      'throw new Error()',
      '```',
    ].join('\n'),
  )
  await expect(runExample(wrongType!)).rejects.toThrow('TS2322')
  await expect(runExample(throws!)).rejects.toThrow('ended with 1')
})
