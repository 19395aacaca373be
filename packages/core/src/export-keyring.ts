import type { OpenedKeyring } from './config/open-keyrings.ts'
import { fail, isKeyturnError } from './errors.ts'
import fileKeyrings from './keyring-stores/file.ts'
import type { ExportOptions } from './keyturn.ts'
import { type Evidence, recordFailure } from './rotation/certify.ts'

/** Writes a stored keyring to a file, under another root: see `Keyturn.exportKeyring`. */
export async function exportKeyring(
  { stored, store }: Pick<OpenedKeyring, 'stored' | 'store'>,
  { file, wrapper }: ExportOptions,
  evidence: Evidence,
): Promise<{ readonly versions: readonly string[]; readonly root: string }> {
  if (stored === null || store === null) throw fail('ERR_USAGE', 'only a keyring that Keyturn keeps can be exported')
  const { name } = stored
  const subject = `keyring/${name}`
  try {
    // Under the same root it would open with what opens the database: a copy, and no second way to the keys.
    const roots = [stored.stored.seal, ...stored.stored.versions].flatMap(({ wrappings }) => wrappings.map(({ rootId }) => rootId))
    if (roots.includes(wrapper.rootId))
      throw fail('ERR_USAGE', `the root key ${wrapper.rootId} wraps keyring "${name}" here. Export it under another one`)
    const target = fileKeyrings(file)
    if ((await target.load(name)) !== null) throw fail('ERR_USAGE', `the file holds a keyring "${name}" already. Export it to another file`)
    await stored.reload()
    const keyring = await stored.exportUnder(wrapper)
    const versions = keyring.versions.filter(({ wrappings }) => wrappings.length > 0).map(({ id }) => id)
    const data = { root: wrapper.rootId, versions, revision: stored.stored.revision }
    const event = { actor: evidence.actor, action: 'keyring.export', subject, data }
    await evidence.log.record(event)
    await target.save(keyring, event)
    // A process that encrypts with the file goes on counting where the database stands: nonces are drawn for one key, wherever it is.
    const counts = await store.messages(name)
    for (const id of versions) if ((counts.get(id) ?? 0) > 0) await target.reserve(name, id, counts.get(id) as number)
    return { versions, root: wrapper.rootId }
  } catch (error) {
    await recordFailure(evidence, { action: 'keyring.fail-export', subject }, error)
    throw isKeyturnError(error) ? error : fail('ERR_USAGE', `the file of keyring "${name}" could not be written: is its folder there?`)
  }
}
