import { afterEach, beforeEach } from 'vitest'

/** Runs a suite's tests on sockets that read into the broker's own buffers, and on those that do not. */
export const receivingWays: [way: string, apply: () => void][] = [
  ['onread', () => use(undefined)],
  ["'data' events", () => use('1')],
]

function use(value: string | undefined): void {
  let before: string | undefined
  beforeEach(() => {
    before = process.env['VARVE_NO_ONREAD']
    set(value)
  })
  afterEach(() => set(before))
}

function set(value: string | undefined): void {
  if (value === undefined) delete process.env['VARVE_NO_ONREAD']
  else process.env['VARVE_NO_ONREAD'] = value
}
