import type { BrokerConfigDefinition, ConfigDefinition, TopicConfigDefinition } from './config-definition.js'
import { brokerConfigs, groupConfigs, topicConfigs } from './config-tables.js'

const introduction = `# Configuration

Every configuration that Apache Kafka® 4.4 lists, and what becomes of it here. This page is printed from the tables that the
broker works with (\`packages/broker/src/configs/tables\`), and a test keeps it so.

A topic gets configurations when it is created and by AlterConfigs, for example by \`kafka-configs.sh --entity-type topics\`; the
broker by the option \`configs\` of \`startBroker\`, by \`varve serve --config\`, and by AlterConfigs for this broker or, with an empty name, for all brokers of
the cluster. What is altered is kept in the broker's metadata and acts on open logs at once. As in Kafka, a topic's own value
counts before this broker's, that before the cluster's, that before the one that the broker was started with, and that before
the default. DescribeConfigs tells all of them.
`

/** The page `docs/configuration.md`. */
export function renderConfigurationPage(): string {
  const topics = [...topicConfigs.values()]
  const brokers = [...brokerConfigs.values()]
  const has = (service: TopicConfigDefinition['service'] | BrokerConfigDefinition['service']) => {
    return (definition: { readonly service: string }): boolean => definition.service === service
  }
  return (
    [
      introduction,
      '## Topics',
      'These act.',
      table(topics.filter(has('served'))),
      'These are kept and described, and there is nothing here for them to act on.',
      table(topics.filter(has('accepted'))),
      'These would have to act and do not: any other value than the default is refused with INVALID_CONFIG.',
      table(topics.filter(has('refused'))),
      'This one acts and is not described, as in Kafka; it is for tests.',
      table(topics.filter(has('hidden'))),
      '## Brokers',
      'These act, and can be altered while the broker runs.',
      table(brokers.filter(has('dynamic'))),
      'These act, and are set when the broker starts.',
      table(brokers.filter(has('static'))),
      'These act in a cluster, and can be altered while the broker runs. A broker that is alone describes them as below.',
      table(brokers.filter(has('dynamic in a cluster'))),
      'These act in a cluster, can be given a value only while the broker runs, and are described only when they have one, as in Kafka.',
      table(brokers.filter(has('altered in a cluster'))),
      'These act in a cluster, and are set when the broker starts; all brokers should have the same. A broker that is alone describes them as below.',
      table(brokers.filter(has('static in a cluster'))),
      "These are described with Kafka's default, read-only, and do not act.",
      table(brokers.filter(has('fixed'))),
      '## Groups',
      "These are described with Kafka's default, read-only, and do not act: they are of group protocols that are not served here.",
      table([...groupConfigs.values()]),
    ]
      .join('\n\n')
      .replaceAll('\n\n\n', '\n\n') + '\n'
  )
}

function table(definitions: readonly ConfigDefinition[]): string {
  const rows = [...definitions]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, defaultValue, documentation }) => {
      const value = defaultValue === null ? 'none' : defaultValue === '' ? 'empty' : `\`${defaultValue}\``
      return `| \`${name}\` | ${type.toLowerCase()} | ${value} | ${documentation.replaceAll('|', '\\|')} |`
    })
  return ['| name | type | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
