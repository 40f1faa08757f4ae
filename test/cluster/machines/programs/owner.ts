/**
 * Makes machines with all that they can have, prints what, and waits: until it is killed, or ends by itself without closing
 * them once its input ends. Nothing here may need vitest, because scripts use machines as well.
 */
import { Machines } from '../machines.js'
import { ownId } from '../owner.js'

const machines = Machines.create(['one'])
const disk = machines.disk('data', 8)
const started = await machines
  .machine('one')
  .start(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { cwd: disk.directory })
console.log(JSON.stringify({ id: ownId(), pid: started.pid, folder: machines.folder }))
process.stdin.on('end', () => process.exit(0)).resume()
