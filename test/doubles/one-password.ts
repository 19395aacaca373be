import { randomBytes } from 'node:crypto'
import { type Answer, type Asked, credentialOf, type Double, jsonOf, type Operation, startDouble } from './faults.ts'
import { fieldFault, type Item, type ItemField, type Patch, patched, summaryOf } from './one-password-item.ts'

/** 1Password on this machine, as Connect serves it; the command `op` is in `one-password-op.ts`. */
export interface OnePasswordDouble extends Double {
  /** A token for every vault. */
  readonly token: string
  /** Vaults get ids of 26 characters, like everything there. */
  createVault(name: string): string
  /** A token for these vaults, for reading only if said so. */
  createToken(vaults: readonly string[], access?: 'read' | 'write'): string
  revokeToken(token: string): void
  createItem(vault: string, title: string, fields: readonly Partial<ItemField>[]): Item
  /** The item as 1Password itself holds it. */
  item(id: string): Item
  /** Somebody edits the item in the application: Connect shows it only after so many more reads. */
  editElsewhere(id: string, label: string, value: string, lag?: number): void
}

type Token = { readonly vaults: readonly string[] | null; readonly mayWrite: boolean }
type Vault = { readonly id: string; readonly name: string }

const errorBody = (status: number) => ({ status, message: messages[status] ?? 'Internal server error' })
const messages: Record<number, string> = {
  400: 'Invalid request',
  401: 'Invalid token signature',
  403: 'Unauthorized access',
  404: 'Item or vault not found',
  413: 'Request too large',
}
const newId = () => [...randomBytes(26)].map((byte) => 'abcdefghijklmnopqrstuvwxyz234567'[byte % 32]).join('')

/**
 * Starts a double of Connect; the caller stops it. Writes raise `version` by one and compare nothing: the last one wins. Fields are
 * addressed by id, and labels may be there twice. From the specification 1.8 of Connect and `@1password/connect` 1.4.
 */
