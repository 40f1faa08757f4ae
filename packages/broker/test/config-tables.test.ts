// Tools compare, copy and restore configurations by DescribeConfigs: a name that is missing, or a default that is not
// Kafka's, would make them set something that nobody asked for.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { brokerConfigs, isDynamic, topicConfigs } from '../src/configs/config-tables.js'
import { BROKER, described, TOPIC } from './support/configs.js'
import { startTestBroker } from './support/test-broker.js'

interface Fact {
  readonly resource: 'topic' | 'broker'
  readonly name: string
  readonly type: string
  readonly default: string | null
  readonly readOnly: boolean
  readonly sensitive: boolean
}

const facts = readFileSync(new URL('./fixtures/kafka-4.4.0-configs.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Fact)
const factsOf = (resource: Fact['resource']): Fact[] => facts.filter((fact) => fact.resource === resource)

const typeNames = ['', 'BOOLEAN', 'STRING', 'INT', 'SHORT', 'LONG', 'DOUBLE', 'LIST', 'CLASS', 'PASSWORD']

test('a topic is described with the names, types and values that Kafka 4.4 describes one with', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const found = await described(await connect(), TOPIC, 'orders')
  const wanted = factsOf('topic')
  expect([...found.keys()].sort()).toEqual(wanted.map(({ name }) => name).sort())
  for (const fact of wanted) {
    const { value, readOnly, isSensitive, configType, configSource, documentation } = found.get(fact.name)!
    expect([fact.name, typeNames[configType], value, readOnly, isSensitive, configSource]).toEqual([
      fact.name,
      fact.type,
      fact.default,
      fact.readOnly,
      fact.sensitive,
      5,
    ])
    expect(documentation, fact.name).toMatch(/^[A-Z].*[.*]$/s)
  }
})

test('a broker is described with the names, types and defaults that Kafka 4.4 describes one with', async () => {
  const { connect } = await startTestBroker()
  const found = await described(await connect(), BROKER, '0')
  const wanted = factsOf('broker')
  expect([...found.keys()].sort()).toEqual(wanted.map(({ name }) => name).sort())
  for (const { name, type, sensitive, default: value } of wanted) {
    const config = found.get(name)!
    expect([name, typeNames[config.configType], config.isSensitive]).toEqual([name, type, sensitive])
    expect([name, brokerConfigs.get(name)!.defaultValue]).toEqual([name, value])
    if (config.configSource === 5) expect([name, config.value]).toEqual([name, value])
    expect(config.documentation, name).toMatch(/^[A-Za-z].*[.*]$/s)
  }
})

test('what can be altered here can be altered in Kafka', () => {
  for (const { name, readOnly } of factsOf('broker')) {
    if (readOnly) expect([name, isDynamic(name, true)]).toEqual([name, false])
  }
})

test('every default passes its own check', () => {
  for (const { name, type, defaultValue, check } of [...topicConfigs.values(), ...brokerConfigs.values()]) {
    if (defaultValue === null || defaultValue === '') continue
    expect([name, check(type === 'LIST' ? defaultValue.split(',') : defaultValue, name)]).toEqual([
      name,
      null,
    ])
  }
})
