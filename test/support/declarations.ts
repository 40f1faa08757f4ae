import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './tree.js'

/** Something that a package gives to whoever imports it, or a member of that. */
export interface Declaration {
  /** Such as `openLog` or `Log.append`. */
  readonly name: string
  readonly isDocumented: boolean
  /** Whether it is a function or a method. */
  readonly isCallable: boolean
}

const EXPORTS = /^export (?:type )?\{([^}]*)\} from ["']\.\/(.*?)\.js["'];/gm
const MEMBER =
  /^ {4}(?!private |protected |#|constructor\(|(?:[gs]et )?\[)(?:static |readonly )*([gs]et )?['"]?([\w:-]+)['"]?(\??[<(])?/

/** All that the entry of a package exports of its own, as its built declarations say. */
export function declarationsOf(folder: string): Declaration[] {
  const dist = join(root, 'packages', folder, 'dist')
  const entry = readFileSync(join(dist, 'index.d.ts'), 'utf8')
  return [...entry.matchAll(EXPORTS)].flatMap(([, names, file]) => {
    const lines = readFileSync(join(dist, `${file}.d.ts`), 'utf8').split('\n')
    return names!
      .split(',')
      .map((name) => name.trim().replace(/^type /, ''))
      .filter((name) => name !== '')
      .flatMap((name) => declarationsIn(lines, name))
  })
}

function declarationsIn(lines: readonly string[], name: string): Declaration[] {
  const start = new RegExp(`^export (?:declare )?(function|class|interface|type|const) ${name}\\b`)
  const at = lines.findIndex((line) => start.test(line))
  if (at < 0) throw new Error(`there is no declaration of ${name}`)
  const kind = start.exec(lines[at]!)![1]!
  const isDocumented = (line: number): boolean => lines[line - 1]!.endsWith('*/')
  const found = [{ name, isDocumented: isDocumented(at), isCallable: kind === 'function' }]
  if (kind !== 'class' && kind !== 'interface') return found
  for (let line = at + 1; lines[line] !== '}'; line++) {
    const [, accessor, member, call] = MEMBER.exec(lines[line]!) ?? []
    if (member === undefined) continue
    found.push({
      name: `${name}.${member}`,
      isDocumented: isDocumented(line),
      isCallable: call !== undefined && accessor === undefined,
    })
  }
  return found
}
