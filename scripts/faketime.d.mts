export function faketimeLibrary(): string | null
