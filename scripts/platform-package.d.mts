export function platformOf(addon: string): string
export function platformPackageName(platform: string): string
export function layOutPlatformPackage(addon: string, destination: string): string
