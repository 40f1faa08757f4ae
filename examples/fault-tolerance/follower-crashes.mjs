import { Producer } from 'varve'
import { TOPIC, withScene } from './scene.mjs'

const RECORDS = 200

/** A follower crashes while records are sent: nobody notices, and it comes back in sync. */
export async function followerCrashes(say) {
  const found = { sent: 0, stored: 0, slowestMs: 0 }
  await withScene(async (scene) => {
    const { cluster } = scene
    const producer = new Producer({ brokers: cluster.addresses, lingerMs: 0 })
    const send = async (count) => {
      for (let n = 0; n < count; n++) {
        const began = performance.now()
        await producer.send(TOPIC, { value: `payment ${found.sent}` })
        found.sent++
        found.slowestMs = Math.max(found.slowestMs, performance.now() - began)
      }
    }
    await send(RECORDS)
    const { leader, isr } = await scene.partition()
    say(`${isr.length} replicas are in sync, and ${found.sent} records acknowledged by all of them`)

    const follower = /** @type {number} */ (isr.find((id) => id !== leader))
    found.slowestMs = 0
    await cluster.crash(follower)
    say('a follower crashes')
    await send(RECORDS)
    await scene.until((partition) => partition.isr.length === 2)
    const isSame = (await scene.partition()).leader === leader
    say(`the leader has ${isSame ? 'not ' : ''}changed, and 2 replicas are left in sync`)
    say(`${RECORDS} more records were acknowledged meanwhile`)

    await cluster.start(follower)
    await scene.until((partition) => partition.isr.length === 3)
    say('the follower is back, has fetched what it missed, and is in sync again')
    await scene.until(async () => (found.stored = await scene.written(follower)) >= found.sent)
    say(`it has all ${found.stored} records`)
    await producer.close()
  })
  return found
}
