/** Installs the JavaScript dependencies with exactly the pnpm that package.json pins; npx fetches it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { Freshness, filesIn } from './freshness.mjs'
import { root } from './paths.mjs'
import { Progress } from './progress.mjs'

export function dependencies() {
  const files = [
    ...filesIn(['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc']),
    ...filesIn(['packages'], (path) => path.endsWith('package.json')),
  ]
  return new Freshness('dependencies', { files, outputs: ['node_modules/.modules.yaml'] })
}

export function pinnedPnpm() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager.split('+')[0]
}

export async function installDependencies(state) {
  const pnpm = pinnedPnpm()
  state.begin()
  const progress = new Progress(`Installing dependencies with ${pnpm}`, 'a few seconds')
  const { code, output, missing } = await run(
    process.platform === 'win32' ? 'npx.cmd' : 'npx',
    ['-y', pnpm, 'install', '--frozen-lockfile', '--reporter=append-only'],
    // Without a terminal pnpm would stop to ask before it replaces node_modules.
    { cwd: root, capture: true, env: { CI: 'true', npm_config_loglevel: 'error' } },
  )
  if (code !== 0) {
    progress.fail()
    if (missing) throw new Failure('npx was not found: it comes with npm. Install npm, then run this again')
    if (output.includes('ERR_PNPM_OUTDATED_LOCKFILE')) {
      throw new Failure(
        `pnpm-lock.yaml does not match a package.json. Run: npx ${pnpm} install, and commit pnpm-lock.yaml`,
      )
    }
    process.stderr.write(output)
    throw new Failure(
      `${pnpm} could not install the dependencies (its output is above). Check the network, then run this again`,
    )
  }
  state.commit()
  progress.done()
}
