import { fail, nearest } from '@keyturn/core'
import { type Leak, type LeakedKey, leakOfKey, leakOfSecret, leakTime } from '@keyturn/secrets'
import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { leakScreen } from '../screens/leak.ts'
import { hasSecrets, secretsOf } from '../secrets/opened-secrets.ts'
import { withSession } from '../session.ts'

/** Says what a leaked key or secret opens, what mends it and what is still exposed. Changes nothing. */
export default async function leak(call: Call): Promise<number> {
  const { since } = call.options
  const at = since === undefined ? null : { since: leakTime(since) }
  return await withSession(call, 'values', async (session) => {
    const { config } = session.selection
    const secrets = hasSecrets(session) ? await secretsOf(call, session, 'looking') : null
    const meant = meantBy(call.args[0] ?? '', Object.keys(config.keyrings), secrets?.names ?? [])
    if (at !== null && 'keyring' in meant) throw fail('ERR_USAGE', '--since goes with a secret. A key is looked at by what stands under it')
    const found: Leak =
      'keyring' in meant || secrets === null
        ? await leakOfKey(session.keyturn, secrets, meant as LeakedKey)
        : await leakOfSecret(secrets, meant.secret, at ?? {})
    print(call, found, leakScreen(found))
    return found.exposed.length > 0 ? exit.remain : exit.done
  })
}

/**
 * What an argument names: `app`, `app/aaaqeaye`, `openai`; or in full `keyring/app`, `secret/openai`.
 *
 * @throws `ERR_UNKNOWN_NAME` with the nearest, `ERR_USAGE` for a name that is both
 */
function meantBy(named: string, keyrings: readonly string[], secrets: readonly string[]): LeakedKey | { readonly secret: string } {
  const full = /^(keyring|secret)\/(.+)$/s.exec(named)
  const name = full?.[2] ?? named
  const [keyring = '', version] = /^([^/]+)\/([^/]+)$/.exec(name)?.slice(1) ?? [name]
  const [asSecret, asKeyring] = [full?.[1] !== 'keyring' && secrets.includes(name), full?.[1] !== 'secret' && keyrings.includes(keyring)]
  if (asSecret && asKeyring) throw fail('ERR_USAGE', `"${name}" is a keyring and a secret. Say keyring/${name} or secret/${name}`)
  if (asSecret) return { secret: name }
  if (asKeyring) return { keyring, ...(version === undefined ? {} : { version }) }
  throw fail('ERR_UNKNOWN_NAME', 'keyring or secret', name, nearest(name, [...keyrings, ...secrets]))
}
