import { Producer } from 'varve'
import { TOPIC, withScene } from './scene.mjs'

/** The leader writes two records, and crashes before a follower has them: what becomes of them is a matter of acks. */
export async function leaderCrashes(say) {
  /** @type {string[]} */
  let left = []
  await withScene(async (scene) => {
    const { cluster } = scene
    const brokers = cluster.addresses
    const careful = new Producer({ brokers, acks: -1 })
    const hasty = new Producer({ brokers, acks: 1 })
    await careful.send(TOPIC, { value: 'rent' })

    const leader = await scene.cutOffFollowers()
    await hasty.send(TOPIC, { value: 'coffee, with acks=1' })
    say('acks=1: the leader has written the coffee, and says so: acknowledged')
    let isAcknowledged = false
    const lunch = careful.send(TOPIC, { value: 'lunch, with acks=all' })
    void lunch.then(() => (isAcknowledged = true))
    await scene.until(async () => (await scene.written(leader)) === 3)
    say(`acks=all: the leader has written the lunch too: ${isAcknowledged ? '' : 'not '}acknowledged yet`)

    await cluster.crash(leader)
    say('the leader crashes')
    await scene.until((partition) => partition.leader !== leader && partition.leader >= 0)
    say('another replica leads now, which has neither')
    await lunch
    say('acks=all: the producer has sent the lunch again by itself: acknowledged')

    await cluster.start(leader)
    await scene.until(({ isr }) => isr.length === 3)
    say('the old leader is back, and has given up what only it had')
    left = await scene.values()
    say(`consumers find: ${left.join('; ')}`)
    await Promise.all([careful.close(), hasty.close()])
  })
  return left
}
