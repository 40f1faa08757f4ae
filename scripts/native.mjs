/** Builds the native addon and puts it in place in one rename, so that a process which has the old one loaded keeps it. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { Freshness, filesIn } from './freshness.mjs'
import { cache, root } from './paths.mjs'
import { Progress } from './progress.mjs'
import { checkRust } from './toolchain.mjs'

const home = join('packages', 'native')
const manifest = join('native', 'varve-node', 'Cargo.toml')
const isInput = (path) => /\.(rs|toml|lock)$/.test(path) && !/\/(tests|benches|fuzz|load)\//.test(path)

/** What napi names this machine's addon begins with; behind it come an ABI on some platforms and `.node`. */
const prefix = `varve.${process.platform}-${process.arch}`
const isAddon = (name) => name.startsWith(prefix) && name.endsWith('.node')

const built = () => readdirSync(join(root, home)).find(isAddon)

/** The path of the addon that was built here. */
export function builtAddon() {
  const name = built()
  if (name === undefined) throw new Failure('the native engine is not built yet. Run: npm run build')
  return join(root, home, name)
}

export function native() {
  return new Freshness('native', {
    files: filesIn(['native'], isInput),
    outputs: [join(home, built() ?? `${prefix}.node`)],
    salt: `${process.platform} ${process.arch} release`,
  })
}

/** Cargo's output without the crates that did compile, and without napi's own stack trace behind it. */
function errorsIn(output) {
  const lines = output.split('\n')
  const plain = lines.map((line) => stripVTControlCharacters(line))
  const end = plain.findIndex((line) => line.startsWith('Internal Error:'))
  const noise = /^\s*(?:Compiling|Downloading|Downloaded|Updating|Locking|Blocking) /
  return lines
    .slice(0, end === -1 ? undefined : end)
    .filter((_, index) => !noise.test(plain[index]))
    .join('\n')
    .concat('\n')
}

async function crates() {
  const { code, output } = await run(
    'cargo',
    ['tree', '--manifest-path', manifest, '--edges', 'normal,build', '--prefix', 'none'],
    {
      cwd: root,
      capture: true,
    },
  )
  if (code !== 0) return null
  return new Set(
    output
      .split('\n')
      .filter((line) => / v\d/.test(line))
      .map((line) => line.replace(' (*)', '')),
  ).size
}

export async function buildNative(state) {
  await checkRust()
  state.begin()
  const cold = !existsSync(join(root, 'native', 'target', 'release', 'deps'))
  const progress = new Progress(
    'Building the native engine (Rust, release)',
    cold ? 'the first time takes a minute or two' : 'usually 10 to 30 seconds',
  )
  const total = cold ? await crates() : null
  let compiling = 0
  const onLine = (coloured) => {
    const line = stripVTControlCharacters(coloured)
    const crate = /^\s*Compiling (\S+)/.exec(line)?.[1]
    if (crate !== undefined) {
      compiling++
      progress.detail =
        total === null ? `compiling ${crate}` : `crate ${Math.min(compiling, total)} of ${total}: ${crate}`
    } else if (/^\s*(Updating|Downloading|Downloaded)\b/.test(line)) progress.detail = 'downloading crates'
  }
  // Whoever builds holds the build lock, so what else is there is left from builds that were killed.
  for (const name of readdirSync(cache)) {
    if (name.startsWith('native-')) rmSync(join(cache, name), { recursive: true, force: true })
  }
  const out = join(cache, `native-${process.pid}`)
  mkdirSync(out, { recursive: true })
  const cleanUp = () => rmSync(out, { recursive: true, force: true })
  process.once('exit', cleanUp)
  try {
    const cli = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
    const { code, output } = await run(
      process.execPath,
      [
        cli,
        'build',
        '--platform',
        '--release',
        '--no-js',
        '--manifest-path',
        join(root, manifest),
        '--output-dir',
        out,
      ],
      {
        cwd: join(root, home),
        capture: true,
        onLine,
        env: {
          CARGO_TERM_COLOR: process.stderr.isTTY ? 'always' : 'never',
          CARGO_TERM_PROGRESS_WHEN: 'never',
        },
      },
    )
    const addon = readdirSync(out).find((name) => name.endsWith('.node'))
    if (code !== 0 || addon === undefined) {
      progress.fail()
      process.stderr.write(errorsIn(output))
      if (/linker .* not found/.test(output)) {
        throw new Failure(
          'Rust needs a C linker. Install one (Debian: apt-get install build-essential; macOS: xcode-select --install), and run this again',
        )
      }
      throw new Failure('the native engine did not build: the output of cargo is above')
    }
    renameSync(join(out, addon), join(root, home, addon.replace(/^[^.]+/, 'varve')))
    state.commit()
    progress.done()
  } finally {
    process.off('exit', cleanUp)
    cleanUp()
  }
}
