/** Installing what is not ours, quietly: what fails is one line. */
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { root } from './paths.mjs'

/**
 * Something that can be installed.
 *
 * @typedef {object} Installable
 * @property {string} name
 * @property {() => Promise<boolean>} present
 * @property {() => Promise<void>} install throws a Failure that says in a line why it could not
 */

/** What takes longer than this does not get there: a registry that does not answer, or a compiler on too small a machine. */
const SECONDS = 600

export const quiet = {
  cwd: root,
  capture: true,
  seconds: SECONDS,
  env: { DEBIAN_FRONTEND: 'noninteractive', PIP_DISABLE_PIP_VERSION_CHECK: '1' },
}
export const has = async (command, ...args) => (await run(command, args, quiet)).code === 0

const lastLine = (output) => output.trim().split('\n').at(-1) ?? ''

export async function must(what, command, args, { env, ...options } = {}) {
  succeeded(what, command, await run(command, args, { ...quiet, ...options, env: { ...quiet.env, ...env } }))
}

function succeeded(what, command, { code, output, missing, late }) {
  if (missing) throw new Failure(`${what}: there is no ${command} here`)
  if (late) throw new Failure(`${what}: not done after ${SECONDS} s`)
  if (code !== 0) throw new Failure(`${what}: ${lastLine(output)}`)
}

export const aptInstall = (...packages) => inTurn(['install', '-y', '--no-install-recommends', ...packages])

/** Puts the archives of packages into a folder, and installs nothing. */
export const aptDownload = (cwd, ...packages) => inTurn(['download', '-qq', ...packages], { cwd })

let last = Promise.resolve()

/** Only one apt-get can run at a time. */
function inTurn(args, options) {
  const result = last.then(() => withLists(args, options))
  last = result.catch(() => {})
  return result
}

async function withLists(args, options = {}) {
  const [command, ...before] = process.getuid?.() === 0 ? ['apt-get'] : ['sudo', '-n', 'apt-get']
  const apt = (...words) => run(command, [...before, ...words], { ...quiet, ...options })
  let result = await apt(...args)
  if (result.code !== 0 && !result.missing && !result.late) {
    // A fresh image has no package lists, or lists of packages that are gone.
    await apt('update')
    result = await apt(...args)
  }
  succeeded('apt-get', command, result)
}
