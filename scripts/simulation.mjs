/** Puts the simulator of replication and the rules that it runs into one module, so that a changed rule can be tried as well. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from './failure.mjs'
import { root } from './paths.mjs'

const entry = join(root, 'packages', 'replication', 'test', 'simulation', 'index.ts')
const sources = {
  '@varve/replication': join(root, 'packages', 'replication', 'src', 'index.ts'),
  '@varve/partitioning': join(root, 'packages', 'partitioning', 'src', 'index.ts'),
}

/**
 * @param {{ file: string, replace: string, by: string }} [mutation] one place in the rules, by its text, and what is there instead
 * @returns {Promise<string>} the text of a module that exports `simulate`
 */
export async function renderSimulation(mutation) {
  const { rolldown } = await import('rolldown')
  const mutated = mutation === undefined ? null : join(root, 'packages', 'replication', 'src', mutation.file)
  const building = await rolldown({
    cwd: root,
    input: { simulation: entry },
    plugins: [
      {
        name: 'the rules from their sources',
        resolveId: { filter: { id: /^@varve\// }, handler: (specifier) => sources[specifier] ?? null },
        load: { filter: { id: /\.ts$/ }, handler: (id) => (id === mutated ? mutate(mutation, id) : null) },
      },
    ],
    resolve: { extensionAlias: { '.js': ['.ts'] } },
    transform: { target: 'node20.19' },
    tsconfig: false,
    onLog(level, log) {
      if (level === 'warn') throw new Failure(`the simulator could not be bundled: ${log.message}`)
    },
  })
  try {
    const { output } = await building.generate({ format: 'esm' })
    return output[0].code
  } finally {
    await building.close()
  }
}

/** The module itself. */
export async function loadSimulation(mutation) {
  return importSimulation(await renderSimulation(mutation))
}

/** The module of a text that {@link renderSimulation} has made. */
export function importSimulation(code) {
  // Its name in stacks, which would show all of it otherwise.
  const named = `${code}\n//# sourceURL=simulation.mjs`
  return import(`data:text/javascript;base64,${Buffer.from(named).toString('base64')}`)
}

function mutate({ replace, by }, path) {
  const source = readFileSync(path, 'utf8')
  const parts = source.split(replace)
  if (parts.length !== 2)
    throw new Failure(`${path} has ${parts.length - 1} places with \`${replace}\`, where one was expected`)
  return parts.join(by)
}
