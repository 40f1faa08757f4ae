import {
  apis,
  type Chunk,
  consumerAssignment,
  consumerSubscription,
  groupMetadataKey,
  groupMetadataValue,
  legacyOffsetCommitKey,
  type Message,
  offsetCommitKey,
  offsetCommitValue,
  type RecordKey,
  requestHeader,
  responseHeader,
  transactionLogKey,
  transactionLogValue,
  type VersionedMessage,
} from '../src/index.js'

/** Something that is declared, as it appears on the wire or in a record: with the prefix that it has there. */
export interface Declared {
  readonly name: string
  readonly message: Message<unknown>
  /** The API's key, or the type of the records with this key. */
  readonly key: number | undefined
  /** Whether two bytes in front say the version or the type. */
  readonly prefixed: boolean
  readonly versions: readonly number[]
  encode(value: unknown, version: number): Buffer
  decode(bytes: Buffer, version: number): unknown
}

function plain(message: Message<unknown>, key?: number): Declared {
  return {
    ...described(message),
    key,
    prefixed: false,
    encode: (value, version) => Buffer.concat(message.encode(value, version) as Buffer[] & Chunk[]),
    decode: (bytes, version) => message.decode(bytes, 0, version),
  }
}

function prefixed({ message, encode, decode, ...rest }: Prefixed): Declared {
  return {
    ...described(message),
    key: rest.type,
    prefixed: true,
    encode,
    decode: (bytes) => decode(bytes),
  }
}

type Prefixed = VersionedMessage<unknown> & Partial<Pick<RecordKey<unknown>, 'type'>>

const described = (message: Message<unknown>) => ({
  name: message.name,
  message,
  versions: Array.from(
    { length: message.versions.max - message.versions.min + 1 },
    (_, i) => message.versions.min + i,
  ),
})

/** Everything that this package declares. */
export const everyMessage: readonly Declared[] = [
  ...[...apis.values()].flatMap(({ key, request, response }) => [plain(request, key), plain(response, key)]),
  plain(requestHeader),
  plain(responseHeader),
  ...[
    consumerSubscription,
    consumerAssignment,
    legacyOffsetCommitKey,
    offsetCommitKey,
    offsetCommitValue,
    groupMetadataKey,
    groupMetadataValue,
    transactionLogKey,
    transactionLogValue,
  ].map((one) => prefixed(one as Prefixed)),
]

/** The same, each version by itself. */
export const everyVersion = everyMessage.flatMap((declared) =>
  declared.versions.map((version) => ({ name: declared.name, version, declared })),
)
