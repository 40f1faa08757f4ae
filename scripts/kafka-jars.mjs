/** Kafka as Maven has it: the broker, and the command-line tools. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KAFKA_TOOLS } from './conformance-versions.mjs'
import { aptInstall, has, must } from './installing.mjs'
import { KAFKA, KAFKA_POM, kafkaIsInstalled } from './kafka-broker.mjs'
import { cache } from './paths.mjs'

export const kafkaToolsJars = join(cache, `kafka-tools-${KAFKA_TOOLS}`)

const KAFKA_TOOLS_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>varve</groupId><artifactId>conformance</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>${KAFKA_TOOLS}</version>
    </dependency>
  </dependencies>
</project>
`

/** The jars that a project of Maven's depends on, in a folder of the cache. */
export async function copyJars(pom, name) {
  // Debian's Maven brings a Java with it.
  if (!(await has('mvn', '--version')) || !(await has('java', '-version'))) await aptInstall('maven')
  const folder = mkdtempSync(join(cache, `${name}-`))
  try {
    writeFileSync(join(folder, 'pom.xml'), pom)
    const copy = [
      'dependency:copy-dependencies',
      '-DincludeScope=runtime',
      `-DoutputDirectory=${join(cache, name)}`,
    ]
    // It is over before it pays to compile what it does.
    const env = { MAVEN_OPTS: '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC' }
    await must('mvn', 'mvn', ['-q', '-B', '-f', join(folder, 'pom.xml'), ...copy], { env })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @type {import('./installing.mjs').Installable} */
export const kafkaTools = {
  name: `kafka-tools ${KAFKA_TOOLS} (DumpLogSegments, ProducerPerformance …)`,
  present: async () =>
    existsSync(join(kafkaToolsJars, `kafka-tools-${KAFKA_TOOLS}.jar`)) && (await has('java', '-version')),
  install: () => copyJars(KAFKA_TOOLS_POM, `kafka-tools-${KAFKA_TOOLS}`),
}

/** @type {import('./installing.mjs').Installable} */
export const kafka = {
  name: `kafka ${KAFKA} (the broker that ours is compared with)`,
  present: async () => kafkaIsInstalled() && (await has('java', '-version')),
  install: () => copyJars(KAFKA_POM, `kafka-${KAFKA}`),
}
