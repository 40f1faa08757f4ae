/**
 * One build at a time per work tree, by tickets: whoever holds the lowest ticket of a live process builds. Nothing is
 * shared but a folder of files whose names say everything, so a killed build leaves only a name that the next one
 * recognises as dead. (A single lock file cannot be taken over safely: two waiters that both see it stale would each
 * remove the other's fresh one.) The rule is Lamport's bakery.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Linux reuses process numbers; the start time in clock ticks tells a reused one from the first. */
function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '0'
  } catch {
    return '0'
  }
}

function isAlive(owner) {
  const [pid, started] = owner.split('.')
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    if (error.code === 'ESRCH') return false
  }
  return startTime(pid) === started
}

function tickets(directory) {
  return readdirSync(directory)
    .map((name) => {
      const [number, owner] = name.split('-')
      return { name, number: number === 'choosing' ? 0 : Number(number), owner }
    })
    .filter(({ name, owner }) => {
      if (owner === undefined) return false
      const alive = isAlive(owner)
      if (!alive) rmSync(join(directory, name), { force: true })
      return alive
    })
}

/**
 * Waits until this process may build, and returns the function that lets the next one.
 * @param {string} directory the folder of tickets
 * @param {(pid: string) => void} onWait called once if another process is building
 */
export async function takeBuildLock(directory, onWait) {
  mkdirSync(directory, { recursive: true })
  const self = `${process.pid}.${startTime(process.pid)}`
  const choosing = join(directory, `choosing-${self}`)
  writeFileSync(choosing, '')
  const number = 1 + Math.max(0, ...tickets(directory).map((ticket) => ticket.number))
  const mine = join(directory, `${number}-${self}`)
  writeFileSync(mine, '')
  rmSync(choosing, { force: true })

  const release = () => rmSync(mine, { force: true })
  process.once('exit', release)
  let told = false
  for (;;) {
    const ahead = tickets(directory).find(
      (other) =>
        other.owner !== self && (other.number < number || (other.number === number && other.owner < self)),
    )
    if (ahead === undefined) break
    if (!told && ahead.number > 0) {
      onWait(ahead.owner.split('.')[0])
      told = true
    }
    await delay(100)
  }
  return () => {
    process.off('exit', release)
    release()
  }
}
