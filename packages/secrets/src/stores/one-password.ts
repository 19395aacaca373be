import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { ask, type Request } from '../outside/http.ts'
import type { Call, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Store } from '../secret/store.ts'
import { fieldFindings, fieldOf, heldIn, type Item, isId, itemOptions } from './one-password/fields.ts'

export const options = z.strictObject({
  ...itemOptions,
  /** The address of the Connect server: `http://connect:8080`. */
  endpoint: httpUrl,
  /** A token of Connect that may write in the vault. */
  token: secretRef,
})

/**
 * Fields of an item of 1Password, by a Connect server. A name is the label of a field, or `Section/label`, or its id; the fields must be
 * there, once each. All names change in one patch, which touches nothing else of the item; what is to be removed is emptied.
 *
 * Needs a Connect token with write access to the vault. Connect compares nothing: of two writes to one field the last one stays, and the
 * older value is in the item's history. After the specification 1.8 of the Connect API.
 */
export default function onePassword(given: z.infer<typeof options>, world: World): Store {
  const where = `1Password Connect, item "${given.item}"`
  const askConnect = async <T>({ signal }: Call, path: string, asking: Partial<Pick<Request, 'method' | 'body'>> = {}): Promise<T> => {
    const headers = { authorization: `Bearer ${await world.read(given.token)}` }
    return (await ask({ where, url: `${given.endpoint.replace(/\/$/, '')}/v1/vaults${path}`, signal, headers, ...asking })).body as T
  }
  /** The id of what has this name: two of one name cannot be told apart. */
  const idOf = async (call: Call, { what, path, attribute, name }: { readonly [_ in 'what' | 'path' | 'attribute' | 'name']: string }) => {
    if (isId(name)) return name
    const found = await askConnect<{ readonly id: string }[]>(call, `${path}?filter=${encodeURIComponent(`${attribute} eq "${name}"`)}`)
    const [one] = found
    if (one !== undefined && found.length === 1) return one.id
    throw outside('refused', where, `there ${found.length === 0 ? `is no ${what}` : `are several ${what}s`} "${name}"`)
  }
  const open = async (call: Call) => {
    const vault = await idOf(call, { what: 'vault', path: '', attribute: 'name', name: given.vault })
    const id = await idOf(call, { what: 'item', path: `/${vault}/items`, attribute: 'title', name: given.item })
    const path = `/${vault}/items/${id}`
    return { path, item: await askConnect<Item>(call, path) }
  }
  return {
    provider: 'one-password',
    check: (call, names) => findings(async () => fieldFindings((await open(call)).item, names, where)),
    async look(call, names) {
      return heldIn((await open(call)).item, names, where)
    },
    async write(call, values) {
      const { path, item } = await open(call)
      const steps = Object.entries(values).flatMap(([name, value]) => {
        const field = fieldOf(item, name, where)
        return (field.value ?? '') === (value ?? '') ? [] : [{ op: 'replace', path: `/fields/${field.id}/value`, value: value ?? '' }]
      })
      if (steps.length === 0) return { version: versionOf(item) }
      const after = await askConnect<Item>(call, path, { method: 'PATCH', body: steps })
      const isWritten = Object.entries(values).every(([name, value]) => (fieldOf(after, name, where).value ?? '') === (value ?? ''))
      if (!isWritten) throw outside('uncertain', where, 'it answered with other values than those that were written')
      return { version: versionOf(after) }
    },
  }
}

const versionOf = ({ version }: Item): string | null => (version === undefined ? null : String(version))
