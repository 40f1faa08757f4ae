import { createRequire } from 'node:module'
import { apiVersions, errors, type Api, type ApiVersionsResponse } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { KafkaError } from './kafka-error.js'

/** The versions of one API that a broker serves, both ends included. */
export interface ServedVersions {
  readonly min: number
  readonly max: number
}

/** Asks for ApiVersions in one version; what comes back may be the refusal, which is always in version 0. */
export type AskVersions = (version: number) => Promise<ApiVersionsResponse>

const FIRST_VERSION = 3

/** This package's version, which brokers show in their metrics beside the client's name. */
export const clientVersion = (createRequire(import.meta.url)('../package.json') as { version: string })
  .version

/**
 * Finds out what a broker serves. Version 3 is asked first, because it tells who asks and every Kafka since 2.4 has it;
 * an older broker refuses with error 35 and names the versions it knows, or says nothing, which means version 0.
 */
export async function negotiate(ask: AskVersions, where: string): Promise<Map<number, ServedVersions>> {
  let response = await ask(FIRST_VERSION)
  if (response.errorCode === errors.UNSUPPORTED_VERSION.code) {
    const served = response.apiKeys.find(({ apiKey }) => apiKey === apiVersions.key)
    response = await ask(Math.max(0, Math.min(served?.maxVersion ?? 0, FIRST_VERSION - 1)))
  }
  if (response.errorCode !== 0)
    throw new KafkaError(response.errorCode, `Asking ${where} for its API versions`)
  return new Map(
    response.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [
      apiKey,
      { min: minVersion, max: maxVersion },
    ]),
  )
}

/**
 * The newest version of `api` that both sides have, at most `limit`.
 *
 * @throws VarveError `VARVE_UNSUPPORTED_VERSION`
 */
export function chooseVersion(
  api: Api<unknown, unknown, never, never>,
  served: ServedVersions | undefined,
  limit: number,
  where: string,
): number {
  if (served === undefined) {
    throw new VarveError('VARVE_UNSUPPORTED_VERSION', `The broker at ${where} does not serve ${api.name}`)
  }
  const version = Math.min(api.maxVersion, served.max, limit)
  if (version >= Math.max(api.minVersion, served.min)) return version
  throw new VarveError(
    'VARVE_UNSUPPORTED_VERSION',
    `No common version of ${api.name}: the broker at ${where} serves ${served.min} to ${served.max}, ` +
      `this client has ${api.minVersion} to ${Math.min(api.maxVersion, limit)}`,
  )
}
