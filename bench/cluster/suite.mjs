/** What `npm run bench:cluster` measures: three brokers beside three. */
import { batchesOf, nativeClients } from '../kafka/native-client.mjs'
import { Cluster } from './cluster.mjs'
import { clusterPage } from './page.mjs'
import { sections } from './sections/index.mjs'
import { IDS, start } from './servers.mjs'

/** @type {import('../kafka/run.mjs').Suite} */
export const suite = {
  command: 'npm run bench:cluster',
  sections,
  page: clusterPage,
  minutes: { usual: 11, full: 480 },
  finishedFile: 'bench-cluster-full.json',
  begin: async (subject, dir, how) => new Cluster(await start[subject](dir, how)),
  warmUp,
}

/** Kafka compiles what is often used while it is used: each broker leads, and follows. */
async function warmUp(cluster, seconds) {
  const topics = await cluster.createTopics(IDS.map((id) => ({ leaders: [id] })))
  const { figures } = await nativeClients(
    cluster,
    topics.map((topic) => ({
      kind: 'produce',
      address: cluster.addressOf(topic.replicas[0][0]),
      ...batchesOf([topic], {}),
      connections: 1,
      inFlight: 5,
      seconds,
      maxBytes: 1 << 29,
    })),
  )
  await cluster.assertRecords(
    topics,
    figures.reduce((all, { records }) => all + records, 0),
  )
  await cluster.deleteTopics(topics)
}
