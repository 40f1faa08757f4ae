/**
 * `npm run simulate`: one simulated cluster as a timeline, or many of them over all processors, with what they broke. The
 * simulator is `packages/replication/test/simulation`.
 */
import { parseArgs, styleText } from 'node:util'
import { Failure } from './failure.mjs'
import { simulateMany } from './simulate-many.mjs'
import { loadSimulation } from './simulation.mjs'

const usage = `usage: npm run simulate -- --seed N             a run as a timeline
         --partition orders-0                  what concerns a partition
         --broker 2                            what concerns a broker
         --only faults,controller              of these kinds: KINDS
         --last 60                             the last so many
       npm run simulate -- --seeds N           the seeds 0 to N − 1, or --seeds FROM..TO, both included
         --stop-after 5                        end after so many violations
       with either
         --without crash,delete-topic          leave out kinds of faults and operations, or all: faults, operations
         --faults-ms 6000                      begin no faults after so many ms
         --producers 1 --consumers 0           have so many clients
         --json                                for scripts`

const options = {
  seed: { type: 'string' },
  seeds: { type: 'string' },
  partition: { type: 'string' },
  broker: { type: 'string' },
  only: { type: 'string' },
  last: { type: 'string' },
  'stop-after': { type: 'string' },
  without: { type: 'string' },
  'faults-ms': { type: 'string' },
  producers: { type: 'string' },
  consumers: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
}
const ofOneRun = ['partition', 'broker', 'only', 'last']
const ofManyRuns = ['stop-after']

/**
 * @param {readonly string[]} args
 * @param {object} [outside]
 * @param {{ file: string, replace: string, by: string }} [outside.mutation] runs with this in the rules instead
 * @param {NodeJS.WritableStream} [outside.stdout]
 * @param {NodeJS.WritableStream} [outside.stderr]
 * @returns {Promise<number>} the exit code: 1 when something broke
 */
export async function simulateCommand(
  args,
  { mutation, stdout = process.stdout, stderr = process.stderr } = {},
) {
  const simulation = await loadSimulation(mutation)
  const values = parse(args, simulation)
  const print = (lines) => stdout.write(`${[lines].flat().join('\n')}\n`)
  if (values.help) {
    print(usageOf(simulation))
    return 0
  }
  const changes = changesIn(values, simulation)
  const paint = painter(stdout)
  if (values.seeds !== undefined) {
    const { first, last } = rangeOf(values.seeds)
    const stopAfter = wholeNumber(values, 'stop-after', 1)
    return simulateMany({
      first,
      last,
      changes,
      stopAfter,
      mutation,
      simulation,
      paint,
      print,
      stderr,
      json: values.json,
    })
  }
  return simulateOne(wholeNumber(values, 'seed'), changes, values, { simulation, paint, print })
}

function simulateOne(seed, changes, values, { simulation, paint, print }) {
  const { simulate, changesOf, scenarioLines, entryLines, verdictLines, failureLines, shorten, commandOf } =
    simulation
  const result = simulate(seed, { scenario: changesOf(seed, changes), record: true })
  const { scenario, violation, timeline } = result
  const selection = selectionIn(values, simulation)
  const selected = timeline.filter((entry) => simulation.concerns(entry, selection))
  const entries = selected.slice(-wholeNumber(values, 'last', 1) || undefined)
  if (values.json) {
    print(
      JSON.stringify({
        ...result,
        violation: violation && { ...violation, message: violation.message },
        timeline: entries,
      }),
    )
    return violation === null ? 0 : 1
  }
  print([...scenarioLines(seed, scenario, paint), ''])
  const left = timeline.length - entries.length
  print([
    ...entryLines(entries, paint),
    ...(left > 0 ? [`(${left} of ${timeline.length} entries are not shown)`] : []),
    '',
  ])
  print(verdictLines(result, paint))
  if (violation === null) return 0
  const command = commandOf(seed, shorten(seed, changes).changes)
  if (command !== commandOf(seed, changes)) print(['', ...failureLines(seed, changes, paint)])
  return 1
}

function parse(args, simulation) {
  let values
  try {
    values = parseArgs({ args, options }).values
  } catch (error) {
    throw wrong(error.message, simulation)
  }
  if (values.help) return values
  if ((values.seed === undefined) === (values.seeds === undefined))
    throw wrong('one of --seed and --seeds has to be there', simulation)
  for (const name of values.seed === undefined ? ofOneRun : ofManyRuns) {
    if (values[name] !== undefined)
      throw wrong(`--${name} goes with ${values.seed === undefined ? '--seed' : '--seeds'}`, simulation)
  }
  return values
}

const usageOf = ({ entryKinds }) => usage.replace('KINDS', entryKinds.join(', '))
const wrong = (message, simulation) =>
  new Failure(simulation === undefined ? message : `${message}\n\n${usageOf(simulation)}`, { exitCode: 2 })

function wholeNumber(values, name, least = 0) {
  const text = values[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
    throw wrong(`--${name} takes a whole number from ${least} on, not '${text}'`)
  return value
}

function rangeOf(text) {
  const [, from, to] = /^(?:(\d+)\.\.)?(\d+)$/.exec(text) ?? []
  if (to === undefined) throw wrong(`--seeds takes N or FROM..TO, not '${text}'`)
  const range =
    from === undefined ? { first: 0, last: Number(to) - 1 } : { first: Number(from), last: Number(to) }
  if (range.last < range.first) throw wrong(`--seeds ${text} are none`)
  return range
}

/** Kinds are written with hyphens: words of a shell. */
function kindsIn(text, known, option) {
  return text.split(',').map((word) => {
    const kind = known.find((each) => each.replaceAll(' ', '-') === word.trim().replaceAll(' ', '-'))
    if (kind === undefined)
      throw wrong(
        `--${option} does not know '${word}'; there are: ${known.map((each) => each.replaceAll(' ', '-')).join(', ')}`,
      )
    return kind
  })
}

function changesIn(values, { faultKinds, operationKinds }) {
  const changes = {
    faultsMs: wholeNumber(values, 'faults-ms'),
    producers: wholeNumber(values, 'producers'),
    consumers: wholeNumber(values, 'consumers'),
    without:
      values.without &&
      kindsIn(values.without, ['faults', 'operations', ...faultKinds, ...operationKinds], 'without'),
  }
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
}

function selectionIn(values, { entryKinds }) {
  return {
    partition: values.partition,
    broker: wholeNumber(values, 'broker', 1),
    only: values.only && kindsIn(values.only, entryKinds, 'only'),
  }
}

const colours = {
  title: 'bold',
  violation: ['bold', 'red'],
  faults: 'red',
  administrator: 'blue',
  controller: 'magenta',
  brokers: 'yellow',
  roles: 'cyan',
  'in-sync': 'green',
  producers: 'gray',
  consumers: 'gray',
}

/** In colours on a terminal, unless NO_COLOR is set (https://no-color.org). */
function painter(stream) {
  if (!stream.isTTY || process.env.NO_COLOR) return (_, text) => text
  return (kind, text) =>
    colours[kind] === undefined ? text : styleText(colours[kind], text, { validateStream: false })
}
