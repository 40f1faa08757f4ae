/** Fills a store, changes it, opens it again, and shows that a checkpoint makes the log short. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Store } from './store.mjs'

const dir = await mkdtemp(join(tmpdir(), 'write-ahead-log-'))
let store = await Store.open(dir)
await Promise.all(Array.from({ length: 1000 }, (_, n) => store.set(`user/${n}`, { visits: n })))
await store.write([
  ['user/1', { visits: 100 }],
  ['user/2', undefined],
])
await store.close()

store = await Store.open(dir)
console.log(`${store.size} values from ${store.recovered} changes in the log`)
console.log(store.get('user/1'), store.get('user/2'))
await store.checkpoint()
await store.set('user/1', { visits: 101 })
await store.close()

store = await Store.open(dir)
console.log(`${store.size} values, ${store.recovered} of the changes in the log`, store.get('user/1'))
await store.close()
await rm(dir, { recursive: true })
