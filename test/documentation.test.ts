/**
 * What an editor shows of an export is all that most people read of it, and they copy the example under it. An export without a
 * word, a function that nobody is shown how to call, or an example that does not run, is found by its users first.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { declarationsOf } from './support/declarations.js'
import { compileExamples, examplesIn, runExamples, type Example } from './support/examples.js'
import { root } from './support/tree.js'

const PACKAGES = ['log', 'records', 'partitioning']
/** Not called by themselves: the example on the first page runs several of them together, the simulator all. */
const DOCUMENTED = [...PACKAGES, 'replication']
const COMMENTED = /^( +)\* ```ts\n((?:\1\*.*\n)+?)\1\* ```$/gm

/** The examples in the documentation comments of a package. */
function examplesOf(folder: string): Example[] {
  const sources = join(root, 'packages', folder, 'src')
  return readdirSync(sources).flatMap((file) => {
    const text = readFileSync(join(sources, file), 'utf8')
    return [...text.matchAll(COMMENTED)].map(([, , code], index) => ({
      name: `${folder}-${file.replace('.ts', '')}-${index + 1}`,
      language: 'ts',
      code: code!.replaceAll(/^ +\* ?/gm, ''),
    }))
  })
}

const textOf = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8')

test.each(DOCUMENTED)('each export of @varve/%s, and each member of one, says what it is', (folder) => {
  const declarations = declarationsOf(folder)
  expect(declarations.length).toBeGreaterThan(10)
  const silent = declarations.filter(({ isDocumented }) => !isDocumented).map(({ name }) => name)
  // Of what a union is told apart by, its type has said all.
  expect(silent.filter((name) => !name.endsWith('.kind:'))).toEqual([])
})

describe.each(PACKAGES)('@varve/%s', (folder) => {
  const declarations = declarationsOf(folder)
  const examples = examplesOf(folder)

  let failures: Map<string, string | null>
  beforeAll(async () => {
    await compileExamples(examples)
    failures = await runExamples(examples)
  }, 120_000)

  test('each function and method is called by an example that is run', () => {
    const readme = examplesIn(textOf('packages', folder, 'README.md'))
    const code = [...examples, ...readme].map((example) => example.code).join('\n')
    const isCalled = ({ name }: { name: string }): boolean =>
      new RegExp(`\\b${name.slice(name.indexOf('.') + 1)}(?:<.*>)?(?:\\?\\.)?\\(`).test(code)
    const callable = declarations.filter(({ isCallable }) => isCallable)
    expect(callable.filter((one) => !isCalled(one)).map(({ name }) => name)).toEqual([])
  })

  test.each(examples)('the example $name runs as it stands', ({ name }) => {
    expect(failures.get(name)).toBeNull()
  })
})
