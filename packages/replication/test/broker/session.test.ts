// Two brokers with one id, a broker in two lives at once, or one that forgets that its disk has lost records: each of them would
// make the cluster count on records that are not there.

import { expect, test } from 'vitest'
import { encodePartitionState, type BrokerSession, type MetadataOutcome } from '../../src/index.js'
import { change, concerns, key, Process, registration, running, transactions } from './process.js'
import { StoreDouble } from './store-double.js'

test('a broker registers on a lease, is fenced until the controller has noted it, and then runs', () => {
  const store = new StoreDouble()
  const process = new Process(store)
  expect(process.session.state).toBe('starting')
  expect(process.session.brokerEpoch).toBe(-1)
  expect(process.wants()).toEqual([{ kind: 'grant lease', ttlSeconds: 9 }])
  process.do({ kind: 'grant lease', ttlSeconds: 9 })
  expect(process.session.nextTick).toBe(3000)
  const outputs = process.wants()
  expect(outputs).toHaveLength(1)
  const [put] = transactions(outputs)
  expect(put!.transaction.compares).toEqual([{ key, revision: 0 }])
  process.do(put!)
  process.watch()
  expect(process.session.state).toBe('fenced')
  expect(registration(store)).toMatchObject({
    brokerEpoch: 2,
    fenced: true,
    shuttingDown: false,
    mayHaveLostRecords: false,
    lease: 'lease 1',
    incarnationId: 'first',
  })
  process.run()
  expect(process.session.hasBeenUnfenced).toBe(false)
  change(store, { fenced: false })
  process.watch()
  expect(process.session.state).toBe('running')
  expect(process.session.hasBeenUnfenced).toBe(true)
  expect(process.session.brokerEpoch).toBe(2)
  expect(process.run().wants()).toEqual([])
})

test('a store that nothing was ever put in is one to register in', () => {
  const store = new StoreDouble()
  store.revision = 0
  expect(running(store).session.state).toBe('running')
})

test('a lease is kept alive three times in its life, whether or not that is answered', () => {
  const process = running(new StoreDouble(), { leaseTtlSeconds: 6 })
  expect(process.session.nextTick).toBe(2000)
  process.pass(1999)
  expect(process.wants()).toEqual([])
  process.pass(1)
  expect(process.wants()).toEqual([{ kind: 'keep alive', lease: 'lease 1' }])
  process.pass(1999)
  expect(process.wants()).toEqual([])
  process.pass(1)
  expect(process.wants()).toEqual([{ kind: 'keep alive', lease: 'lease 1' }])
  expect(process.session.nextTick).toBe(6000)
})

test.each<[string, (session: BrokerSession, now: number) => void]>([
  ['a change of the image', (session, now) => session.imageChanged(now)],
  ['a lease that is not granted', (session, now) => session.leaseNotGranted(now)],
  ['the loss of another lease', (session, now) => session.leaseLost('another', now)],
  ['logs that have failed', (session, now) => session.setOfflineReplicas(['topic:3'], now)],
  ['a shutdown', (session, now) => session.shutDown(30_000, now)],
])('whatever happens first once a lease is to be kept alive, it is: %s', (_, happen) => {
  const process = running(new StoreDouble())
  happen(process.session, 3000)
  expect(process.wants()).toContainEqual({ kind: 'keep alive', lease: 'lease 1' })
})

test('so it is when a transaction ends, and from when the lease was granted', () => {
  const process = new Process(new StoreDouble())
  process.wants()
  process.session.leaseGranted('late', 500)
  expect(process.session.nextTick).toBe(3500)
  const [put] = transactions(process.wants())
  process.session.settled(put!.id, { kind: 'unknown' }, 3500)
  expect(process.wants()).toEqual([{ kind: 'keep alive', lease: 'late' }])
  expect(process.session.nextTick).toBe(3600)
})

