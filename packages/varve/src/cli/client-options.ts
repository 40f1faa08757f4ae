import { readFileSync } from 'node:fs'
import type { AdminOptions } from '@varve/client'
import { Failure } from './failure.js'

/** Which brokers a command talks to, and how: as the command line has it. */
export interface BrokerFlags {
  broker: string[]
  tls?: boolean
  /** Paths of PEM files. */
  ca?: string
  cert?: string
  key?: string
}

/** What all clients take of these flags. Naming a file of TLS means TLS. */
export function clientOptions(
  flags: BrokerFlags,
  clientId: string,
): Pick<AdminOptions, 'brokers' | 'clientId' | 'tls'> {
  const { broker: brokers, tls = false, ca, cert, key } = flags
  if ((cert === undefined) !== (key === undefined))
    throw new Failure('--cert and --key belong together; give both', { exitCode: 2 })
  if (ca === undefined && cert === undefined) return { brokers, clientId, tls }
  return {
    brokers,
    clientId,
    tls: {
      ...(ca !== undefined && { ca: read('--ca', ca) }),
      ...(cert !== undefined && key !== undefined && { cert: read('--cert', cert), key: read('--key', key) }),
    },
  }
}

function read(flag: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new Failure(`cannot read ${path}: ${(error as Error).message}. Check ${flag}`, { cause: error })
  }
}
