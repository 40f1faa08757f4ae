/**
 * The addon of one platform as a package of its own. npm installs the one whose `os`, `cpu` and `libc` are those of the
 * machine, because `@varve/native` names them all as optional dependencies when it is packed.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Failure } from './failure.mjs'
import { root } from './paths.mjs'

const LIBC = { gnu: 'glibc', musl: 'musl' }

/** @param {string} addon a path that ends with `varve.<platform>.node` */
export function platformOf(addon) {
  const platform = /^varve\.(\w+-\w+(?:-\w+)?)\.node$/.exec(basename(addon))?.[1]
  if (platform === undefined) throw new Failure(`${addon} is no addon: its name is varve.<platform>.node`)
  return platform
}

/** @param {string} platform as napi-rs names it, for example `linux-x64-gnu` */
export const platformPackageName = (platform) => `@varve/native-${platform}`

/**
 * Lays out the package.
 * @param {string} addon
 * @param {string} destination the folder to make it in
 * @returns {string} the package's own folder
 */
export function layOutPlatformPackage(addon, destination) {
  const platform = platformOf(addon)
  const [os, cpu, abi] = platform.split('-')
  const { version, license, engines } = JSON.parse(
    readFileSync(join(root, 'packages', 'native', 'package.json'), 'utf8'),
  )
  const name = platformPackageName(platform)
  const file = basename(addon)
  const folder = join(destination, platform)
  mkdirSync(folder, { recursive: true })
  copyFileSync(addon, join(folder, file))
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  writeFileSync(
    join(folder, 'README.md'),
    `# ${name}\n\nThe engine of varve, compiled for ${platform}. \`@varve/native\` loads it; \`@varve/log\` is what to install.\n`,
  )
  const manifest = {
    name,
    version,
    description: `The engine of varve for ${platform}`,
    license,
    main: file,
    files: [file],
    os: [os],
    cpu: [cpu],
    ...(abi in LIBC ? { libc: [LIBC[abi]] } : {}),
    engines,
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return folder
}