test('what changes nothing does not stand in for the tick that is due', () => {
  const process = new Process(new StoreDouble())
  process.wants()
  process.session.leaseGranted('a', 0)
  const [put] = transactions(process.wants())
  process.session.settled(put!.id, { kind: 'succeeded', revision: 2 }, 0)
  process.session.leaseGranted('a', 3000)
  process.session.leaseGranted('b', 3000)
  process.session.settled(put!.id, { kind: 'failed' }, 3000)
  expect(process.wants()).toEqual([{ kind: 'revoke lease', lease: 'b' }])
  expect(process.session.nextTick).toBe(3000)
  process.session.tick(3000)
  expect(process.wants()).toEqual([{ kind: 'keep alive', lease: 'a' }])
})

test('a clock that goes back keeps no lease from being kept alive', () => {
  const process = running(new StoreDouble(), { leaseTtlSeconds: 6 })
  process.pass(-1_000_000)
  expect(process.session.nextTick).toBe(-998_000)
  process.pass(2000)
  expect(process.wants()).toEqual([{ kind: 'keep alive', lease: 'lease 1' }])
})

test('a lease that was not granted is asked for again after a while', () => {
  const process = new Process(new StoreDouble(), { retryBackoffMs: 50 })
  process.wants()
  process.session.leaseNotGranted(0)
  expect(process.wants()).toEqual([])
  process.pass(49)
  expect(process.wants()).toEqual([])
  process.pass(1)
  expect(process.wants()).toEqual([{ kind: 'grant lease', ttlSeconds: 9 }])
  process.pass(1000)
  expect(process.wants()).toEqual([])
})

test('a lease too many is given back', () => {
  const process = new Process(new StoreDouble())
  process.wants()
  process.session.leaseGranted('a', 0)
  process.wants()
  process.session.leaseGranted('a', 0)
  expect(process.wants()).toEqual([])
  process.session.leaseGranted('b', 0)
  expect(process.wants()).toEqual([{ kind: 'revoke lease', lease: 'b' }])
  expect(process.session.lease).toBe('a')
})

test('a former life is taken over at once, whatever its lease', () => {
  const store = new StoreDouble()
  const former = running(store)
  const next = new Process(store, { incarnationId: 'second' }).run()
  expect(registration(store)).toMatchObject({ incarnationId: 'second', fenced: true, lease: 'lease 2' })
  expect(registration(store).brokerEpoch).toBe(registration(store).revision)
  expect(next.session.state).toBe('fenced')
  // And is over, should it have been paused only.
  former.watch()
  expect(former.session.state).toBe('stopped')
  expect(former.session.refusal).toBe('DUPLICATE_BROKER_REGISTRATION')
  expect(former.wants()).toEqual([{ kind: 'revoke lease', lease: 'lease 1' }])
  expect(registration(store).incarnationId).toBe('second')
  expect(former.pass(100_000).wants()).toEqual([])
})

test('who is taken over before the image has shown its own registration does not take it back', () => {
  const store = new StoreDouble()
  const former = new Process(store)
  former.do(former.wants()[0]!)
  former.do(transactions(former.wants())[0]!)
  new Process(store, { incarnationId: 'second' }).run()
  former.image.reset(store.entries.values(), store.revision)
  former.session.imageChanged(0)
  expect(former.session.state).toBe('stopped')
  expect(registration(store).incarnationId).toBe('second')
})

test('who is taken over after the image alone has told it that it was registered does not take it back', () => {
  const store = new StoreDouble()
  const former = new Process(store)
  former.do(former.wants()[0]!)
  const [put] = transactions(former.wants())
  store.transaction(put!.transaction)
  former.watch()
  former.session.settled(put!.id, { kind: 'unknown' }, 0)
  new Process(store, { incarnationId: 'second' }).run()
  former.watch()
  former.pass(100)
  expect(former.session.state).toBe('stopped')
  expect(registration(store).incarnationId).toBe('second')
})

test('a foreign broker with the same id is left alone until it vanishes', () => {
  const store = new StoreDouble()
  running(store, { directoryId: 'another disk', incarnationId: 'foreign' })
  const process = new Process(store).run()
  expect(process.session.refusal).toBe('DUPLICATE_BROKER_REGISTRATION')
  expect(process.session.state).toBe('starting')
  process.pass(100_000).run()
  expect(registration(store).directoryId).toBe('another disk')
  expect(store.entries.get('/controller')?.lease).toBe('lease 1')
  store.revoke('lease 1')
  process.watch()
  process.run()
  expect(process.session.refusal).toBeNull()
  expect(process.session.state).toBe('fenced')
  expect(registration(store).directoryId).toBe('disk')
})

