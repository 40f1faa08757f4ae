import { randomFillSync } from 'node:crypto'

/** Kafka's "no id": sixteen zero bytes. */
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'

// 128 bits are 21 characters of six bits and one whose low four bits must be zero, or two texts would name one id.
const canonical = /^[A-Za-z0-9_-]{21}[AQgw]$/

/** Whether the text is an id as Kafka prints it: 22 characters of unpadded base64url. */
export function isUuid(text: unknown): text is string {
  return typeof text === 'string' && canonical.test(text)
}

/** The text of the sixteen bytes at `at`. The caller has checked that they are there. */
export function uuidFromBytes(bytes: Buffer, at = 0): string {
  return bytes.toString('base64url', at, at + 16)
}

/** The sixteen bytes of an id. Throws a TypeError where `isUuid` says no. */
export function uuidToBytes(uuid: string): Buffer {
  if (!isUuid(uuid)) throw new TypeError(`'${uuid}' is not a Kafka uuid: 22 characters of base64url`)
  return Buffer.from(uuid, 'base64url')
}

/**
 * A new random (version 4) id. As Kafka does, none that begins with a dash, because such an id reads as an option on a
 * command line; the ids that Kafka reserves (0 and 1) are not version 4 and so never come out.
 *
 * @param fill fills the array with random bytes; inject it to make ids deterministic.
 */
export function randomUuid(fill: (bytes: Uint8Array) => void = randomFillSync): string {
  const bytes = Buffer.alloc(16)
  for (;;) {
    fill(bytes)
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    const uuid = uuidFromBytes(bytes)
    if (!uuid.startsWith('-')) return uuid
  }
}
