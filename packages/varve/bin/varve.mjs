#!/usr/bin/env node
// Old syntax on purpose: whatever Node runs this gets as far as the message.
const [major, minor] = process.versions.node.split('.').map(Number)

if (major < 20 || (major === 20 && minor < 19) || major === 21 || (major === 22 && minor < 12)) {
  console.error(
    `varve needs Node 20.19 or newer on line 20, or 22.12 or newer; this is ${process.versions.node}. Get one from https://nodejs.org`,
  )
  process.exitCode = 1
} else {
  // Where it happened is shown to whoever asks: reading the maps takes longer than the rest of a start.
  if (process.env.VARVE_DEBUG) process.setSourceMapsEnabled(true)
  import('../dist/bundle/main.js').then(
    ({ main }) => main(process.argv.slice(2)),
    (error) => {
      // A package that is missing is another matter: the message names main.js as who wants it.
      if (!/^Cannot find module '[^']*main\.js'/.test(error.message)) throw error
      console.error('varve is not built here. In a clone, run: npm run build')
      process.exitCode = 1
    },
  )
}