export async function startOnePassword(): Promise<OnePasswordDouble> {
  const vaults = new Map<string, Vault>()
  const items = new Map<string, Item>()
  /** What Connect still shows of an item that was edited elsewhere, and for how many reads. */
  const stale = new Map<string, { readonly item: Item; reads: number }>()
  const tokens = new Map<string, Token>()
  const shown = (item: Item): Item => {
    const older = stale.get(item.id)
    if (older === undefined || older.reads <= 0) return item
    older.reads--
    return older.item
  }
  const save = (item: Item): Answer => {
    const fault = fieldFault(item)
    if (fault !== null) return { status: 400, body: { status: 400, message: fault } }
    const version = (items.get(item.id)?.version ?? 0) + 1
    const next = { ...item, version, updatedAt: new Date().toISOString(), lastEditedBy: 'CONNECT' }
    items.set(item.id, next)
    stale.delete(item.id)
    return { status: 200, body: next, made: [`v${version}`] }
  }
  type Serve = (asked: Asked, vault: Vault, item: Item) => Answer
  const operation = (name: string, method: string, path: string, serve: Serve): Operation => ({
    name,
    method,
    path: new RegExp(`^/v1/vaults${path}$`),
    answer: (asked, [vaultId, itemId]) => {
      const token = tokens.get(credentialOf(asked))
      if (token === undefined) return refused(401)
      const vault = vaultId === undefined ? { id: '', name: '' } : vaults.get(vaultId)
      // What a token may not see is told from what is not there.
      if (vault === undefined) return refused(404)
      if (vaultId !== undefined && !(token.vaults?.includes(vaultId) ?? true)) return refused(403)
      if (method !== 'GET' && !token.mayWrite) return refused(403)
      const item = itemId === undefined ? null : items.get(itemId)
      if (item === undefined || (item !== null && item.vault.id !== vaultId)) return refused(404)
      return serve(asked, vault, item ?? ({} as Item))
    },
  })
  const visible = (asked: Asked): Vault[] => {
    const scope = tokens.get(credentialOf(asked))?.vaults
    return [...vaults.values()].filter(({ id }) => scope?.includes(id) ?? true)
  }
  const operations: Operation[] = [
    operation('vaults.list', 'GET', '/?', (asked) => filtered(visible(asked), asked, ['name', 'title'], ({ name }) => name)),
    operation('vaults.get', 'GET', '/([^/]+)', (_, vault) => ({ status: 200, body: vault })),
    operation('items.list', 'GET', '/([^/]+)/items/?', (asked, { id }) => {
      const here = [...items.values()].filter(({ vault }) => vault.id === id).map(summaryOf)
      return filtered(here, asked, ['title'], ({ title }) => title)
    }),
    operation('items.create', 'POST', '/([^/]+)/items/?', (asked, { id }) => {
      const { title = '', fields = [], ...given } = jsonOf<Item>(asked)
      return save({
        ...blank,
        ...given,
        title,
        id: newId(),
        vault: { id },
        fields: fields.map(completed),
        createdAt: new Date().toISOString(),
      })
    }),
    operation('items.get', 'GET', '/([^/]+)/items/([^/]+)', (_, __, item) => ({ status: 200, body: shown(item) })),
    operation('items.replace', 'PUT', '/([^/]+)/items/([^/]+)', (asked, vault, item) => {
      const given = jsonOf<Item>(asked)
      if (given.id !== item.id || given.vault?.id !== vault.id) return refused(400)
      // Whole: what is not sent is gone.
      const { title = '', fields = [], sections = [], tags = [], category = item.category } = given
      return save({ ...item, title, category, sections, tags, fields: fields.map(completed) })
    }),
    operation('items.patch', 'PATCH', '/([^/]+)/items/([^/]+)', (asked, _, item) => {
      const patches = jsonOf<readonly Patch[]>(asked)
      const next = Array.isArray(patches) ? patched(item, patches) : null
      return next === null ? refused(400) : save(next)
    }),
    operation('items.delete', 'DELETE', '/([^/]+)/items/([^/]+)', (_, __, { id }) => {
      items.delete(id)
      return { status: 204 }
    }),
  ]
  const server = await startDouble(operations, { errorBody })
  const createToken = (scope: readonly string[] | null, access: 'read' | 'write' = 'write') => {
    const token = `eyJhbGciOiJFUzI1NiJ9.${randomBytes(24).toString('base64url')}.${randomBytes(24).toString('base64url')}`
    tokens.set(token, { vaults: scope, mayWrite: access === 'write' })
    return token
  }
  const found = (id: string): Item => {
    const item = items.get(id)
    if (item === undefined) throw new Error('the test made no such item')
    return item
  }
  return Object.assign(server, {
    token: createToken(null),
    createToken,
    revokeToken: (token: string) => void tokens.delete(token),
    createVault: (name: string) => {
      const id = newId()
      vaults.set(id, { id, name })
      return id
    },
    createItem: (vault: string, title: string, fields: readonly Partial<ItemField>[]) => {
      const id = newId()
      const sections = fields.flatMap(({ section }) => (section === undefined ? [] : [section]))
      save({ ...blank, id, title, vault: { id: vault }, sections, fields: fields.map(completed), createdAt: new Date().toISOString() })
      return found(id)
    },
    item: found,
    editElsewhere: (id: string, label: string, value: string, lag = 0) => {
      const before = found(id)
      const fields = before.fields.map((field) => (field.label === label ? { ...field, value } : field))
      items.set(id, { ...before, fields, version: before.version + 1 })
      stale.set(id, { item: before, reads: lag })
    },
  })
}

const refused = (status: number): Answer => ({ status, body: errorBody(status) })
const blank = { category: 'API_CREDENTIAL', version: 0, sections: [], tags: [], updatedAt: '', lastEditedBy: '' }

/** Every field has an id; one that asks for it gets a value made there. */
function completed({ generate, ...field }: Partial<ItemField> & { readonly generate?: boolean }): ItemField {
  const made = generate === true ? { value: randomBytes(16).toString('base64url') } : {}
  return { id: newId(), type: 'STRING', label: '', ...field, ...made }
}

/** Those that a filter such as `title eq "x"` leaves. */
function filtered<T extends object>(all: readonly T[], { url }: Asked, attributes: readonly string[], nameOf: (one: T) => string): Answer {
  const filter = url.searchParams.get('filter')
  if (filter === null) return { status: 200, body: all }
  const [, attribute = '', name = ''] = /^(\w+) eq "(.*)"$/.exec(filter) ?? []
  if (!attributes.includes(attribute)) return { status: 400, body: { status: 400, message: 'Invalid filter' } }
  return { status: 200, body: all.filter((one) => nameOf(one) === name) }
}
