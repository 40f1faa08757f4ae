import { randomUUID } from 'node:crypto'

/** A random UUID as Kafka writes its ids: base64url without padding, and no dash in front that a shell would trip over. */
export function randomId(): string {
  for (;;) {
    const id = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
    if (!id.startsWith('-')) return id
  }
}