test('after its lease is lost it registers anew, with another epoch, and has lost nothing', () => {
  const store = new StoreDouble()
  const process = running(store, { mayHaveLostRecords: true })
  const { brokerEpoch } = process.session
  expect(registration(store).mayHaveLostRecords).toBe(true)
  store.revoke('lease 1')
  process.pass(3000).run()
  expect(registration(store)).toMatchObject({ lease: 'lease 2', mayHaveLostRecords: false, fenced: true })
  expect(process.session.brokerEpoch).toBeGreaterThan(brokerEpoch)
  expect(process.session.state).toBe('fenced')
})

test('what it may have lost stays said until the controller has noted it', () => {
  const store = new StoreDouble()
  const process = new Process(store, { mayHaveLostRecords: true }).run()
  store.revoke('lease 1')
  process.pass(3000).run()
  expect(registration(store)).toMatchObject({ lease: 'lease 2', mayHaveLostRecords: true })
})

test('what a former life may have lost is inherited, unless it was noted', () => {
  for (const fenced of [true, false]) {
    for (const hadLost of [true, false]) {
      const store = new StoreDouble()
      new Process(store, { mayHaveLostRecords: hadLost }).run()
      change(store, { fenced })
      const next = new Process(store, { incarnationId: 'second' }).run()
      const mayHaveLostRecords = fenced && hadLost
      expect(registration(store)).toMatchObject({ incarnationId: 'second', mayHaveLostRecords })
      // The new life's lease goes as well.
      store.revoke('lease 2')
      next.pass(3000).run()
      expect(registration(store)).toMatchObject({ lease: 'lease 3', mayHaveLostRecords })
    }
  }
})

test('a registration that vanishes means a lease that is gone', () => {
  const store = new StoreDouble()
  const process = running(store)
  store.transaction({ deletes: [key] })
  process.watch()
  expect(process.session.state).toBe('starting')
  expect(process.wants()).toEqual([{ kind: 'grant lease', ttlSeconds: 9 }])
})

test('a lost lease is replaced before the image shows that the registration is gone', () => {
  const store = new StoreDouble()
  const process = running(store)
  process.session.leaseLost('lease 1', process.now)
  process.run()
  expect(registration(store)).toMatchObject({ lease: 'lease 2', incarnationId: 'first' })
  process.session.leaseLost('lease 1', process.now)
  expect(process.session.lease).toBe('lease 2')
})

test('while a put is under way, or the image behind it, nothing is put twice', () => {
  const store = new StoreDouble()
  const process = new Process(store)
  process.do(process.wants()[0]!)
  const [put] = transactions(process.wants())
  process.pass(1000)
  expect(transactions(process.wants())).toEqual([])
  process.do(put!)
  expect(store.entries.has(key)).toBe(true)
  process.pass(1000)
  expect(transactions(process.wants())).toEqual([])
  process.watch()
  expect(process.session.state).toBe('fenced')
})

test.each([true, false])('an unknown outcome is tried again, had it been applied (%s) or not', (applied) => {
  const store = new StoreDouble()
  const process = new Process(store)
  process.do(process.wants()[0]!)
  const [put] = transactions(process.wants())
  if (applied) store.transaction(put!.transaction)
  process.session.settled(put!.id, { kind: 'unknown' }, 0)
  expect(process.wants()).toEqual([])
  process.pass(99)
  expect(process.wants()).toEqual([])
  process.pass(1)
  const [again] = transactions(process.wants())
  expect(again!.transaction).toEqual(put!.transaction)
  expect(again!.id).not.toBe(put!.id)
  process.do(again!)
  process.watch()
  process.pass(100).run()
  expect(process.session.state).toBe('fenced')
  const { brokerEpoch } = process.session
  process.pass(1000).run()
  expect(process.session.brokerEpoch).toBe(brokerEpoch)
  expect(registration(store).brokerEpoch).toBe(brokerEpoch)
})

