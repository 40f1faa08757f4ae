import { hostname } from 'node:os'
import { directoriesOfSeveral, openFilesLimit } from '@varve/broker'
import { Failure } from './failure.js'
import type { ServeOptions } from './serve-options.js'

export interface SeveralOptions extends ServeOptions {
  brokers: number
}

/** What each of several brokers is told of what is told to all of them. */
export interface EachBroker {
  readonly brokers: readonly (ServeOptions & { readonly nodeId: number })[]
  /** Where the metadata store that they share is, where they are not told of another one. */
  readonly metadata: string
}

/**
 * Parts options among brokers of one process: ids and ports follow each other, each has directories of its own, and all of them
 * have one rack, as they fail together.
 *
 * @throws Failure for wrong usage; VarveError as `directoriesOfSeveral`
 */
export function eachBroker(options: SeveralOptions): EachBroker {
  const { brokers: count, cluster, nodeId } = options
  if (cluster !== undefined && nodeId === undefined)
    throw wrong(
      'brokers of a cluster need ids that no other ones have. Give the first of them with --broker-id',
    )
  const first = nodeId ?? 1
  const ids = Array.from({ length: count }, (_, place) => first + place)
  const { metadata, brokers: directories } = directoriesOfSeveral(options.data, ids)
  const brokers = ids.map((id, place) => ({
    ...options,
    ...optionsAt(place, options),
    nodeId: id,
    data: directories.get(id)!,
    rack: options.rack ?? hostname(),
    // Nobody else has copies.
    ...(cluster === undefined && { durability: options.durability ?? 'fsync' }),
    maxConnections: options.maxConnections ?? connectionsOfEach(count),
  }))
  refuseSharedPorts(brokers)
  return { metadata, brokers }
}

/** Where the broker at a place listens. */
function optionsAt(place: number, options: ServeOptions): Partial<ServeOptions> & { port: number } {
  const { port, listeners, advertisedListeners, adminPort } = options
  const moved = (list: string): string =>
    list.replaceAll(/:(\d+)(?=\s*(?:,|$))/g, (_, text: string) => `:${portAt(place, Number(text))}`)
  return {
    port: portAt(place, port),
    ...(listeners !== undefined && { listeners: moved(listeners) }),
    ...(advertisedListeners !== undefined && { advertisedListeners: moved(advertisedListeners) }),
    ...(adminPort !== undefined && { adminPort: portAt(place, adminPort) }),
  }
}

/** 0, which lets the system choose, does so for all of them. */
function portAt(place: number, port: number): number {
  if (port === 0) return 0
  if (port + place > 65_535)
    throw wrong(`there are no ports for all brokers from ${port} on. Begin with a lower one`)
  return port + place
}

/** The half of the process's files that are for connections, shared. */
function connectionsOfEach(count: number): number {
  return Math.min(Math.max(1, Math.floor(openFilesLimit() / 2 / count)), 2_147_483_647)
}

function refuseSharedPorts(brokers: readonly ServeOptions[]): void {
  const taken = new Set<string>()
  for (const { host, port, listeners, adminHost, adminPort } of brokers) {
    const served = listeners?.split(',').map((one) => one.trim().replace(/^.*:\/\//, '')) ?? [
      `${host}:${port}`,
    ]
    const own = adminPort === undefined ? served : [...served, `${adminHost}:${adminPort}`]
    for (const at of own) {
      if (at.endsWith(':0')) continue
      if (taken.has(at))
        throw wrong(
          `${at} would be needed twice: the ports of brokers follow each other. Give ports that are ${brokers.length} apart`,
        )
      taken.add(at)
    }
  }
}

function wrong(message: string): Failure {
  return new Failure(message, { exitCode: 2 })
}
