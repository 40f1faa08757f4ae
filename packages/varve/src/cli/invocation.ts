import { existsSync } from 'node:fs'
import { delimiter, dirname, join, sep } from 'node:path'

/** How another shell starts this varve: the command, and the directory it works in if it works in one only. */
export interface Invocation {
  readonly command: string
  readonly directory: string | null
}

export interface Start {
  /** The script that Node was started with, as in `process.argv[1]`. */
  readonly script: string
  readonly cwd: string
  /** The search path of commands, as in `process.env.PATH`. */
  readonly path: string
}

/**
 * Finds what to type for "the same varve" elsewhere: `npx varve` in a clone or a project that depends on it, `varve`
 * where it is installed for all, and Node with the full path where nothing shorter is sure to work.
 */
export function invocation({ script, cwd, path }: Start): Invocation {
  if (script.includes(`${sep}_npx${sep}`)) return { command: 'npx varve', directory: null }
  for (let at = cwd; ; at = dirname(at)) {
    if (existsSync(join(at, 'node_modules', '.bin', 'varve'))) return { command: 'npx varve', directory: cwd }
    // npx looks no further up than the nearest project.
    if (existsSync(join(at, 'package.json')) || dirname(at) === at) break
  }
  if (path.split(delimiter).includes(dirname(script)) && /[/\\]varve$/.test(script))
    return { command: 'varve', directory: null }
  return {
    command: `node ${/^[\w./\\:-]+$/.test(script) ? script : `'${script.replaceAll("'", `'\\''`)}'`}`,
    directory: null,
  }
}
