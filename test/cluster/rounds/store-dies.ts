import type { FaultKind } from '../machines/fault-plan.js'
import type { StoreProcess } from './processes.js'

/** The metadata store is killed, and comes back with what it has stored. */
export function storeDies(store: StoreProcess): FaultKind {
  return {
    name: 'store dies',
    part: 'process',
    targets: [store.machine.name],
    begin: async () => {
      await store.process.kill()
      return { what: 'is killed', heal: () => store.start() }
    },
  }
}
