/** Compiles the packages with project references. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { Freshness, filesIn } from './freshness.mjs'
import { root } from './paths.mjs'
import { Progress } from './progress.mjs'

const isInput = (path) => /\/src\/.*\.ts$/.test(path) || /(package|tsconfig)\.json$/.test(path)

export function typescript() {
  const files = [
    ...filesIn(['packages'], isInput),
    ...filesIn(['tsconfig.json', 'tsconfig.base.json', 'pnpm-lock.yaml']),
  ]
  const { references } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'))
  const outputs = references.map(({ path }) => join(path, 'dist', '.tsbuildinfo'))
  return new Freshness('typescript', { files, outputs })
}

export async function compileTypeScript(state) {
  state.begin()
  const progress = new Progress('Compiling TypeScript', 'a few seconds')
  const tsc = join('node_modules', 'typescript', 'bin', 'tsc')
  const { code, output } = await run(
    process.execPath,
    [tsc, '-b', '--pretty', String(process.stderr.isTTY === true)],
    {
      cwd: root,
      capture: true,
    },
  )
  if (code !== 0) {
    progress.fail()
    process.stderr.write(output)
    throw new Failure('TypeScript did not compile: the errors are above')
  }
  state.commit()
  progress.done()
}