test('a second outcome of one transaction changes nothing', () => {
  const store = new StoreDouble()
  const process = new Process(store)
  process.do(process.wants()[0]!)
  const [put] = transactions(process.wants())
  const late: MetadataOutcome = store.transaction(put!.transaction)
  process.session.settled(put!.id, late, 0)
  process.session.settled(put!.id, { kind: 'failed' }, 0)
  process.watch()
  expect(concerns(process.wants(), '/controller')).toHaveLength(1)
})

test('the first to find no controller is it, and another one when it vanishes', () => {
  const store = new StoreDouble()
  const one = running(store)
  const two = running(store, { brokerId: 2, incarnationId: 'two', directoryId: 'disk 2' })
  const { revision } = store.entries.get('/controller')!
  expect([one.session.controllerRevision, two.session.controllerRevision]).toEqual([revision, null])
  store.revoke('lease 1')
  two.watch()
  two.run()
  expect(store.entries.get('/controller')!.lease).toBe('lease 2')
  expect(two.session.controllerRevision).toBe(store.entries.get('/controller')!.revision)
  // Who was it notices.
  one.watch()
  expect(one.session.controllerRevision).toBeNull()
})

test('who was controller in a former life does not wait for that lease to expire', () => {
  const store = new StoreDouble()
  running(store)
  const { revision } = store.entries.get('/controller')!
  const next = new Process(store, { incarnationId: 'second' })
  expect(next.session.controllerRevision).toBeNull()
  next.run()
  expect(store.entries.get('/controller')).toMatchObject({ lease: 'lease 2' })
  expect(next.session.controllerRevision).toBeGreaterThan(revision)
})

test('nobody stands for controller without a registration', () => {
  const store = new StoreDouble()
  const process = new Process(store)
  process.do(process.wants()[0]!)
  expect(concerns(process.wants(), '/controller')).toEqual([])
})

test('nobody is the controller where there is none', () => {
  expect(new Process(new StoreDouble()).session.controllerRevision).toBeNull()
})

test('a controller that has lost its lease is none any more', () => {
  const store = new StoreDouble()
  const process = running(store)
  process.session.leaseLost('lease 1', 0)
  expect(process.session.controllerRevision).toBeNull()
})

test('an attempt that failed waits, and sees then who it is', () => {
  const store = new StoreDouble()
  const process = new Process(store)
  process.do(process.wants()[0]!)
  process.do(transactions(process.wants())[0]!)
  process.watch()
  const [put] = concerns(process.wants(), '/controller')
  process.session.settled(put!.id, { kind: 'failed' }, 0)
  process.watch()
  expect(process.wants()).toEqual([])
  process.pass(100)
  expect(concerns(process.wants(), '/controller')).toHaveLength(1)
})

test('logs that have failed are said in the registration, which keeps its epoch and what the controller put', () => {
  const store = new StoreDouble()
  const process = running(store, { mayHaveLostRecords: true })
  const before = registration(store)
  process.session.setOfflineReplicas(['topic:3'], 0)
  process.run()
  expect(registration(store)).toEqual({
    ...before,
    offlineReplicas: ['topic:3'],
    revision: store.entries.get(key)!.revision,
  })
  process.session.setOfflineReplicas([], 0)
  process.run()
  expect(registration(store).offlineReplicas).toEqual([])
  store.revoke('lease 1')
  process.session.setOfflineReplicas(['topic:4'], 0)
  process.pass(3000).run()
  process.pass(100).run()
  expect(registration(store)).toMatchObject({ lease: 'lease 2', offlineReplicas: ['topic:4'] })
})

const state = (fields: { leader: number; isr: number[] }): string =>
  encodePartitionState({
    topicId: 'topic',
    partition: 0,
    replicas: [1, 2],
    addingReplicas: [],
    removingReplicas: [],
    leaderEpoch: 1,
    eligibleLeaderReplicas: [],
    lastKnownLeader: 1,
    minInsyncReplicas: 1,
    partitionEpoch: 0,
    ...fields,
  })

