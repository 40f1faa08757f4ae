import { type AnyApi, type Fields, includes, versionRange } from '@varve/protocol'

type Message = Readonly<Record<string, unknown>>
type Walk = (message: Message, found: (errorCode: number) => void) => void

const walks = new Map<number, Walk>()

/**
 * Calls `found` for each error code of a response, NONE included, as Kafka counts them. It looks where the API has error
 * codes, and nowhere else.
 */
export function eachErrorCode(
  api: AnyApi,
  version: number,
  response: object,
  found: (errorCode: number) => void,
): void {
  const key = api.key * 1000 + version
  let walk = walks.get(key)
  if (walk === undefined) walks.set(key, (walk = walkOf(api.response.fields, version) ?? (() => {})))
  walk(response as Message, found)
}

/** Null where there is no error code at all. */
function walkOf(fields: Fields, version: number): Walk | null {
  const inner: [name: string, walk: Walk][] = []
  let hasCode = false
  for (const [name, field] of Object.entries(fields)) {
    if (!includes(versionRange(field.versions), version)) continue
    if (name === 'errorCode') hasCode = true
    const walk = field.fields === undefined ? null : walkOf(field.fields, version)
    if (walk !== null) inner.push([name, walk])
  }
  if (!hasCode && inner.length === 0) return null
  return (message, found) => {
    // What has a default may be left out of a response.
    if (hasCode) found((message['errorCode'] as number | undefined) ?? 0)
    for (const [name, walk] of inner) {
      const value = message[name] as Message | readonly Message[] | null | undefined
      if (value === null || value === undefined) continue
      if (Array.isArray(value)) for (const element of value as readonly Message[]) walk(element, found)
      else walk(value as Message, found)
    }
  }
}
