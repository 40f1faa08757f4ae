/**
 * What acks promises is told everywhere and seen nowhere, until a leader crashes between its own disk and the others'. A record with
 * acks=1 must be lost here, or the example shows nothing; one with acks=all must never be, and a follower that crashes must cost nobody a
 * record, or the time until a broker that is silent is missed.
 */
import { expect, test } from 'vitest'
import { followerCrashes } from '../../examples/fault-tolerance/follower-crashes.mjs'
import { leaderCrashes } from '../../examples/fault-tolerance/leader-crashes.mjs'

const unheard = (): void => {}

test('what the leader alone had is lost with acks=1, and sent again with acks=all', async () => {
  expect(await leaderCrashes(unheard)).toEqual(['rent', 'lunch, with acks=all'])
})

test('a follower that crashes costs no record and no session, and has everything when it is back', async () => {
  const { sent, stored, slowestMs } = await followerCrashes(unheard)
  expect(stored).toBe(sent)
  // The session of who says nothing lasts 9 s, from the last word in it, of which there is one every three.
  expect(slowestMs).toBeLessThan(6000)
})
