import { afterEach, beforeEach } from 'vitest'

/** Sets a variable of the environment for each test of a suite. */
export function useVariable(name: string, value: string | undefined): void {
  let before: string | undefined
  beforeEach(() => {
    before = process.env[name]
    set(name, value)
  })
  afterEach(() => set(name, before))
}

function set(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}
