import { open as openEnvironment } from 'lmdb'

export async function open(dir, { durable }) {
  const db = openEnvironment({
    path: dir,
    keyEncoding: 'uint32',
    encoding: 'binary',
    noSync: !durable,
    // A put then settles when it is visible, and its `flushed` when an fdatasync covers it.
    separateFlushed: durable,
  })
  let next = 0
  for (const key of db.getKeys({ reverse: true, limit: 1 })) next = key + 1
  const put = (value) => db.put(next++, value)
  const settled = durable ? (promise) => promise.flushed : (promise) => promise
  return {
    append: (value) => settled(put(value)),
    appendGroup: (values) => {
      let last
      for (const value of values) last = put(value)
      return settled(last)
    },
    get: (index) => db.get(index),
    replay(visit) {
      for (const { value } of db.getRange()) visit(value)
    },
    count: () => next,
    close: () => db.close(),
  }
}
