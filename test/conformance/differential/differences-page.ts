import { differences } from './differences.js'
import { madeEqual, subjects } from './subjects.js'

/** The page `docs/differences.md`. */
export function renderDifferencesPage(): string {
  const count = subjects.flatMap(({ sequences }) => sequences).length
  const answers = subjects
    .flatMap(({ sequences }) => sequences)
    .flatMap(({ steps }) => steps)
    .filter((step) => step.kind !== 'members' && (step.kind !== 'call' || step.answer === 'now')).length
  return `# Differences from Apache Kafka 4.4

${count} sequences of requests were sent to a real Apache Kafka® 4.4.0, edge cases first, and its ${answers} answers were recorded
(\`test/fixtures/kafka-4.4-answers\`, by \`npm run record:kafka\`). Every run of the tests sends the same sequences to varve and
compares field by field, error codes and record bytes included. Only what a broker makes up is left out: ids of topics, members, producers
and sessions become names, addresses and times of the broker's clock placeholders, what has no order is sorted, and of a message only
counts whether there is one.

What is left is in this table, which is printed from \`test/conformance/differential/differences.ts\`. A difference that is not declared there
fails a test, as does a declared one that is no longer there.

| What | Why |
| --- | --- |
${differences.map(({ what, why }) => `| ${what} | ${why} |`).join('\n')}

These defaults are others too. For the recording Kafka was given those of \`startBroker\`, so that the answers can be compared.

| Configuration | Kafka | varve | Why |
| --- | --- | --- | --- |
${madeEqual.map(({ name, kafka, value, why }) => `| \`${name}\` | ${kafka} | ${value} | ${why} |`).join('\n')}
`
}
