/** Stores with known contents, for whoever measures reading or opening them. */
import { load } from '../subjects/index.mjs'
import { Payload } from './payload.mjs'
import { assertReadBack } from './read-back.mjs'

/** Records that go together where they are no batch. */
const TOGETHER = 100

/**
 * Appends `count` values of `bytes` bytes to the page cache: `group` of them in a batch, each in a batch `'alone'`, or one by
 * one, some of them `'in flight'` at once. Stores that know no batches get as many at a time as there are in flight.
 *
 * @returns what opens the store again; it is left open
 */
export async function append(subject, { bytes, count, group }, dir) {
  const { open } = await load(subject)
  const payload = new Payload(bytes)
  const reopen = () => open(dir, { durable: false, valueBytes: bytes })
  const store = await reopen()
  const together = typeof group === 'number' ? group : TOGETHER
  const ways = {
    alone: store.appendAlone ?? store.appendGroup,
    'in flight': store.append && ((values) => Promise.all(values.map((value) => store.append(value)))),
  }
  const appendSome = ways[group] ?? store.appendGroup
  for (let index = 0; index < count; index += together) {
    await appendSome(payload.values(index, Math.min(together, count - index)))
  }
  return { store, reopen, payload }
}

/** The same, closed, and looked at whether everything is in it. */
export async function fill(subject, data, dir) {
  const { store, reopen, payload } = await append(subject, data, dir)
  await store.close()
  await assertReadBack(reopen, payload, data.count)
}
