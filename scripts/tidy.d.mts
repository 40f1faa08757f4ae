interface PackageSources {
  path: string
  manifest: { name: string; dependencies?: Record<string, string> }
  sources: readonly { file: string; text: string }[]
  bundled?: readonly { file: string; text: string }[]
}
export function packageProblems(one: PackageSources): string[]
export function crateProblems(path: string, toml: string): string[]
export function fileProblems(path: string, text: string): string[]
export function rangeProblems(
  manifests: readonly { name: string; dependencies?: Record<string, string> }[],
): string[]
export function tidy(): string[]
