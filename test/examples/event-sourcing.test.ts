/**
 * Two who decide on the same state must not both be believed, a command's events must not come apart, and a snapshot may
 * save time but never change what is true: with it, without it, or with it behind the events, the states are the same.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as account from '../../examples/event-sourcing/account.mjs'
import { ConflictError, EventStore } from '../../examples/event-sourcing/event-store.mjs'
import { temporaryDirectory } from '../support/tree.js'

const IDS = ['ada', 'bob', 'eve']

async function withPayments(dir: string, snapshotEvery: number): Promise<void> {
  const store = await EventStore.open(dir, account, { snapshotEvery })
  await Promise.all(IDS.map((id) => store.execute(id, (state) => account.open(state, id))))
  await Promise.all(
    Array.from({ length: 30 }, (_, n) =>
      store.execute(IDS[n % IDS.length]!, (state) => account.deposit(state, n)),
    ),
  )
  await store.close()
}

const states = (store: { load(id: string): object }): object[] => IDS.map((id) => store.load(id))

test('of two who decided on the same version one is refused, and decides anew on what the other did', async () => {
  const store = await EventStore.open(temporaryDirectory(), account)
  await store.execute('ada', (state) => account.open(state, 'Ada'))
  const { version, state } = await store.execute('ada', (state) => account.deposit(state, 100))
  const both = await Promise.allSettled([
    store.append('ada', version, account.withdraw(state, 70)),
    store.append('ada', version, account.withdraw(state, 60)),
  ])
  expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
  expect((both[1] as PromiseRejectedResult).reason).toBeInstanceOf(ConflictError)
  await expect(store.append('ada', version, account.deposit(state, 1))).rejects.toBeInstanceOf(ConflictError)

  const tills = [30, 30, 30].map((amount) => store.execute('ada', (state) => account.withdraw(state, amount)))
  const results = await Promise.allSettled(tills)
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
  expect(store.load('ada').state.balance).toBe(0)
  await store.close()
})

test('the present is the same with a snapshot, without one, and with an old one', async () => {
  const found = []
  for (const snapshotEvery of [1, 7, 1000]) {
    const dir = temporaryDirectory()
    await withPayments(dir, snapshotEvery)
    const store = await EventStore.open(dir, account)
    found.push({ states: states(store), replayed: store.replayed })
    await store.close()
    if (snapshotEvery !== 7) continue
    rmSync(join(dir, 'snapshots'), { recursive: true })
    const without = await EventStore.open(dir, account)
    expect(states(without)).toEqual(found.at(-1)!.states)
    expect(without.replayed).toBe(33)
    await without.close()
  }
  expect(found.map(({ replayed }) => replayed)).toEqual([0, 5, 33])
  expect(found[1]!.states).toEqual(found[0]!.states)
  expect(found[2]!.states).toEqual(found[0]!.states)
})

test('the events of a command are one batch, and its history tells them in order', async () => {
  const store = await EventStore.open(temporaryDirectory(), account)
  await store.execute('ada', (state) => account.open(state, 'Ada'))
  await store.execute('ada', (state) => account.deposit(state, 5))
  await expect(store.execute('ada', (state) => account.withdraw(state, 6))).rejects.toThrow('balance is 5')
  const { version, state } = await store.execute('ada', account.close)
  expect({ version, state }).toEqual({ version: 4, state: { owner: 'Ada', balance: 0, isOpen: false } })
  const types = []
  for await (const event of store.history('ada')) types.push(event.type)
  expect(types).toEqual(['opened', 'deposited', 'withdrawn', 'closed'])
  expect(await store.append('ada', 4, [])).toEqual({ version, state })
  await store.close()
})

test('events that cannot be stored leave the aggregate as it was', async () => {
  const store = await EventStore.open(temporaryDirectory(), account)
  const events = account.open(account.initial, 'x'.repeat(2 << 20))
  await expect(store.append('ada', 0, events)).rejects.toThrow('maxBatchBytes')
  expect(store.load('ada').version).toBe(0)
  await store.execute('ada', (state) => account.open(state, 'Ada'))
  expect(store.load('ada').version).toBe(1)
  await store.close()
})
