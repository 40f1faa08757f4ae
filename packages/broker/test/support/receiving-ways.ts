import { useVariable } from './environment.js'

/** Runs a suite's tests on sockets that read into the broker's own buffers, and on those that do not. */
export const receivingWays: [way: string, apply: () => void][] = [
  ['onread', () => useVariable('VARVE_NO_ONREAD', undefined)],
  ["'data' events", () => useVariable('VARVE_NO_ONREAD', '1')],
]
