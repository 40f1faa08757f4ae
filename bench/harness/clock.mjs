/** Nanoseconds on a clock that only goes forward. */
export const nanoseconds = () => Number(process.hrtime.bigint())

/** Times `body` and the CPU that this process, all its threads, spent meanwhile. */
export async function timed(body) {
  const cpu = process.cpuUsage()
  const start = nanoseconds()
  const result = await body()
  const seconds = (nanoseconds() - start) / 1e9
  const { user, system } = process.cpuUsage(cpu)
  return { result, seconds, cpuSeconds: (user + system) / 1e6 }
}
