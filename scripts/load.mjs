/** `native/load`, the client of the benchmarks that costs little itself. */
import { join } from 'node:path'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { Freshness, filesIn } from './freshness.mjs'
import { quiet } from './installing.mjs'
import { root } from './paths.mjs'
import { checkRust } from './toolchain.mjs'

const output = join('native', 'target', 'release', 'varve-load')
export const loadProgram = join(root, output)

function state() {
  const inputs = ['load', 'varve-records'].map((crate) => join('native', crate))
  const files = filesIn([...inputs, join('native', 'Cargo.lock')], (path) => !/\/tests\//.test(path))
  return new Freshness('load', { files, outputs: [output] })
}

/** @type {import('./installing.mjs').Installable} */
export const load = {
  name: 'varve-load (load for npm run bench:kafka)',
  present: async () => state().isFresh(),
  async install() {
    await checkRust()
    const building = state()
    building.begin()
    const manifest = join('native', 'Cargo.toml')
    const args = ['build', '--release', '--manifest-path', manifest, '-p', 'varve-load']
    const { code, output } = await run('cargo', args, quiet)
    if (code !== 0)
      throw new Failure(`it does not compile:\n${output.trim().split('\n').slice(-15).join('\n')}`)
    building.commit()
  },
}
