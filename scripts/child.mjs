/** Child processes that end with this one: Ctrl-C and SIGTERM reach them, and nothing is left behind. */
import { spawn } from 'node:child_process'
import { setPriority } from 'node:os'

const running = new Set()

// The exit handlers of others (locks, temporary folders, the progress line) run on the way out.
const handlers = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
].map(([signal, exitCode]) => [
  signal,
  () => {
    for (const child of running) child.kill(signal)
    process.exit(exitCode)
  },
])

// Only while a child runs: the server that may follow in this process stops in its own way.
function started(child) {
  if (running.size === 0) for (const [signal, handler] of handlers) process.on(signal, handler)
  running.add(child)
}

function ended(child) {
  running.delete(child)
  if (running.size === 0) for (const [signal, handler] of handlers) process.off(signal, handler)
}

/**
 * Runs a command to its end.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {object} [options]
 * @param {string} [options.cwd]
 * @param {Record<string, string | undefined>} [options.env] added to this process's environment
 * @param {boolean} [options.capture] keep the output instead of showing it
 * @param {number} [options.niceness] how much it and what it starts give way to others
 * @param {(line: string) => void} [options.onLine] called for each captured line as it arrives
 * @param {number} [options.seconds] end it after so long: with SIGTERM, and 3 s later without asking
 * @returns {Promise<{ code: number, output: string, missing: boolean, late: boolean }>} `missing` when there is no such command,
 *   `late` when its time was over
 */
export function run(command, args, { cwd, env, capture = false, niceness, onLine, seconds } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      // Node starts no batch file by itself.
      shell: command.endsWith('.cmd'),
      stdio: capture ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
    })
    started(child)
    if (niceness !== undefined && child.pid !== undefined) setPriority(child.pid, niceness)
    let late = false
    let timer
    if (seconds !== undefined)
      timer = setTimeout(() => {
        late = true
        child.kill('SIGTERM')
        timer = setTimeout(() => {
          child.kill('SIGKILL')
          // What it has started itself may outlive it, and keeps these open.
          child.stdout?.destroy()
          child.stderr?.destroy()
        }, 3_000)
      }, seconds * 1_000)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue
      let partial = ''
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
        if (!onLine) return
        const lines = (partial + text).split('\n')
        partial = lines.pop() ?? ''
        for (const line of lines) onLine(line)
      })
    }
    child.once('error', (error) => {
      ended(child)
      clearTimeout(timer)
      if (error.code === 'ENOENT') resolve({ code: 127, output: '', missing: true, late })
      else reject(error)
    })
    child.once('close', (code, signal) => {
      ended(child)
      clearTimeout(timer)
      resolve({ code: code ?? (signal === 'SIGINT' ? 130 : 1), output, missing: false, late })
    })
  })
}
