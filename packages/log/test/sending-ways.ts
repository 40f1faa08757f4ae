import { afterEach, beforeEach } from 'vitest'

const ways: [way: string, apply: () => void][] = [
  ['sendfile', () => use(undefined)],
  ['read and write', () => use('1')],
]

/** Runs a suite's tests on sockets that get files from the kernel, and on those that are written to. */
export const sendingWays = ways.filter(([way]) => way !== 'sendfile' || process.platform === 'linux')

function use(value: string | undefined): void {
  let before: string | undefined
  beforeEach(() => {
    before = process.env['VARVE_NO_SENDFILE']
    set(value)
  })
  afterEach(() => set(before))
}

function set(value: string | undefined): void {
  if (value === undefined) delete process.env['VARVE_NO_SENDFILE']
  else process.env['VARVE_NO_SENDFILE'] = value
}
