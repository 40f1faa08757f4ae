// A client that is told of no broker at all has nobody left to ask for a better answer.
import { expect, test } from 'vitest'
import { aliveNodes, type BrokerNode, soleView } from '../src/cluster-view.js'

const endpoint = { listener: 'PLAINTEXT', host: 'here', port: 1 }
const node = (nodeId: number, isFenced: boolean): BrokerNode => ({
  nodeId,
  host: 'there',
  port: 2,
  rack: null,
  isFenced,
})

test.each([
  ['those that are not fenced', [node(1, true), node(2, false), node(3, false)], [2, 3]],
  ['itself where all are fenced', [node(1, true), node(2, true)], [1]],
  ['itself where none is registered', [], [1]],
])('a broker tells clients of %s', (_, nodes, told) => {
  const cluster = { ...soleView(1, null), nodes: () => nodes }
  expect(aliveNodes(cluster, endpoint, 1).map(({ nodeId }) => nodeId)).toEqual(told)
})
