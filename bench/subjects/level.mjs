import { ClassicLevel } from 'classic-level'

/** LevelDB orders keys by their bytes. */
function keyOf(index) {
  const key = Buffer.allocUnsafe(8)
  key.writeUInt32BE(0)
  key.writeUInt32BE(index, 4)
  return key
}

export async function open(dir, { durable }) {
  const db = new ClassicLevel(dir, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open()
  const [last] = await db.keys({ reverse: true, limit: 1 }).all()
  let next = last === undefined ? 0 : last.readUInt32BE(4) + 1
  const options = { sync: durable }
  return {
    /** One batch, so that one fdatasync covers all of it. */
    appendGroup: (values) =>
      values.length === 1
        ? db.put(keyOf(next++), values[0], options)
        : db.batch(
            values.map((value) => ({ type: 'put', key: keyOf(next++), value })),
            options,
          ),
    get: (index) => db.get(keyOf(index)),
    async replay(visit) {
      const iterator = db.values()
      for (let some = await iterator.nextv(1000); some.length > 0; some = await iterator.nextv(1000)) {
        for (const value of some) visit(value)
      }
      await iterator.close()
    },
    count: () => next,
    close: () => db.close(),
  }
}
