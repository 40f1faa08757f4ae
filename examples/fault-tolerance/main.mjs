/** Lets a leader crash, then a follower, and says what producers and consumers notice of it. */
import { followerCrashes } from './follower-crashes.mjs'
import { leaderCrashes } from './leader-crashes.mjs'

const say = (line) => console.log(line)
say('A leader crashes after it has written two records that no follower has yet')
await leaderCrashes((line) => say(`  ${line}`))
say('A follower crashes')
await followerCrashes((line) => say(`  ${line}`))
