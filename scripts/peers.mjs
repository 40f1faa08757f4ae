/**
 * Installs what varve is measured beside, and compiles the bare system calls: only for `npm run bench`, in bench/ alone.
 * A machine that lacks something measures the rest.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from './child.mjs'
import { pinnedPnpm } from './dependencies.mjs'
import { Freshness, filesIn } from './freshness.mjs'
import { root } from './paths.mjs'
import { Progress } from './progress.mjs'

const folder = join(root, 'bench')
const subjects = ['level', 'lmdb', 'sqlite', 'ceiling']
const addon = join('bench', 'ceiling', 'build', 'Release', 'ceiling.node')

/** Addons are compiled against one Node's headers; those that came with it need no download. */
function headers() {
  const prefix = dirname(dirname(process.execPath))
  return existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? prefix : undefined
}

/** @returns {Promise<ReadonlySet<string>>} the subjects that cannot be measured here, each of which has been told */
export async function installPeers() {
  const salt = `${process.versions.modules} ${process.platform} ${process.arch}`
  const packages = new Freshness('peers', {
    files: filesIn(
      ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml'].map((file) => join('bench', file)),
    ),
    outputs: [join('bench', 'node_modules', '.modules.yaml')],
    salt,
  })
  await step(packages, 'Installing what varve is measured beside', 'about a minute', [
    process.platform === 'win32' ? 'npx.cmd' : 'npx',
    ['-y', pinnedPnpm(), 'install', '--frozen-lockfile', '--reporter=append-only'],
  ])
  const ceiling = new Freshness('ceiling', {
    files: filesIn([join('bench', 'ceiling', 'ceiling.cc'), join('bench', 'ceiling', 'binding.gyp')]),
    outputs: [addon],
    salt,
  })
  const nodeGyp = join('node_modules', 'node-gyp', 'bin', 'node-gyp.js')
  const nodedir = headers()
  await step(ceiling, 'Compiling the bare system calls', 'a few seconds', [
    process.execPath,
    [nodeGyp, 'rebuild', '-C', 'ceiling', ...(nodedir === undefined ? [] : [`--nodedir=${nodedir}`])],
  ])
  const missing = new Set()
  for (const subject of subjects) {
    const load = `import('./subjects/${subject}.mjs')`
    const { code } = await run(process.execPath, ['--input-type=module', '-e', load], {
      cwd: folder,
      capture: true,
    })
    if (code === 0) continue
    missing.add(subject)
    process.stderr.write(`${subject} does not load here: its columns are left out\n`)
  }
  return missing
}

async function step(freshness, what, hint, [command, args]) {
  if (freshness.isFresh()) return
  freshness.begin()
  const progress = new Progress(what, hint)
  const nodedir = headers()
  const { code, output } = await run(command, args, {
    cwd: folder,
    capture: true,
    env: { CI: 'true', npm_config_loglevel: 'error', ...(nodedir && { npm_config_nodedir: nodedir }) },
  })
  if (code === 0) {
    freshness.commit()
    progress.done()
  } else {
    progress.fail()
    process.stderr.write(`${output.trim().split('\n').slice(-15).join('\n')}\n`)
    process.stderr.write('That did not work (its last lines are above); what it was for is left out\n')
  }
}
