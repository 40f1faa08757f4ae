/** Runs every benchmark of bench/micro in order, or those whose names contain an argument. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { root } from './paths.mjs'

/** @returns {Promise<number>} the exit code */
export async function bench(names) {
  const folder = join('bench', 'micro')
  const all = existsSync(join(root, folder))
    ? readdirSync(join(root, folder)).filter((file) => file.endsWith('.bench.mjs'))
    : []
  const chosen = all.sort().filter((file) => names.length === 0 || names.some((name) => file.includes(name)))
  if (chosen.length === 0) {
    throw new Failure(
      names.length === 0
        ? `there is no benchmark in ${folder}`
        : `no benchmark is called ${names.join(' or ')}; there are: ${all.join(', ')}`,
    )
  }
  for (const file of chosen) {
    console.log(`\n${join(folder, file)}`)
    const { code } = await run(process.execPath, ['--expose-gc', join(folder, file)], { cwd: root })
    if (code !== 0) return code
  }
  return 0
}
