import { closeSync, openSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Binding } from './binding.js'

/** For these the addon comes as a package, `@varve/native-<platform>`; .github/workflows/release.yml builds them. */
export const prebuiltPlatforms: readonly string[] = [
  'linux-x64-gnu',
  'linux-x64-musl',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64-msvc',
]

/**
 * The part of the addon's name that says for which platform it was built, as napi-rs names them.
 *
 * @param node the file that runs; tests give others
 */
export function platformName(node: string = process.execPath): string {
  const { platform, arch } = process
  if (platform !== 'linux') return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`
  return `linux-${arch}-${usesGlibc(node) ? 'gnu' : 'musl'}`
}

/** Which C library Node is linked to: its own file names the loader of that library. */
function usesGlibc(node: string): boolean {
  const start = startOf(node)
  if (start.includes('/ld-musl-')) return false
  return start.includes('/ld-linux') || reportsGlibc()
}

/** The loader's name stands right behind the first headers. */
const ELF_START_BYTES = 4096

function startOf(path: string): Buffer {
  const start = Buffer.alloc(ELF_START_BYTES)
  try {
    const fd = openSync(path, 'r')
    try {
      return start.subarray(0, readSync(fd, start))
    } finally {
      closeSync(fd)
    }
  } catch {
    // A file that may be run need not be one that may be read.
    return Buffer.alloc(0)
  }
}

/** Asks Node, which takes it as long as loading the engine does. */
function reportsGlibc(): boolean {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean }
  // Listing the network's interfaces and sockets, with their names, can take seconds.
  const { excludeNetwork } = report
  report.excludeNetwork = true
  try {
    const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } }
    return header?.glibcVersionRuntime !== undefined
  } finally {
    if (excludeNetwork !== undefined) report.excludeNetwork = excludeNetwork
  }
}

/**
 * Loads the addon: the one built in this package if there is one, else the platform's package.
 *
 * @param load what `require` does; tests give another one, and another platform
 * @throws Error with code `VARVE_NATIVE_MISSING` when neither is there or loads; `cause` says why. `VarveError.is` of
 * `@varve/records` is true for it.
 */
export function loadBinding(
  load: (path: string) => unknown = createRequire(import.meta.url),
  name: string = platformName(),
): Binding {
  const causes: unknown[] = []
  for (const path of [`../varve.${name}.node`, `@varve/native-${name}`]) {
    try {
      return load(path) as Binding
    } catch (error) {
      causes.push(error)
      // A file that is there and does not load says why; that is worth more than "missing".
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') break
    }
  }
  const message = `the native engine for ${name} could not be loaded. ${remedy(name, causes.at(-1))}`
  throw Object.assign(new Error(message, { cause: causes.at(-1) }), {
    code: 'VARVE_NATIVE_MISSING',
    retriable: false,
    [Symbol.for('varve.error')]: true,
  })
}

function remedy(name: string, cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code !== 'MODULE_NOT_FOUND') return `It is there, and the system refuses it: ${message}`
  if (!prebuiltPlatforms.includes(name)) {
    return (
      `There is none to download for this platform, only for ${prebuiltPlatforms.join(', ')}. ` +
      'In a clone of the repository, with Rust installed, "npm run build" builds it'
    )
  }
  return (
    `Its package @varve/native-${name} is not installed: remove node_modules and package-lock.json, which may come from ` +
    'another platform, and install again without --omit=optional. In a clone of the repository run "npm run build"'
  )
}
