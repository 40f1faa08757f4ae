export function packPackages(
  destination: string,
  options?: { addons?: readonly string[]; repository?: string },
): Promise<string[]>
export function packingProblems(): Promise<string[]>
