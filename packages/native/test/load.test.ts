/**
 * "Cannot find module" is the most common report about native packages, and the least useful one. Whoever meets it must
 * learn which file was looked for and why it did not load.
 */
import { expect, test } from 'vitest'
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
