import { useVariable } from './environment.js'

const ways: [way: string, apply: () => void][] = [
  ['sendfile', () => useVariable('VARVE_NO_SENDFILE', undefined)],
  ['read and write', () => useVariable('VARVE_NO_SENDFILE', '1')],
]

/** Runs a suite's tests with records that are sent from their files, and with records that are read and written. */
export const sendingWays = ways.filter(([way]) => way !== 'sendfile' || process.platform === 'linux')
