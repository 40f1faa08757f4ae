/** Brings the work tree to the state in which varve runs, doing nothing where nothing changed. */
import { join } from 'node:path'
import { takeBuildLock } from './build-lock.mjs'
import { buildBundle, bundle } from './bundle.mjs'
import { dependencies, installDependencies } from './dependencies.mjs'
import { buildNative, native } from './native.mjs'
import { cache } from './paths.mjs'
import { checkNode } from './toolchain.mjs'
import { compileTypeScript, typescript } from './typescript.mjs'

const steps = {
  dependencies: { what: dependencies, build: installDependencies },
  native: { what: native, build: buildNative },
  typescript: { what: typescript, build: compileTypeScript },
  bundle: { what: bundle, build: buildBundle },
}

/** @param {{ only?: keyof typeof steps }} [options] */
export async function bootstrap({ only } = {}) {
  checkNode()
  const wanted = only === undefined ? Object.values(steps) : [steps[only]]
  if (wanted.every(({ what }) => what().isFresh())) return
  const release = await takeBuildLock(join(cache, 'build-tickets'), (pid) => {
    process.stderr.write(`Another build of this work tree is running (process ${pid}); waiting for it\n`)
  })
  try {
    for (const { what, build } of wanted) {
      // Asked again: the build that was waited for may have done it, and an install changes what a build sees.
      const state = what()
      if (!state.isFresh()) await build(state)
    }
  } finally {
    release()
  }
}
