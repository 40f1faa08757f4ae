import { VarveError } from '@varve/records'
import { formatAddress } from '../listener-address.js'
import type { EtcdEndpoint } from './etcd-url.js'

/**
 * `'not sent'`: etcd has not heard of the request. `'refused'`: it has, and has done nothing, nor will. `'unknown'`: whatever
 * was asked may have been done, or be done later.
 */
export type EtcdFailureKind = 'not sent' | 'refused' | 'unknown'

/** How etcd reports an error, by the numbers of gRPC. */
export interface EtcdStatus {
  readonly code: number
  readonly message: string
}

/** Codes of gRPC with which etcd answers what it has looked at and not done; with any other it may have been. */
const refusals = new Set([3, 5, 7, 8, 9, 11, 12, 16])

/** Errors of a member that cannot do anything for anybody at the moment, and has not tried to. */
const saysNoLeader = /etcdserver: (no leader|too many requests|rpc not supported for learner|not capable)/
const saysUnknownToken = /invalid auth token|user name is empty|revision of auth store is old/

/** Why one request at one endpoint came to nothing. */
export class EtcdFailure extends Error {
  readonly endpoint: EtcdEndpoint
  readonly kind: EtcdFailureKind
  /** The message without the endpoint. */
  readonly reason: string
  /** What etcd said; null where it was not etcd who said something. */
  readonly status: EtcdStatus | null

  constructor(
    endpoint: EtcdEndpoint,
    kind: EtcdFailureKind,
    reason: string,
    { cause, status = null }: { cause?: unknown; status?: EtcdStatus | null } = {},
  ) {
    super(`${formatAddress(endpoint.host, endpoint.port)}: ${reason}`, { cause })
    this.endpoint = endpoint
    this.kind = kind
    this.reason = reason
    this.status = status
  }

  static of(endpoint: EtcdEndpoint, status: EtcdStatus): EtcdFailure {
    const isRefusal = refusals.has(status.code) || saysNoLeader.test(status.message)
    return new EtcdFailure(endpoint, isRefusal ? 'refused' : 'unknown', status.message, { status })
  }

  /** Whether another endpoint may do what this one did not. */
  get isOfEndpoint(): boolean {
    return this.kind !== 'refused' || saysNoLeader.test(this.message)
  }

  /** Whether etcd does not know (any more) who asks. */
  get isOfToken(): boolean {
    return saysUnknownToken.test(this.message)
  }

  get isCompacted(): boolean {
    return this.message.includes('required revision has been compacted')
  }
}

/** What a refusal that is not about the endpoint means. */
export function refusalOf(failure: EtcdFailure): VarveError {
  const { message } = failure
  if (failure.isOfToken || /authentication failed|permission denied/.test(message)) {
    return new VarveError(
      'VARVE_METADATA_AUTH',
      `etcd refuses this user: ${message}; give the name and password of a user with a role that may read and write under the key prefix`,
      { cause: failure },
    )
  }
  if (/too large|too many operations|larger than max/.test(message)) {
    return new VarveError(
      'VARVE_METADATA_TXN_TOO_LARGE',
      `etcd takes no transaction of this size: ${message}; split it, or raise etcd's --max-request-bytes and --max-txn-ops`,
      { cause: failure },
    )
  }
  const remedy = message.includes('space exceeded')
    ? "compact and defragment etcd, raise its --quota-backend-bytes, and disarm its alarm ('etcdctl alarm disarm')"
    : 'see what etcd logs about it'
  return new VarveError('VARVE_METADATA_REFUSED', `etcd refuses a request: ${message}; ${remedy}`, {
    cause: failure,
  })
}

/** None of the endpoints has done what was asked. */
export function unavailable(failures: readonly EtcdFailure[]): VarveError {
  const reasons = [...new Set(failures.map(({ message }) => message.trim()))].join('; ')
  return new VarveError(
    'VARVE_METADATA_UNAVAILABLE',
    `etcd cannot be reached: ${reasons}. Check that it runs there, that most of its members can reach each other, and the ` +
      `endpoints, TLS and firewalls between here and there`,
    { cause: failures[0], retriable: true },
  )
}

/** It may have been done all the same. */
export function outcomeUnknown(failures: readonly EtcdFailure[]): VarveError {
  return new VarveError(
    'VARVE_METADATA_OUTCOME_UNKNOWN',
    `etcd has not said what became of a request: ${failures.map(({ message }) => message).join('; ')}. It may have been ` +
      `applied, or be later; read what is there before asking again`,
    { cause: failures[0] },
  )
}
