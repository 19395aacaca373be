import { resolve } from 'node:path'
import { fail, nearest, variableOf } from '@keyturn/core'
import local from '@keyturn/core/key-wrappers/local'
import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { keyringOf } from '../flags/field-config.ts'
import { environmentName } from '../flags/key-source.ts'
import { oneLine } from '../printable.ts'
import { count } from '../screens/words.ts'
import { type Session, withSession } from '../session.ts'

/**
 * Wraps the keys of a keyring under its first root key as well; with --drop, then deletes what is wrapped under another. With --export
 * writes them to a file instead, under a root key of the file's own.
 */
export default function rewrap(call: Call): Promise<number> {
  const { drop, export: file, rootEnv } = call.options
  if (file !== undefined && drop !== undefined)
    throw fail('ERR_USAGE', '--export writes a file and --drop changes the keyring. Give one of them')
  if ((file === undefined) !== (rootEnv === undefined)) throw fail('ERR_USAGE', '--export FILE and --root-env NAME go together')
  const target = file === undefined || rootEnv === undefined ? null : { file: resolve(call.io.cwd, file), wrapper: rootOf(call, rootEnv) }
  return withSession(call, 'values', async (session) => {
    const keyring = keyringOf(session.selection)
    await assertRewrappable(session, keyring, drop)
    return session.write(async ({ keyturn }) => {
      if (target !== null) {
        const done = await keyturn.exportKeyring(keyring, target)
        const sentence = `${count(done.versions.length, 'key')} of keyring "${keyring}" written to ${target.file}, wrapped under root ${done.root}.`
        print(call, { keyring, file: target.file, ...done }, oneLine(sentence))
        return exit.done
      }
      const done = await keyturn.rewrap(keyring, drop === undefined ? {} : { drop })
      const sentence = `${count(done.added, 'wrapping')} added, ${count(done.dropped, 'wrapping')} deleted. Keyring "${keyring}" opens with: ${done.roots.join(', ')}.`
      print(
        call,
        done,
        `${oneLine(sentence)}\nThis moves the root key; it does not mend a leak of it: that needs new keys (keyturn rotate).`,
      )
      return exit.done
    })
  })
}

/** The root key of an export. @throws `ERR_ENV_MISSING`, `ERR_KEY_FORMAT` */
function rootOf({ io }: Call, rootEnv: string) {
  const name = environmentName(rootEnv, '--root-env')
  const key = variableOf(io.env, name)
  if (key === undefined) throw fail('ERR_ENV_MISSING', name, 'the root key of --export')
  return local({ key, label: name })
}

/** @throws `ERR_USAGE` where there is nothing to wrap, `ERR_UNKNOWN_NAME` where nothing is wrapped under the root to drop */
async function assertRewrappable({ keyturn }: Session, keyring: string, drop: string | undefined): Promise<void> {
  const [found] = (await keyturn.status(keyring)).keyrings
  if (found === undefined || found.kind !== 'stored')
    throw fail('ERR_USAGE', `keyring "${keyring}" has keys from the environment or a table of the application, which have no root key here`)
  if (found.versions.length === 0)
    throw fail('ERR_USAGE', `keyring "${keyring}" is not there yet; its first use makes it, under its root keys`)
  const roots = [...new Set(found.versions.flatMap((version) => version.roots))]
  if (drop !== undefined && !roots.includes(drop)) throw fail('ERR_UNKNOWN_NAME', 'root key', drop, nearest(drop, roots))
}
