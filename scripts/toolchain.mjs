/** Says in one line what a newcomer's machine lacks, before anything fails in a less helpful way. */
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { root } from './paths.mjs'

const atLeast = (have, want) => {
  for (let i = 0; i < want.length; i++) {
    if ((have[i] ?? 0) !== want[i]) return (have[i] ?? 0) > want[i]
  }
  return true
}

const numbers = (version) => version.split('.').map(Number)

/** Fails unless this Node can run varve: 20.19 or a later 20, or 22.12 and newer. */
export function checkNode(version = process.versions.node) {
  const have = numbers(version)
  if (have[0] === 20 ? atLeast(have, [20, 19]) : atLeast(have, [22, 12])) return
  throw new Failure(
    `varve needs Node 20.19 or newer on line 20, or 22.12 or newer; this is ${version}. Get one from https://nodejs.org`,
  )
}

// rustup puts cargo here and on the PATH of new shells only; a newcomer runs on in the old one.
function useRustupHome() {
  const bin = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin')
  const path = process.env.PATH ?? ''
  if (existsSync(bin) && !path.split(delimiter).includes(bin)) process.env.PATH = path + delimiter + bin
}

/** Fails unless cargo and a recent enough rustc are installed. */
export async function checkRust() {
  useRustupHome()
  const [cargo, rustc] = await Promise.all([
    run('cargo', ['--version'], { capture: true }),
    run('rustc', ['--version'], { capture: true }),
  ])
  if (cargo.missing || rustc.missing) {
    throw new Failure(
      `varve's engine is written in Rust and there is no ${cargo.missing ? 'cargo' : 'rustc'} here. Install Rust from https://rustup.rs, open a new shell, and run this again`,
    )
  }
  if (rustc.code !== 0) {
    throw new Failure(
      `rustc does not run: ${rustc.output.trim().split('\n')[0]}. Repair Rust with: rustup default stable`,
    )
  }
  const wanted = /^rust-version = "([\d.]+)"/m.exec(
    readFileSync(join(root, 'native', 'Cargo.toml'), 'utf8'),
  )?.[1]
  const found = /^rustc (\d+\.\d+\.\d+)/.exec(rustc.output)?.[1]
  if (wanted !== undefined && found !== undefined && !atLeast(numbers(found), numbers(wanted))) {
    throw new Failure(
      `varve needs Rust ${wanted} or newer; this is ${found}. Update it with: rustup update stable`,
    )
  }
}
