export function bootstrap(options?: {
  only?: 'dependencies' | 'native' | 'typescript' | 'bundle'
}): Promise<void>
