import { generateKey, isKeyturnError, type KeyWrapper } from '@keyturn/core'
import local from '@keyturn/core/key-wrappers/local'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import type { Verdict, World } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import type { Rotator } from '../secret/rotator.ts'
import { checkRoot, rootInUse } from './root-key/check.ts'

export const options = z.strictObject({
  /** Every stored keyring that the root key wraps. One that is left out, and wrapped under it, is refused at the plan. */
  keyrings: z.array(z.string().min(1).max(128)).min(1),
  /** How the 32 random bytes are written; `hex` unless given. */
  format: z.enum(['hex', 'base64', 'base64url']).default('hex'),
})

/** Twice the longest refresh interval that is sensible, and the work. */
const callMs = 180_000

/**
 * The root key of Keyturn's keyrings: 32 random bytes, a wrapping of every key under them beside the one that is there, deployments, and only then the
 * end of the old wrappings. Never is a key wrapped anew in place of another wrapping, and no value is touched.
 *
 * At every moment each process opens everything with what it was started with: the wrappings under the new root key stand before any store has it, and
 * those under the old one until it is gone from the stores. The old ones are dropped only by a process whose own configuration names the new root key
 * first, so that one that was not restarted waits and says so: with `keyturn secrets rotate` in a shell that has the old one, go on in a new shell.
 *
 * `root: env('KEYTURN_ROOT_KEY')` and a store with `{ KEYTURN_ROOT_KEY: '{key}' }` are enough; meanwhile no new key version can be made, which is
 * refused and not lost. With `root: [env('KEYTURN_ROOT_KEY'), env('NEXT_ROOT_KEY'), env('PREVIOUS_ROOT_KEY')]`, of which all but the first may be unset, and
 * `{ KEYTURN_ROOT_KEY: '{key}', NEXT_ROOT_KEY: '{next.key}', PREVIOUS_ROOT_KEY: '{previous.key}' }` that is possible again as soon as the new one is
 * announced.
 *
 * It does not mend a leak. Whoever has the old root key and a copy of the database has the data keys: rotate the keyrings as well, after it. Where
 * credentials are sealed under one of these keyrings, the new root key is among them: seal them under a keyring with a root key of its own. Root keys in
 * AWS KMS and passphrases are refused by `plan`.
 */
export default function rootKey(given: z.infer<typeof options>, world: World): Rotator {
  const { keyrings, format } = given
  const where = `the root key of ${keyrings.map((name) => `"${name}"`).join(', ')}`
  const app = () => world.application().keyturn

  const wrapperOf = ({ parts: { key = '' } }: Credential): KeyWrapper => local({ key, encoding: encodingOf(key), label: 'the root key' })
  const credentialOf = (key: string): Credential => {
    const { rootId } = local({ key, encoding: encodingOf(key), label: 'the root key' })
    return { id: rootId, parts: { key, rootId } }
  }

  /** Counts the keys of all keyrings, loaded anew, and those that a root key opens without any other. */
  async function opens(credential: Credential): Promise<{ readonly keys: number; readonly opened: number }> {
    const wrapper = wrapperOf(credential)
    let [keys, opened] = [0, 0]
    for (const name of keyrings) {
      const found = await app().opensUnder(name, wrapper)
      keys += found.keys
      opened += found.opened
    }
    return { keys, opened }
  }

  /** Drops the wrappings under one root key, after those under the other have been there for long enough. */
  async function dropped(ending: Credential, remaining: Credential): Promise<void> {
    const left = await opens(remaining)
    if (left.opened < left.keys)
      throw outside('busy', where, `${left.keys - left.opened} of ${left.keys} keys do not open under the root key that remains`)
    if ((await opens(ending)).opened === 0) return
    for (const name of keyrings) {
      try {
        await app().rewrap(name, { drop: String(ending.id) })
      } catch (error) {
        if (!isKeyturnError(error, 'ERR_USAGE')) throw error
        const why = 'this process was started with the root key that ends. Restart it with the one that remains, and the run goes on there'
        throw outside('busy', where, why, 10_000)
      }
    }
    const { keys, opened } = await opens(ending)
    if (opened > 0) throw outside('busy', where, `${opened} of ${keys} keys still open under the root key that ends`)
  }

  return {
    parts: { key: 'secret', rootId: 'public' },
    overlap: true,
    callMs,
    check: (call, current) => findings(() => checkRoot(world, given, { secret: call.secret, current, opens })),
    current: async () => credentialOf(await rootInUse(world, given)),
    adopt: async (_, { key = '' }) => credentialOf(key),
    propose: async () => credentialOf(generateKey({ format, bytes: 32 })),
    create: async (_, proposed) => {
      if (proposed === null) throw outside('refused', where, 'there is no proposal')
      for (const name of keyrings) await app().rewrap(name, { under: wrapperOf(proposed) })
      const { keys, opened } = await opens(proposed)
      if (opened < keys) throw outside('busy', where, `${keys - opened} of ${keys} keys were made meanwhile and are wrapped next`)
      return proposed
    },
    verify: async (_, credential) => {
      const { keys, opened } = await opens(credential)
      const sentence = `root key ${credential.id} opens ${opened} of ${keys} keys without any other, loaded anew`
      return opened === keys ? { works: true, sentence } : { works: false, later: opened > 0, sentence }
    },
    remains: async (_, credential): Promise<Verdict> => {
      const { keys, opened } = await opens(credential)
      if (opened > 0) return { works: true, sentence: `root key ${credential.id} opens ${opened} of ${keys} keys` }
      const mend = `Who has it and an older copy of the database still opens that copy: after a leak, rotate keyrings ${keyrings.join(', ')} as well`
      return { works: false, later: false, sentence: `root key ${credential.id} opens none of ${keys} keys. ${mend}` }
    },
    revoke: async (_, credential, successor) => {
      if (successor === null) throw outside('refused', where, 'no root key would remain')
      await dropped(credential, successor)
    },
  }
}

/** Of the text of 32 bytes. What is none of them is refused by whoever takes it. */
function encodingOf(key: string): 'hex' | 'base64' | 'base64url' {
  if (/^[0-9a-f]{64}$/i.test(key)) return 'hex'
  return /[+/=]/.test(key) ? 'base64' : 'base64url'
}
