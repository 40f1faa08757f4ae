/**
 * "Cannot find module" is the most common report about native packages, and the least useful one. Whoever meets it must
 * learn which file was looked for and why it did not load.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { loadBinding, platformName, prebuiltPlatforms } from '../src/load.js'

const failing = (code: string): { load: (path: string) => never; tried: string[] } => {
  const tried: string[] = []
  const load = (path: string): never => {
    tried.push(path)
    throw Object.assign(new Error(`refused ${path}`), { code })
  }
  return { load, tried }
}

test('names the platform as napi-rs does', () => {
  expect(platformName()).toMatch(/^(linux-\w+-(gnu|musl)|darwin-\w+|win32-\w+-msvc)$/)
})

test.runIf(process.platform === 'linux')(
  'tells the C library by the loader that Node names, and asks Node where it names none',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'varve-load-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const nameOf = (interpreter: string): string => {
      const node = join(folder, 'node')
      writeFileSync(node, `\x7fELF…\0${interpreter}\0`)
      return platformName(node).split('-').at(-1)!
    }
    expect(nameOf('/lib/ld-musl-x86_64.so.1')).toBe('musl')
    expect(nameOf('/nix/store/1-glibc-2.42/lib/ld-linux-x86-64.so.2')).toBe('gnu')
    const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
    const reported = header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'
    expect(nameOf('')).toBe(reported)
    expect(platformName(join(folder, 'missing'))).toMatch(new RegExp(`-${reported}$`))
    // What the machine's own file says must be what Node says.
    expect(platformName()).toMatch(new RegExp(`-${reported}$`))
  },
)

test('looks beside itself and then for the platform’s package', () => {
  const { load, tried } = failing('MODULE_NOT_FOUND')
  expect(() => loadBinding(load)).toThrow(
    expect.objectContaining({
      code: 'VARVE_NATIVE_MISSING',
      retriable: false,
      message: expect.stringMatching(new RegExp(`${platformName()}.*npm run build`)),
      cause: expect.objectContaining({ code: 'MODULE_NOT_FOUND' }),
      [Symbol.for('varve.error')]: true,
    }),
  )
  expect(tried).toEqual([`../varve.${platformName()}.node`, `@varve/native-${platformName()}`])
})

test('a file that is there and does not load is the reason given', () => {
  const { load, tried } = failing('ERR_DLOPEN_FAILED')
  expect(() => loadBinding(load)).toThrow(
    expect.objectContaining({
      message: expect.stringContaining(`refused ../varve.${platformName()}.node`),
      cause: expect.objectContaining({ code: 'ERR_DLOPEN_FAILED' }),
    }),
  )
  expect(tried).toHaveLength(1)
})

test('says where there is no package to install, and what to do instead', () => {
  const { load } = failing('MODULE_NOT_FOUND')
  expect(prebuiltPlatforms).toContain('linux-x64-gnu')
  expect(() => loadBinding(load, 'linux-x64-gnu')).toThrow(/@varve\/native-linux-x64-gnu is not installed/)
  expect(() => loadBinding(load, 'freebsd-x64')).toThrow(
    /none to download .* only for linux-x64-gnu, .* Rust/,
  )
})
