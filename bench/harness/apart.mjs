/** Measurements in processes of their own: none inherits another's heap or compiled code, and none can end the run. */
import { fork } from 'node:child_process'
import { join } from 'node:path'

const running = new Set()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * Calls `phase` of a section in a new process.
 *
 * @param {object} call
 * @param {string} call.section
 * @param {'prepare' | 'measure'} call.phase
 * @param {string} call.subject
 * @param {object} call.parameters
 * @param {{ dir: string, milliseconds: number }} call.context
 * @param {number} timeout in ms; a process that takes longer is killed
 * @returns {Promise<any>} what it returned. Rejects with the last thing that it said.
 */
export function apart(call, timeout) {
  const child = fork(join(import.meta.dirname, 'apart-main.mjs'), [], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  running.add(child)
  child.send(call)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-4000)))
  return new Promise((resolve, reject) => {
    let answer
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout)
    child.once('message', (message) => (answer = message))
    child.once('error', reject)
    child.once('close', (code, signal) => {
      running.delete(child)
      clearTimeout(timer)
      if (answer !== undefined && 'figures' in answer) resolve(answer.figures)
      else if (answer !== undefined) reject(new Error(answer.error))
      else if (signal === 'SIGKILL') reject(new Error(`it took more than ${timeout / 1000} s`))
      else reject(new Error(`it ended with ${signal ?? code}: ${said.trim().split('\n').at(-1)}`))
    })
  })
}
