export const bundleFolder: string
export function renderBundle(): Promise<Map<string, string>>
