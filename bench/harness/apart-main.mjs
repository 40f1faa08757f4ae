/** The other side of apart.mjs: answers one call and exits. */
process.once('message', async ({ section, phase, subject, parameters, context }) => {
  let answer
  try {
    const module = await import(`../sections/${section}.mjs`)
    answer = { figures: (await module[phase](subject, parameters, context)) ?? null }
  } catch (error) {
    answer = { error: error.message }
    console.error(error)
  }
  process.send(answer, () => process.exit())
})
