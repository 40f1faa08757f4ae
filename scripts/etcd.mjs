/** etcd, as Debian has it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from './failure.mjs'
import { aptDownload, has, must } from './installing.mjs'
import { cache } from './paths.mjs'

const folder = join(cache, 'etcd')

/** Taken from the package, which is not installed: that would start an etcd that serves this machine. */
const unpacked = join(folder, 'usr', 'bin', 'etcd')

/** The etcd to run: the one that was unpacked here, else the machine's. */
export const etcdCommand = () => (existsSync(unpacked) ? unpacked : 'etcd')

/** @type {import('./installing.mjs').Installable} */
export const etcd = {
  name: 'etcd (keeps what the brokers of a cluster agree on)',
  present: async () => (await has(unpacked, '--version')) || (await has('etcd', '--version')),
  async install() {
    mkdirSync(cache, { recursive: true })
    const temporary = mkdtempSync(join(cache, 'etcd-'))
    try {
      await aptDownload(temporary, 'etcd-server').catch((error) => {
        if (!(error instanceof Failure)) throw error
        throw new Failure(`${error.message}; an etcd of version 3.4 or later in the PATH does as well`)
      })
      const [archive] = readdirSync(temporary)
      await must('dpkg-deb', 'dpkg-deb', ['-x', join(temporary, archive), join(temporary, 'unpacked')])
      rmSync(folder, { recursive: true, force: true })
      renameSync(join(temporary, 'unpacked'), folder)
    } finally {
      rmSync(temporary, { recursive: true, force: true })
    }
  },
}
