import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { VarveError } from '@varve/records'

/** The directory of the metadata store that several brokers of one process share, in a directory for all of them. */
export const metadataDirectoryName = 'metadata'

/** Where a broker has its data in a directory for several. */
export function directoryOf(root: string, brokerId: number): string {
  return join(root, `broker-${brokerId}`)
}

/** Where several brokers of one process keep what they have. */
export interface DirectoriesOfSeveral {
  /** Of the metadata store that they share, where they have no other one. */
  readonly metadata: string
  /** Of each broker, by its id: one in each of the directories for all. */
  readonly brokers: ReadonlyMap<number, string[]>
}

/**
 * Finds the directories of several brokers of one process in those that are for all of them, and refuses what would leave out records that
 * are there. It makes no directory.
 *
 * @param roots the directories for all, each usually a disk of its own
 * @param brokerIds all brokers that are to be started
 * @throws VarveError
 * - `VARVE_FOREIGN_DIRECTORY`: one is the data directory of a single broker, or two have metadata.
 * - `VARVE_BROKERS_LEFT_OUT`: there is the data of a broker that is not to be started.
 * @example
 * ```ts
 * import { directoriesOfSeveral, openLocalMetadataStore } from '@varve/broker'
 *
 * const { metadata, brokers } = directoriesOfSeveral(['./data'], [1, 2])
 * const store = await openLocalMetadataStore(metadata)
 * console.log(brokers.get(2)) // [ '…/data/broker-2' ]
 * await store.close()
 * ```
 */
export function directoriesOfSeveral(
  roots: readonly string[],
  brokerIds: readonly number[],
): DirectoriesOfSeveral {
  const paths = roots.map((root) => resolve(root))
  for (const path of paths) {
    if (existsSync(join(path, 'meta.properties'))) {
      throw new VarveError(
        'VARVE_FOREIGN_DIRECTORY',
        `${path} is the data directory of a single broker, where several have directories of their own; start it alone, use another directory, or make it one of several with: varve cluster import --brokers`,
      )
    }
    const leftOut = brokersIn(path).filter((id) => !brokerIds.includes(id))
    if (leftOut.length > 0) {
      throw new VarveError(
        'VARVE_BROKERS_LEFT_OUT',
        `${leftOut.map((id) => directoryOf(path, id)).join(' and ')} would be left out, and every partition that is nowhere else be offline: ` +
          `the brokers to be started are ${brokerIds.join(', ')}; start as many as before, or drain those and move their directories away first`,
      )
    }
  }
  const homes = paths.filter((path) => existsSync(join(path, metadataDirectoryName)))
  if (homes.length > 1) {
    throw new VarveError(
      'VARVE_FOREIGN_DIRECTORY',
      `${homes.join(' and ')} each have a metadata store (${metadataDirectoryName}), so they are of two clusters; use one of them`,
    )
  }
  return {
    metadata: join(homes[0] ?? paths[0]!, metadataDirectoryName),
    brokers: new Map(brokerIds.map((id) => [id, paths.map((path) => directoryOf(path, id))])),
  }
}

/**
 * Refuses a directory in which several brokers have directories of their own: one broker would take these for partitions.
 *
 * @throws VarveError `VARVE_FOREIGN_DIRECTORY`
 */
export function refuseDirectoryOfSeveral(path: string): void {
  const names = brokersIn(path).map((id) => `broker-${id}`)
  if (names.length === 0) return
  throw new VarveError(
    'VARVE_FOREIGN_DIRECTORY',
    `${path} is that of several brokers, whose own directories are in it: ${names.join(', ')}; ` +
      'start all of them as they were started before, or use another directory',
  )
}

/** The ids of brokers whose directories lie in this one. A partition of a topic that is called broker has no `meta.properties`. */
function brokersIn(path: string): number[] {
  if (!existsSync(path)) return []
  return readdirSync(path)
    .flatMap((name) => /^broker-(0|[1-9]\d*)$/.exec(name)?.[1] ?? [])
    .filter((id) => existsSync(join(path, `broker-${id}`, 'meta.properties')))
    .map(Number)
    .sort((a, b) => a - b)
}
