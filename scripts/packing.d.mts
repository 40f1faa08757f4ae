export function packPackages(destination: string): Promise<string[]>
export function packingProblems(): Promise<string[]>