function twoBrokers(): { store: StoreDouble; one: Process; two: Process } {
  const store = new StoreDouble()
  const one = running(store)
  const two = running(store, { brokerId: 2, incarnationId: 'two', directoryId: 'disk 2' })
  store.transaction({ puts: [{ key: '/partitions/topic/0', value: state({ leader: 1, isr: [1, 2] }) }] })
  one.watch()
  two.watch()
  return { store, one, two }
}

test('shutting down, a broker says so, waits until it leads nothing, and gives its lease back', () => {
  const { store, one } = twoBrokers()
  one.session.shutDown(30_000, 0)
  one.run()
  expect(one.session.state).toBe('shutting down')
  expect(registration(store)).toMatchObject({ shuttingDown: true, fenced: false })
  store.transaction({ puts: [{ key: '/partitions/topic/0', value: state({ leader: 2, isr: [2] }) }] })
  one.watch()
  expect(one.session.state).toBe('stopped')
  expect(one.wants()).toEqual([{ kind: 'revoke lease', lease: 'lease 1' }])
  expect(one.session.nextTick).toBeNull()
  expect(one.session.controllerRevision).toBeNull()
})

test('it does not go before its registration says that it goes', () => {
  const { store, one } = twoBrokers()
  store.transaction({ puts: [{ key: '/partitions/topic/0', value: state({ leader: 2, isr: [1, 2] }) }] })
  one.watch()
  one.session.shutDown(30_000, 0)
  expect(one.session.state).toBe('shutting down')
  one.run()
  expect(one.session.state).toBe('stopped')
  expect(store.entries.has(key)).toBe(false)
})

test('it does not wait for what nobody else could lead', () => {
  for (const unfit of [{ fenced: true }, { shuttingDown: true }]) {
    const { store, one } = twoBrokers()
    one.session.shutDown(30_000, 0)
    one.run()
    change(store, unfit, '/brokers/2')
    one.watch()
    expect(one.session.state).toBe('stopped')
  }
  const { store, one } = twoBrokers()
  store.revoke('lease 2')
  one.watch()
  one.session.shutDown(30_000, 0)
  expect(one.run().session.state).toBe('stopped')
  const alone = running(new StoreDouble())
  alone.session.shutDown(30_000, 0)
  expect(alone.run().session.state).toBe('stopped')
})

test('it goes when it has waited for long enough', () => {
  const { one } = twoBrokers()
  one.session.shutDown(30_000, 0)
  one.run()
  one.pass(29_999).run()
  expect(one.session.state).toBe('shutting down')
  one.session.shutDown(30_000, one.now)
  one.pass(1)
  expect(one.session.state).toBe('stopped')
})

test('without a registration there is nothing to hand over', () => {
  const store = new StoreDouble()
  const process = new Process(store)
  process.session.shutDown(30_000, 0)
  expect(process.session.state).toBe('stopped')
  const outputs = process.wants()
  expect(outputs).toEqual([{ kind: 'grant lease', ttlSeconds: 9 }])
  process.do(outputs[0]!)
  process.run()
  expect(store.has('lease 1')).toBe(false)
  const { one } = twoBrokers()
  one.session.shutDown(30_000, 0)
  one.session.leaseLost('lease 1', 0)
  expect(one.session.state).toBe('stopped')
})

test('who is about to stop does not stand for controller', () => {
  const { store, two } = twoBrokers()
  store.transaction({ puts: [{ key: '/partitions/topic/0', value: state({ leader: 2, isr: [1, 2] }) }] })
  two.watch()
  two.session.shutDown(30_000, 0)
  two.run()
  store.transaction({ deletes: ['/controller'] })
  two.watch()
  expect(two.session.state).toBe('shutting down')
  expect(two.wants()).toEqual([])
})

test.each([0, 1.5, -3, NaN])('a lease of %d seconds is refused', (leaseTtlSeconds) => {
  expect(() => new Process(new StoreDouble(), { leaseTtlSeconds })).toThrow(
    expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }),
  )
})

test('a lease of one second is long enough', () => {
  expect(new Process(new StoreDouble(), { leaseTtlSeconds: 1 }).wants()).toEqual([
    { kind: 'grant lease', ttlSeconds: 1 },
  ])
})
