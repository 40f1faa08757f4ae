/**
 * The first code that anybody runs is copied from a README, and it is the code that breaks most quietly: no compiler sees
 * it. Each example marked with `<!-- test: name -->` is compiled against the built packages and run in an empty folder.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { compileExamples, examplesIn, runExample, type Example } from './support/examples.js'
import { root } from './support/tree.js'

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

// All in one run of the compiler.
beforeAll(
  () => compileExamples(examples.flatMap(({ found }) => found).filter(({ language }) => language === 'ts')),
  60_000,
)

async function check(example: Example): Promise<void> {
  if (example.language === 'ts') await compileExamples([example])
  await runExample(example)
}

describe.each(examples)('$file', ({ marks, found }) => {
  test('every marked example is one that can be run', () => {
    expect(found).toHaveLength(marks)
  })

  for (const example of found) {
    test(`the example "${example.name}" runs as it stands`, { timeout: 120_000 }, () => runExample(example))
  }
})

test('a marked example that is wrong would be noticed', { timeout: 120_000 }, async () => {
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
  await expect(check(wrongType!)).rejects.toThrow('TS2322')
  await expect(check(throws!)).rejects.toThrow('ended with 1')
})
