import { createRequire } from 'node:module'
import type { Binding } from './binding.js'

/** The part of the addon's name that says for which platform it was built, as napi-rs names them. */
export function platformName(): string {
  const { platform, arch } = process
  if (platform !== 'linux') return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined
  return `linux-${arch}-${report?.header?.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`
}

/**
 * Loads the addon: the one built in this package if there is one, else the platform's package.
 *
 * @throws Error with code `VARVE_NATIVE_MISSING` when neither is there.
 */
export function loadBinding(): Binding {
  const require = createRequire(import.meta.url)
  const name = platformName()
  const causes: unknown[] = []
  for (const path of [`../varve.${name}.node`, `@varve/native-${name}`]) {
    try {
      return require(path) as Binding
    } catch (error) {
      causes.push(error)
      // A file that is there and does not load says why; that is worth more than "missing".
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') break
    }
  }
  throw Object.assign(
    new Error(
      `the native engine for ${name} could not be loaded. In a clone run "npm run build"; ` +
        'from npm, install again without --omit=optional',
      { cause: causes.at(-1) },
    ),
    { code: 'VARVE_NATIVE_MISSING' },
  )
}
