/** Opens an account, pays from two tills at once, and opens the store again. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as account from './account.mjs'
import { EventStore } from './event-store.mjs'

const dir = await mkdtemp(join(tmpdir(), 'event-sourcing-'))
let store = await EventStore.open(dir, account, { snapshotEvery: 3 })

await store.execute('ada', (state) => account.open(state, 'Ada'))
await store.execute('ada', (state) => account.deposit(state, 100))

// Two tills look at the same balance of 100. The second one to pay out is told, not believed.
const { version, state } = store.load('ada')
const tills = await Promise.allSettled([
  store.append('ada', version, account.withdraw(state, 70)),
  store.append('ada', version, account.withdraw(state, 60)),
])
for (const till of tills) console.log(till.status === 'fulfilled' ? till.value : till.reason.message)

// `execute` decides anew on what has become of the account, and this time the rules refuse it.
await store
  .execute('ada', (state) => account.withdraw(state, 60))
  .catch((error) => console.log(error.message))
await store.execute('ada', account.close)
await store.close()

store = await EventStore.open(dir, account)
console.log(`opened again with ${store.replayed} events to replay`, store.load('ada').state)
for await (const event of store.history('ada')) console.log(event)
await store.close()
await rm(dir, { recursive: true })
