/** Whether a store gives back what it acknowledged. */
import { Checksum } from './payload.mjs'

/** @throws Error when the first `count` values of `payload` are not what a newly opened store holds */
export async function assertReadBack(open, payload, count) {
  const store = await open()
  try {
    const read = new Checksum()
    await store.replay((value) => read.add(value))
    read.assertEquals(payload.checksum(count), 'reading back')
  } finally {
    await store.close()
  }
}

/** The cheap half of it, for what was measured. */
export async function assertCount(open, count) {
  const store = await open()
  try {
    const found = await store.count()
    if (found !== count) throw new Error(`${count} records were acknowledged and ${found} are there`)
  } finally {
    await store.close()
  }
}
