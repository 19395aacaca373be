import type { SecretRef } from '@keyturn/core'
import type { World } from './call.ts'
import type { Credential } from './credential.ts'
import type { OpenedSecret } from './opened-secret.ts'

/**
 * The values that the parts of a secret can know before a rotation, to take them out of what they say: the credential in use, and what the
 * configuration names for them. A variable that is not set has none.
 */
export async function knownValues({ config, rotator }: OpenedSecret, current: Credential | null, world: World): Promise<string[]> {
  const values = Object.entries(current?.parts ?? {}).flatMap(([part, value]) => (rotator.parts[part] === 'public' ? [] : [value]))
  const open = Object.entries(config.first ?? {}).filter(([part]) => rotator.parts[part] !== 'public')
  const { first: _, ...rest } = config
  for (const ref of refsIn([open, rest]))
    values.push(
      ...(await world.read(ref).then(
        (value) => [value],
        () => [],
      )),
    )
  return values
}

function refsIn(value: unknown): SecretRef[] {
  if (typeof value !== 'object' || value === null) return []
  const [only, ...more] = Object.entries(value)
  if (only !== undefined && more.length === 0 && /^(env|file)$/.test(only[0]) && typeof only[1] === 'string') return [value as SecretRef]
  return Object.values(value).flatMap(refsIn)
}
