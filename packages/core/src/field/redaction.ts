import { fail } from '../errors.ts'
import type { SchemaPlace } from './secret-schema.ts'

/** Levels to which paths are named; what is below is left out whole. */
const deepest = 12

/**
 * The paths of everything that a schema marks as secret, in the syntax of pino: `config.headers[*].value`.
 *
 * @throws `ERR_USAGE` without a prefix: the schema speaks of a document, which stands somewhere in what is logged
 */
export function redactionPaths(top: SchemaPlace, prefix: string): string[] {
  if (prefix === '') throw fail('ERR_USAGE', 'say where the documents stand in what is logged, such as "connector.config"')
  const paths = new Set<string>()
  const walk = (place: SchemaPlace, path: string, above: readonly string[]): void => {
    const endless = above.includes(place.id) || above.length === deepest
    if (place.secret || (place.above && endless)) paths.add(path)
    else if (place.above) for (const [name, child] of place.inside()) walk(child, path + step(name), [...above, place.id])
  }
  walk(top, prefix, [])
  return [...paths]
}

/** A name that the syntax cannot hold becomes any name: rather too much is left out than too little. */
function step(name: string | null): string {
  if (name !== null && /^[A-Za-z_$][A-Za-z0-9_$]*$/.test(name)) return `.${name}`
  return name === null || name === '' || /["'`\\[\]*]/.test(name) ? '[*]' : `["${name}"]`
}
