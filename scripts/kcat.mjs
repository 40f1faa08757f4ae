/** kcat, which brings the librdkafka of Debian. */
import { aptInstall, has } from './installing.mjs'

/** @type {import('./installing.mjs').Installable} */
export const kcat = {
  name: 'kcat',
  present: () => has('kcat', '-V'),
  install: () => aptInstall('kcat'),
}
