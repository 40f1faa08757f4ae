/** Stores with known contents, for whoever measures reading or opening them. */
import { load } from '../subjects/index.mjs'
import { Payload } from './payload.mjs'
import { assertReadBack } from './read-back.mjs'

/** Single records go together, so that each is a batch of its own and none is awaited alone. */
const TOGETHER = 100

/**
 * Appends `count` values of `bytes` bytes to the page cache, `group` of them in a batch.
 *
 * @returns what opens the store again; it is left open
 */
export async function append(subject, { bytes, count, group }, dir) {
  const { open } = await load(subject)
  const payload = new Payload(bytes)
  const reopen = () => open(dir, { durable: false, valueBytes: bytes })
  const store = await reopen()
  const together = group === 1 ? TOGETHER : group
  for (let index = 0; index < count; index += together) {
    const values = payload.values(index, Math.min(together, count - index))
    if (group > 1 || store.append === undefined) await store.appendGroup(values)
    else await Promise.all(values.map((value) => store.append(value)))
  }
  return { store, reopen, payload }
}

/** The same, closed, and looked at whether everything is in it. */
export async function fill(subject, data, dir) {
  const { store, reopen, payload } = await append(subject, data, dir)
  await store.close()
  await assertReadBack(reopen, payload, data.count)
}
