/** The machines that the tests of clusters run on (test/cluster/machines), for scripts, which cannot import TypeScript. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from './paths.mjs'

const folder = join(root, 'test', 'cluster', 'machines')
const entry = 'machines'

/** @returns {Promise<typeof import('../test/cluster/machines/machines.js') & typeof import('../test/cluster/machines/missing.js')>} */
export async function loadMachines() {
  const { rolldown } = await import('rolldown')
  const building = await rolldown({
    input: entry,
    platform: 'node',
    plugins: [
      {
        name: 'machines of the tests',
        resolveId(specifier) {
          if (specifier === entry) return specifier
          // Those find their files from where they are.
          if (specifier.endsWith('.mjs'))
            return { id: pathToFileURL(join(folder, specifier)).href, external: true }
          return null
        },
        load: {
          filter: { id: new RegExp(`^${entry}$`) },
          handler: () =>
            ['machines', 'missing']
              .map((name) => `export * from ${JSON.stringify(join(folder, `${name}.ts`))}`)
              .join('\n'),
        },
      },
    ],
    resolve: { extensionAlias: { '.js': ['.ts'] } },
    transform: { target: 'node20.19' },
    tsconfig: false,
  })
  try {
    const { output } = await building.generate({ format: 'esm' })
    const code = `${output[0].code}\n//# sourceURL=machines.mjs`
    return await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`)
  } finally {
    await building.close()
  }
}
